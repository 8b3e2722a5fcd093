"""Measures the models on the samples: the numbers that the cards tell.

    cargo xtask tools && cargo xtask models --all
    PYTHONPATH=target/inference-tools python3 functions/models/measure.py
"""

import json
import re
import time

import cv2
import numpy as np
import reference
from golden import labels, pattern


def truth(name):
    return json.loads((reference.TARGET / "samples" / name).read_text())


def people():
    """The frames of `people.avi`, each with the faces that are in it."""
    return list(zip(reference.frames("people.avi"), truth("people.json"), strict=True))


def matched(found, faces, least=0.4):
    """For each face the best of what was found on it, or nothing; and how much was found beside the faces."""
    best, used = [], set()
    for face in faces:
        close = [(reference.iou(one[1], face["box"]), i) for i, one in enumerate(found) if i not in used]
        share, i = max(close, default=(0, None))
        best.append((share, found[i]) if share >= least else None)
        used |= {i} if share >= least else set()
    return best, len(found) - len(used)


def detectors():
    for name, find in [("centerface", reference.centerface), ("blazeface", reference.blazeface)]:
        model = reference.session(name)
        right, false, shares, scores = 0, 0, [], []
        for frame, faces in people():
            best, beside = matched(find(model, frame), faces)
            hits = [one for one in best if one]
            right, false = right + len(hits), false + beside
            shares += [share for share, _ in hits]
            scores += [found[0] for _, found in hits]
        print(
            f"{name}: {right} of {2 * len(people())} faces, {false} false; "
            f"IoU {np.mean(shares):.2f}; lowest score {min(scores):.2f}"
        )


def blocks(n):
    """A face as n blocks from top to bottom, each its mean: nothing finer is left. With no blocks: filled."""

    def blurred(face):
        height, width = face.shape[:2]
        across = max(1, round(n * width / height))
        small = cv2.resize(face, (across, n), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)

    return blurred


def smooth(n):
    """The same, the blocks' edges blurred away."""
    return lambda face: cv2.GaussianBlur(blocks(n)(face), (0, 0), face.shape[0] / n / 2)


def masks():
    detector, model = reference.session("centerface"), reference.session("mask")
    cases = []
    for frame, faces in people():
        best, _ = matched(reference.centerface(detector, frame), faces)
        cases += [(frame, one[1][1], face["mask"]) for one, face in zip(best, faces, strict=True) if one]
    wears = np.array([mask for *_, mask in cases])
    print("\n| face | margin | right | masked | bare |\n|---|---|---|---|---|")
    ways = [("as it is", margin, lambda face: face) for margin in (-0.1, 0, 0.1, 0.2, 0.4)]
    ways += [(f"{n} blocks", 0, blocks(n)) for n in (32, 16, 12, 8, 6, 4)]
    ways += [(f"{n} blocks, blurred", 0, smooth(n)) for n in (16, 8, 4)]
    ways += [("filled with its mean", 0, blocks(1))]
    for name, margin, how in ways:
        found = np.array([reference.mask(model, how(reference.cut(frame, box, margin))) for frame, box, _ in cases])
        right = (found > 0.5) == wears
        print(f"| {name} | {margin} | {right.mean():.0%} | {right[wears].mean():.0%} | {right[~wears].mean():.0%} |")


def fires():
    model, smoke = reference.session("fire"), reference.session("fire-smoke")
    print("\n| picture | fire | fire-smoke |\n|---|---|---|")
    names = [*(f"camera-{n}.jpg" for n in range(8)), "rocket.jpg", "coffee.png", "chelsea.png", "astronaut.png"]
    for name in [*names, "hopper.jpg", "motorcycle_left.png"]:
        picture = reference.picture(name)
        found = [f"{('smoke', 'fire')[c]} {score:.2f}" for score, _, c in reference.fire_smoke(smoke, picture)]
        print(f"| {name} | {reference.fire(model, picture):.2f} | {', '.join(found) or '-'} |")


def words(text):
    return re.sub(r"[^a-z0-9 ]", " ", text.lower()).split()


def errors(said, heard):
    """Words to change, add or drop (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        row, last = [i], row
        for j, other in enumerate(heard, 1):
            row.append(min(last[j] + 1, row[-1] + 1, last[j - 1] + (word != other)))
    return row[-1]


def speech():
    samples, spoken = reference.sound("talk.wav"), truth("talk.json")["spoken"]
    probabilities = reference.voice(reference.session("silero-vad-sequence"), samples)
    again = reference.voice_by_window(reference.session("silero-vad"), samples)
    print(f"\nsilero-vad: window by window differs by {np.abs(probabilities - again).max():.1g}")
    print("spoken", [(part["start"], part["end"]) for part in spoken], "found", reference.segments(probabilities))
    encoder, decoder = reference.session("whisper-encoder"), reference.session("whisper-decoder")
    vocabulary = (reference.TARGET / "models/whisper-vocabulary.txt").read_text().split("\n")
    print("\n| frames | clip | CPU s | heard | wrong words |\n|---|---|---|---|---|")
    for frames in (3000, 1500, 1000):
        for part in spoken:
            clip = samples[int(part["start"] * reference.RATE) : int(part["end"] * reference.RATE)]
            start = time.process_time()
            heard = reference.transcript(encoder, decoder, vocabulary, clip, frames)
            took = time.process_time() - start
            wrong = f"{errors(words(part['text']), words(heard))} of {len(words(part['text']))}"
            print(f"| {frames} | {part['end'] - part['start']:.1f} s | {took:.2f} | {heard} | {wrong} |")


def objects():
    model, names = reference.session("centernet"), labels("coco")
    print()
    for name in ["motorcycle_left.png", "coffee.png", "astronaut.png", "chelsea.png", "hopper.jpg", "rocket.jpg"]:
        found = reference.centernet(model, reference.picture(name))
        print(f"centernet, {name}:", ", ".join(f"{names[c]} {score:.2f}" for score, _, c in found) or "-")
    every = [reference.centernet(model, f) for i, f in enumerate(reference.frames("vtest.avi")) if i % 40 == 0]
    counts = {}
    for found in every:
        for _, _, c in found:
            counts[names[c]] = counts.get(names[c], 0) + 1
    print(f"centernet, {len(every)} frames of vtest.avi:", counts)


SIZES = {
    "blazeface": [128, 128, 3], "centerface": [3, 480, 640], "centernet": [512, 512, 3], "mask": [3, 128, 128],
    "efficientnet-lite0": [3, 224, 224], "fire": [3, 224, 224], "fire-smoke": [3, 640, 640],
}  # fmt: skip


def costs():
    print("\n| model | CPU ms, one thread: batch of 1 | of 4, each | of 8, each |\n|---|---|---|---|")
    for name, shape in SIZES.items():
        model = reference.session(name)
        took = []
        for n in (1, 4, 8):
            fed = {model.get_inputs()[0].name: pattern([n, *shape], 1, 0)}
            model.run(None, fed)
            rounds = []
            for _ in range(5):
                start = time.process_time()
                model.run(None, fed)
                rounds.append((time.process_time() - start) / n * 1000)
            took.append(f"{min(rounds):.2f}")
        print(f"| {name} | {' | '.join(took)} |")


if __name__ == "__main__":
    for part in [detectors, masks, objects, fires, speech, costs]:
        part()
