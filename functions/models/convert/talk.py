"""Draws a slide show with a voice: what is spoken has nothing to do with what is seen, but both are known.

    python3 talk.py video|sound|truth PICTURES OUT
"""

import json
import struct
import sys
import wave
from pathlib import Path

import avi
import numpy as np
from PIL import Image

SIZE, PER_SECOND, SECONDS = (640, 480), 8, 3
SLIDES = [("motorcycle_left.png", "motorcycle"), ("coffee.png", "cup"), ("astronaut.png", "person")]
CLIPS = [
    ("hello_world.wav", "Hello world."),
    ("quick_brown_fox.wav", "The quick brown fox jumps over the lazy dog."),
    ("counting.wav", "One two three four five six seven eight nine ten."),
]
PAUSE = avi.RATE * 6 // 10
LENGTH = avi.RATE * SECONDS * len(SLIDES)


def clip(path):
    """The samples of a file of floats, which the standard library does not read."""
    data = path.read_bytes()
    at = 12
    while data[at : at + 4] != b"data":
        at += 8 + struct.unpack_from("<I", data, at + 4)[0]
    (size,) = struct.unpack_from("<I", data, at + 4)
    samples = np.frombuffer(data, "<f4", size // 4, at + 8)
    return np.round(samples.clip(-1, 1) * np.float32(32767)).astype("<i2")


def sound(pictures):
    """The clips with silence between them, and when each is heard."""
    track, truth, at = np.zeros(LENGTH, "<i2"), [], PAUSE // 2
    for name, text in CLIPS:
        samples = clip(Path(pictures, name))
        track[at : at + len(samples)] = samples
        seconds = [round(place / avi.RATE, 3) for place in (at, at + len(samples))]
        truth.append({"start": seconds[0], "end": seconds[1], "text": text})
        at += len(samples) + PAUSE
    return track.tobytes(), truth


def frames(pictures):
    for name, _ in SLIDES:
        photo = Image.open(Path(pictures, name)).convert("RGB")
        for n in range(PER_SECOND * SECONDS):
            # The camera comes nearer.
            part = 1 - n / 400
            x, y = photo.width * (1 - part) / 2, photo.height * (1 - part) / 2
            seen = photo.resize(SIZE, Image.Resampling.BILINEAR, box=(x, y, photo.width - x, photo.height - y))
            yield avi.jpeg(seen)


def main(what, pictures, out):
    track, spoken = sound(pictures)
    if what == "video":
        avi.write(out, list(frames(pictures)), SIZE, PER_SECOND, track)
    elif what == "sound":
        with wave.open(out, "wb") as file:
            file.setparams((1, 2, avi.RATE, 0, "NONE", ""))
            file.writeframes(track)
    else:
        seen = [
            {"start": i * SECONDS, "end": (i + 1) * SECONDS, "class": class_} for i, (_, class_) in enumerate(SLIDES)
        ]
        Path(out).write_text(json.dumps({"spoken": spoken, "seen": seen}, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
