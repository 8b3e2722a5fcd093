#!/usr/bin/python3
"""Finds objects of COCO's 80 classes, as the crate beside it does in wasm: reads the picture INPUT_FILE_PATH, writes
TMP_OUTPUT_DIR/NAME.jpg, with boxes and labels, and NAME.json, with what is where.

Runs in an image with ONNX Runtime and the model (`cargo xtask image detector`), on a GPU where there is one. What it ran
on stands in its log. Options come as environment variables:

  OBJECT_MODEL=objects   the model, /models/NAME.onnx in the image: a CenterNet
  MIN_SCORE=0.3          from which score on an object is told, 0.05 to 0.95

Exit status: 0 all done, 1 bad options or no input, 2 what is no picture, or not of this model.
"""

import contextlib
import json
import os
import re
import sys
from pathlib import Path

# The work is ONNX Runtime's: numpy needs no threads beside it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# It would tell its maker of each session, and wait for that at the end.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime
from PIL import Image, ImageDraw, ImageFont, ImageOps

MODELS = Path("/models")
SIDE, CLASSES, DETECTIONS, IOU, QUALITY = 512, 80, (1, 100, 6), 0.5, 85
MOST_BYTES, MOST_PIXELS = 32 << 20, 12 << 20
# Neighbouring classes get different ones.
COLOURS = [(230, 80, 40), (60, 170, 220), (90, 190, 60), (200, 80, 200), (240, 190, 40), (120, 120, 240)]


def log(message):
    print(message, file=sys.stderr, flush=True)


def end(status, message):
    log(f"detect: {message}")
    sys.exit(status)


def score_option():
    text = os.environ.get("MIN_SCORE") or "0.3"
    try:
        score = float(text)
    except ValueError:
        score = 0
    if not 0.05 <= score <= 0.95:
        end(1, f"MIN_SCORE `{text}`: a number from 0.05 to 0.95")
    return score


def picture(path):
    """Upright, in RGB. What it would cost is known before it is decoded."""
    name, size = path.name, path.stat().st_size
    if size == 0:
        end(2, f"{name}: the picture is empty")
    if size > MOST_BYTES:
        end(2, f"{name}: {size} bytes are more than {MOST_BYTES}")
    Image.MAX_IMAGE_PIXELS = None
    try:
        image = Image.open(path, formats=["JPEG", "PNG", "WEBP"])
        if image.width * image.height > MOST_PIXELS:
            end(2, f"{name}: {image.width}x{image.height} pixels are more than {MOST_PIXELS}")
        return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError, ValueError) as why:
        end(2, f"{name}: it is no JPEG, PNG or WebP that can be decoded: {why}")


def session():
    """The model on a GPU where there is one, and where it runs."""
    path = MODELS / f"{os.environ.get('OBJECT_MODEL') or 'objects'}.onnx"
    if not path.is_file():
        end(1, f"there is no model {path} in this image")
    has_gpu, can_cuda = Path("/dev/nvidiactl").exists(), "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    providers = ["CPUExecutionProvider"]
    if has_gpu and can_cuda:
        # CUDA's libraries are packages of Python beside this one; what is amiss with them is no answer of ours.
        with contextlib.redirect_stdout(sys.stderr):
            onnxruntime.preload_dlls()
        providers.insert(0, "CUDAExecutionProvider")
    elif has_gpu:
        log("there is a GPU, and no CUDA in this image: `cargo xtask image detector --gpu` makes one that has it")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    model = onnxruntime.InferenceSession(str(path), options, providers=providers)
    # It goes on without one whose libraries it cannot load.
    where = model.get_providers()[0]
    if where != providers[0]:
        log(f"there is a GPU, and {providers[0]} does not start on it")
    return model, where


def iou(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    union = sum(max(r[2] - r[0], 0) * max(r[3] - r[1], 0) for r in (a, b)) - both
    return both / union if union > 0 else 0


def objects(detections, least):
    """What has a score over `least`, the surest first: (score, box in the model's picture, class) each."""
    # A NaN is over nothing, and in no range.
    able = [one for one in detections if one[4] > least and 0 <= one[5] < CLASSES and np.isfinite(one).all()]
    found = []
    for *box, score, class_ in sorted(able, key=lambda one: -one[4]):
        box = [min(max(edge, 0), SIDE) for edge in box]
        if all(int(class_) != other or iou(box, rect) <= IOU for _, rect, other in found):
            found.append((score, box, int(class_)))
    return found


def draw(image, rect, label, colour):
    """A box and, on its upper edge, its label."""
    pen, (left, top, right, bottom) = ImageDraw.Draw(image), [round(float(edge)) for edge in rect]
    if right <= left or bottom <= top:
        return
    # Letters and lines that one can see in a large picture, too.
    scale = min(max(min(image.size) // 360, 1), 4)
    pen.rectangle((left, top, right - 1, bottom - 1), outline=colour, width=2 * scale)
    font = ImageFont.load_default(10 * scale)
    wide, high = int(pen.textlength(label, font)) + 2 * scale, 12 * scale
    # Above the box where there is room; and no label ends outside that could be inside.
    x, y = min(left, max(image.width - wide, 0)), max(top - high, 0)
    pen.rectangle((x, y, x + wide, y + high), fill=colour)
    light = sum(part * share for part, share in zip(colour, (299, 587, 114), strict=True)) > 128_000
    pen.text((x + scale, y), label, (0, 0, 0) if light else (255, 255, 255), font)


def main():
    given, out = os.environ.get("INPUT_FILE_PATH"), os.environ.get("TMP_OUTPUT_DIR")
    if not given or not out:
        end(1, "INPUT_FILE_PATH and TMP_OUTPUT_DIR: one of them is not set")
    path, least = Path(given), score_option()
    if not path.is_file():
        end(1, "one picture at a time: the input is no file")
    image = picture(path)
    model, where = session()

    # Each side by itself, each pixel made of all that it covers.
    pixels = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32)[None]
    outputs = dict(zip((output.name for output in model.get_outputs()), model.run(None, {"images": pixels}), strict=True))
    detections = outputs.get("detections", np.zeros(0))
    if detections.shape != DETECTIONS:
        end(2, f"the model's output `detections` is {detections.shape}, not {DETECTIONS}: is it another model?")
    # What the score is held against has its precision.
    found = objects(detections[0], np.float32(least))

    names = (MODELS / "coco.txt").read_text().splitlines()
    width, height = image.size
    scale = np.float32([width / SIDE, height / SIDE] * 2)
    told = []
    for score, box, class_ in found:
        rect = (np.float32(box) * scale).clip(0, np.float32([width, height] * 2))
        # Numbers as short as they are for their precision.
        edges = dict(zip(("left", "top", "right", "bottom"), (float(str(edge)) for edge in rect), strict=True))
        told.append({"label": names[class_], "score": float(str(score)), "rect": edges})
    # The surest is drawn last, on top.
    for (_, _, class_), one in reversed(list(zip(found, told, strict=True))):
        draw(image, one["rect"].values(), f"{one['label']} {one['score']:.2f}", COLOURS[class_ % len(COLOURS)])

    stem = path.name.rpartition(".")[0] if "." in path.name else path.name
    # `00004.5s.jpg` is at 4.5 s.
    seconds = path.name.rpartition("s.")[0]
    frame = {
        "frame": f"{stem}.jpg",
        "time": float(seconds) if re.fullmatch(r"[0-9]+\.?[0-9]*|\.[0-9]+", seconds) else None,
        "width": width,
        "height": height,
        "objects": told,
    }
    image.save(Path(out) / f"{stem}.jpg", "JPEG", quality=QUALITY)
    (Path(out) / f"{stem}.json").write_text(json.dumps(frame, ensure_ascii=False, separators=(",", ":")))
    log(f"{path.name}: by ONNX Runtime {onnxruntime.__version__}, {where}")
    print(f"{path.name}: {len(told)} objects")


main()
