"""Writes frames as Motion-JPEG in AVI: the one kind of video that needs no codec but JPEG."""

import io
import struct

RATE = 16_000


def jpeg(picture, quality=88):
    """A picture of Pillow's as JPEG, the same bytes each time."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, subsampling="4:2:0")
    return out.getvalue()


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def listed(kind, data):
    return chunk(b"LIST", kind + data)


def stream(kind, codec, scale, rate, length, largest, sample, format_):
    about = struct.pack(
        "<4s4sIHHIIIIIIiI4H", kind, codec, 0, 0, 0, 0, scale, rate, 0, length, largest, -1, sample, 0, 0, 0, 0
    )
    return listed(b"strl", chunk(b"strh", about) + chunk(b"strf", format_))


def write(path, frames, size, per_second, sound=None):
    """`frames`: JPEG files. `size`: width and height in pixels. `sound`: 16 bits, mono, 16 kHz, as bytes."""
    (width, height), n, largest = size, len(frames), max(map(len, frames))
    bitmap = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"MJPG", width * height * 3, 0, 0, 0, 0)
    streams = stream(b"vids", b"MJPG", 1, per_second, n, largest, 0, bitmap)
    if sound is not None:
        wave = struct.pack("<HHIIHHH", 1, 1, RATE, 2 * RATE, 2, 16, 0)
        streams += stream(b"auds", b"\0\0\0\0", 1, RATE, len(sound) // 2, 2 * RATE // per_second, 2, wave)
    index, data, at = [], [], 4
    for i, frame in enumerate(frames):
        parts = [(b"00dc", frame)]
        if sound is not None:
            of_frame = 2 * RATE // per_second
            parts.append((b"01wb", sound[i * of_frame : (i + 1) * of_frame]))
        for name, part in parts:
            index.append(struct.pack("<4sIII", name, 0x10, at, len(part)))
            data.append(chunk(name, part))
            at += len(data[-1])
    header = struct.pack(
        "<14I", 1_000_000 // per_second, largest * per_second, 0, 0x10, n, 0, 1 + (sound is not None), largest,
        width, height, 0, 0, 0, 0,
    )  # fmt: skip
    body = listed(b"hdrl", chunk(b"avih", header) + streams)
    body += listed(b"movi", b"".join(data)) + chunk(b"idx1", b"".join(index))
    with open(path, "wb") as file:
        file.write(chunk(b"RIFF", b"AVI " + body))
