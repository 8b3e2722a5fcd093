"""`functions/mask.yaml` in one Python process: the same steps and the same files, by OpenCV and ONNX Runtime.

From a video to its frames; each frame's faces found, told whether they wear a mask, and blurred; boxes and labels drawn;
one report and one animated preview.
"""

import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

# As the functions have them.
LEAST, OVERLAP, MARGIN, BLURRED_MARGIN, SMALLEST, BATCH = 0.3, 0.3, 0.1, 0.25, 20, 16
BLOCKS, SMALLEST_BLOCK, LEVEL = 4, 8, 16
GREEN, RED, GREY = (60, 170, 0), (30, 30, 210), (130, 130, 130)
PREVIEW, MOST_SHOWN, SHOWN_MS = 320, 48, 200


def moments(video, every):
    """What is on the screen each so many seconds: (time, frame)."""
    reader = cv2.VideoCapture(video)
    fps, count = reader.get(cv2.CAP_PROP_FPS), int(reader.get(cv2.CAP_PROP_FRAME_COUNT))
    wanted = [(n * every, min(int(n * every * fps + 1e-6), count - 1)) for n in range(round(count / fps / every))]
    at = -1
    for time, index in wanted:
        while at < index:
            assert reader.grab(), f"{video} ends at frame {at}"
            at += 1
        there, frame = reader.retrieve()
        assert there, f"{video} has no frame {index}"
        yield time, frame


def planes(image):
    return np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)


def find(model, image):
    """Faces: (score, box), the best first."""
    height, width = image.shape[:2]
    to_w, to_h = -(-width // 32) * 32, -(-height // 32) * 32
    if (to_w, to_h) != (width, height):
        image = cv2.resize(image, (to_w, to_h), interpolation=cv2.INTER_AREA)
    heat, scale, offset = model.run(None, {"input": planes(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))[None]})
    found = []
    for row, column in zip(*np.where(heat[0, 0] > LEAST), strict=True):
        h, w = np.exp(scale[0, :, row, column]) * 4
        y, x = (row + offset[0, 0, row, column] + 0.5) * 4, (column + offset[0, 1, row, column] + 0.5) * 4
        box = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2]).clip(0, [to_w, to_h] * 2)
        found.append((float(heat[0, 0, row, column]), box * ([width / to_w, height / to_h] * 2)))
    found.sort(key=lambda one: -one[0])
    kept = []
    for one in found:
        if all(iou(one[1], other[1]) < OVERLAP for other in kept):
            kept.append(one)
    return kept


def iou(a, b):
    both = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def part(box, margin, image):
    """The pixels of a box and what is around it."""
    x, y = (box[2] - box[0]) * margin, (box[3] - box[1]) * margin
    left, top = max(int(np.floor(box[0] - x)), 0), max(int(np.floor(box[1] - y)), 0)
    right, bottom = int(np.ceil(box[2] + x)), int(np.ceil(box[3] + y))
    return slice(top, min(bottom, image.shape[0])), slice(left, min(right, image.shape[1]))


def masks_of(model, image, found):
    """For each face (whether a mask is worn, how sure that is), or nothing where it is too small."""
    told = [None] * len(found)
    large = [i for i, (_, box) in enumerate(found) if min(box[2] - box[0], box[3] - box[1]) >= SMALLEST]
    for begin in range(0, len(large), BATCH):
        some = large[begin : begin + BATCH]
        cuts = [cv2.resize(image[part(found[i][1], MARGIN, image)], (128, 128), interpolation=cv2.INTER_AREA) for i in some]
        fed = np.stack([planes(cv2.cvtColor(cut, cv2.COLOR_BGR2RGB)) for cut in cuts]) / np.float32(127.5) - np.float32(1)
        (shares,) = model.run(None, {"input": fed})
        for i, (worn, bare) in zip(some, shares, strict=True):
            told[i] = (bool(worn >= bare), float(max(worn, bare)))
    return told


def blur(image, box):
    """A face as the means of few blocks, softly."""
    there = part(box, BLURRED_MARGIN, image)
    face = image[there]
    height, width = face.shape[:2]
    across, down = (min(max(side // SMALLEST_BLOCK, 1), BLOCKS) for side in (width, height))
    means = cv2.resize(face, (across, down), interpolation=cv2.INTER_AREA) // LEVEL * LEVEL + LEVEL // 2
    image[there] = cv2.resize(means, (width, height), interpolation=cv2.INTER_LINEAR)


def draw(image, box, label, colour):
    left, top, right, bottom = (int(side) for side in box)
    cv2.rectangle(image, (left, top), (right, bottom), colour, 2)
    cv2.rectangle(image, (left, top - 10), (left + 8 * len(label), top), colour, -1)
    cv2.putText(image, label, (left + 1, top - 2), cv2.FONT_HERSHEY_PLAIN, 0.7, (255, 255, 255))


def jpeg(path, image, quality):
    there, bytes_ = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert there
    path.write_bytes(bytes_)
    return bytes_


def small(image):
    height, width = image.shape[:2]
    scale = min(PREVIEW / width, PREVIEW / height, 1)
    made = cv2.resize(image, (int(width * scale), int(height * scale)), interpolation=cv2.INTER_AREA)
    return Image.fromarray(cv2.cvtColor(made, cv2.COLOR_BGR2RGB))


def run(video, folder, every, faces, masks, again):
    """Does all of it. With `again` each step reads the JPEG that the step before it wrote, as stages do."""
    folder = Path(folder)
    for name in ("frames", "blurred", "told"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    report = {"video": Path(video).name, "frames": 0, "faces": 0, "with_mask": 0, "without_mask": 0, "timeline": []}
    pictures = []
    for time, image in moments(video, every):
        name = f"{time:07.1f}s"
        if again:
            image = cv2.imdecode(jpeg(folder / "frames" / f"{name}.jpg", image, 88), cv2.IMREAD_COLOR)
        found = find(faces, image)
        told = masks_of(masks, image, found)
        for _, box in found:
            blur(image, box)
        blurred = jpeg(folder / "blurred" / f"{name}.jpg", image, 88)
        about = [
            {"rect": [round(float(side), 1) for side in box], "score": score, "mask": mask}
            for (score, box), mask in zip(found, told, strict=True)
        ]
        (folder / "blurred" / f"{name}.json").write_text(json.dumps({"time": time, "faces": about}))
        if again:
            image = cv2.imdecode(blurred, cv2.IMREAD_COLOR)
        for one in reversed(about):
            mask = one["mask"]
            label, colour = (f"face {one['score']:.2f}", GREY) if mask is None else (
                (f"mask {mask[1]:.2f}", GREEN) if mask[0] else (f"no mask {mask[1]:.2f}", RED)
            )
            draw(image, one["rect"], label, colour)
        drawn = jpeg(folder / "told" / f"{name}.jpg", image, 85)
        counts = [sum(m is not None and m[0] == worn for m in told) for worn in (True, False)]
        moment = {"time": time, "with_mask": counts[0], "without_mask": counts[1]}
        (folder / "told" / f"{name}.json").write_text(json.dumps(moment | {"faces": about}))
        report["timeline"].append(moment)
        report["frames"] += 1
        report["faces"] += len(found)
        report["with_mask"] += counts[0]
        report["without_mask"] += counts[1]
        pictures.append(drawn if again else image.copy())
    (folder / "report.json").write_text(json.dumps(report))
    shown = [pictures[n] for n in range(len(pictures)) if is_shown(n, len(pictures))]
    if again:
        shown = [cv2.imdecode(bytes_, cv2.IMREAD_COLOR) for bytes_ in shown]
    first, *rest = [small(image) for image in shown]
    first.save(folder / "preview.gif", save_all=True, append_images=rest, duration=SHOWN_MS, loop=0)
    return {key: report[key] for key in ("frames", "faces", "with_mask", "without_mask")}


def is_shown(number, of):
    shown = min(of, MOST_SHOWN)
    return number == 0 or number * shown // of > (number - 1) * shown // of
