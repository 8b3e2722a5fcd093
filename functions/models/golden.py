"""Makes the golden files that tests hold inference beside: what Python's ONNX Runtime answers to known numbers
(`golden/NAME.json`), and what is found in the samples (`golden/samples.json`).

    cargo xtask tools && cargo xtask models --all
    PYTHONPATH=target/inference-tools python3 functions/models/golden.py

An input is told by a recipe, for no picture is to be decoded: element i of `pattern` is
((i * 7919) mod 256) / 255 * scale + offset, computed in 32 bits. An output is told by its first numbers, its sum, its
largest number and where that is.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import reference

GOLDEN = Path(__file__).parent / "golden"
TOLERANCE = {"absolute": 1e-4, "relative": 1e-3}

# The inputs of each model: name, shape, and the pattern's scale and offset, or whole numbers.
MODELS = {
    "blazeface": [("input", [1, 128, 128, 3], 2, -1)],
    "centerface": [("input", [1, 3, 96, 128], 255, 0)],
    "centernet": [("images", [1, 512, 512, 3], 255, 0)],
    "mask": [("input", [2, 3, 128, 128], 2, -1)],
    "efficientnet-lite0": [("input", [2, 3, 224, 224], 4, -2)],
    "fire": [("input", [2, 3, 224, 224], 1, 0)],
    "fire-smoke": [("images", [1, 3, 640, 640], 1, 0)],
    "silero-vad": [("input", [2, 576], 0.5, -0.25), ("state", [2, 2, 128], 0, 0), ("sr", [], [16000])],
    "silero-vad-sequence": [("input", [5, 576], 0.5, -0.25), ("h", [1, 1, 128], 0, 0), ("c", [1, 1, 128], 0, 0)],
    "whisper-encoder": [("mel", [1, 80, 200], 2, -1)],
    "whisper-decoder": [("tokens", [1, 4], [50257, 50362, 440, 2068]), ("audio", [1, 100, 384], 2, -1)],
}


def pattern(shape, scale, offset):
    i = np.arange(np.prod(shape), dtype=np.int64)
    values = (i * 7919 % 256).astype(np.float32) / np.float32(255) * np.float32(scale) + np.float32(offset)
    return values.reshape(shape)


def golden(name, inputs):
    told, fed = [], {}
    for input_, shape, *how in inputs:
        if len(how) == 1:
            fed[input_] = np.array(how[0], np.int64).reshape(shape)
            told.append({"name": input_, "dtype": "i64", "shape": shape, "values": how[0]})
        else:
            fed[input_] = pattern(shape, *how)
            told.append(
                {"name": input_, "dtype": "f32", "shape": shape, "pattern": {"scale": how[0], "offset": how[1]}}
            )
    model = reference.session(name)
    outputs = []
    for output, array in zip(model.get_outputs(), model.run(None, fed), strict=True):
        flat = array.reshape(-1)
        outputs.append(
            {
                "name": output.name,
                "dtype": {"float32": "f32", "int64": "i64"}[str(array.dtype)],
                "shape": list(array.shape),
                "first": [float(f"{value:.6g}") for value in flat[:16]],
                "sum": float(f"{flat.sum(dtype=np.float64):.6g}"),
                "max": float(f"{flat.max():.6g}"),
                "argmax": int(flat.argmax()),
            }
        )
    batch = batches(model, fed)
    return {"model": name, "batch": batch, "tolerance": TOLERANCE, "inputs": told, "outputs": outputs}


def batches(model, fed):
    """Whether several inputs may be put together along the first dimension, and answer as they do alone."""
    borders = [*model.get_inputs(), *model.get_outputs()]
    if not all(border.shape and border.shape[0] == "n" for border in borders):
        return False
    other = {name: array[..., ::-1] if array.dtype == np.float32 else array for name, array in fed.items()}
    both = model.run(None, {name: np.concatenate([array, other[name]]) for name, array in fed.items()})
    apart = [model.run(None, one) for one in (fed, other)]
    for together, *alone in zip(both, *apart, strict=True):
        np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-3, atol=1e-3)
    return True


def rounded(found):
    return [
        {"score": round(score, 3), "box": [round(side) for side in box]} | ({"class": rest[0]} if rest else {})
        for score, box, *rest in found
    ]


def labels(name):
    return (Path(__file__).parent / "labels" / f"{name}.txt").read_text().splitlines()


def samples():
    faces, mask = reference.session("centerface"), reference.session("mask")
    objects, classes = reference.session("centernet"), reference.session("efficientnet-lite0")
    smoke, fire = reference.session("fire-smoke"), reference.session("fire")
    encoder, decoder = reference.session("whisper-encoder"), reference.session("whisper-decoder")
    vocabulary = (reference.TARGET / "models/whisper-vocabulary.txt").read_text().split("\n")
    talk = reference.sound("talk.wav")
    told = {"faces": {}, "objects": {}, "classes": {}, "fire": {}, "masks": {}}
    for name in ["astronaut.png", "hopper.jpg"]:
        found = reference.centerface(faces, reference.picture(name))
        told["faces"][name] = rounded(found)
    for n, frame in enumerate(reference.frames("people.avi")):
        if n % 16 == 8:
            found = sorted(reference.centerface(faces, frame), key=lambda face: face[1][0])
            told["masks"][f"people.avi#{n}"] = [
                one | {"mask": round(reference.mask(mask, reference.cut(frame, face[1])), 3)}
                for one, face in zip(rounded(found), found, strict=True)
            ]
    for name in ["motorcycle_left.png", "coffee.png", "astronaut.png", "chelsea.png"]:
        told["objects"][name] = rounded(reference.centernet(objects, reference.picture(name)))
    told["objects"]["vtest.avi#0"] = rounded(reference.centernet(objects, next(reference.frames("vtest.avi"))))
    names = labels("imagenet")
    for name in ["chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg"]:
        found = reference.efficientnet(classes, reference.picture(name))
        best = np.argsort(-found)[:5]
        told["classes"][name] = [{"class": names[i], "score": round(float(found[i]), 3)} for i in best]
    for name in [*(f"camera-{n}.jpg" for n in range(8)), "coffee.png", "rocket.jpg", "chelsea.png"]:
        picture = reference.picture(name)
        told["fire"][name] = {
            "fire": round(reference.fire(fire, picture), 3),
            "fire-smoke": rounded(reference.fire_smoke(smoke, picture)),
        }
    voice = reference.voice(reference.session("silero-vad-sequence"), talk)
    told["speech"] = {
        "talk.wav": {
            "segments": reference.segments(voice),
            "text": reference.transcript(encoder, decoder, vocabulary, talk),
        }
    }
    return told


def lines(value, indent=0):
    """JSON with what has no more objects inside on one line."""
    if isinstance(value, dict) and any(isinstance(inner, (dict, list)) and inner for inner in value.values()):
        pad = " " * (indent + 1)
        body = ",\n".join(f"{pad}{json.dumps(key)}: {lines(inner, indent + 1)}" for key, inner in value.items())
        return f"{{\n{body}\n{' ' * indent}}}"
    if isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        pad = " " * (indent + 1)
        body = ",\n".join(f"{pad}{lines(inner, indent + 1)}" for inner in value)
        return f"[\n{body}\n{' ' * indent}]"
    return json.dumps(value)


def main():
    GOLDEN.mkdir(exist_ok=True)
    files = {name: golden(name, inputs) for name, inputs in MODELS.items()} | {"samples": samples()}
    for name, told in files.items():
        made_by = {"made_by": f"golden.py, onnxruntime {onnxruntime.__version__}, opencv {reference.cv2.__version__}"}
        (GOLDEN / f"{name}.json").write_text(lines(made_by | told) + "\n")


if __name__ == "__main__":
    main()
