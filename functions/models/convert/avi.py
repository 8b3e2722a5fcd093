"""Writes frames as Motion-JPEG in AVI: the one kind of video that needs no codec but JPEG."""

import io
import struct


def jpeg(picture, quality=88):
    """A picture of Pillow's as JPEG, the same bytes each time."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, subsampling="4:2:0")
    return out.getvalue()


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def listed(kind, data):
    return chunk(b"LIST", kind + data)


def write(path, frames, size, per_second):
    """`frames`: JPEG files. `size`: width and height in pixels."""
    (width, height), n, largest = size, len(frames), max(map(len, frames))
    bits = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"MJPG", width * height * 3, 0, 0, 0, 0)
    header = struct.pack(
        "<14I", 1_000_000 // per_second, largest * per_second, 0, 0x10, n, 0, 1, largest, width, height, 0, 0, 0, 0
    )
    stream = struct.pack(
        "<4s4sIHHIIIIIIII4H", b"vids", b"MJPG", 0, 0, 0, 0, 1, per_second, 0, n, largest, 0xFFFFFFFF, 0,
        0, 0, width, height,
    )  # fmt: skip
    stream_list = listed(b"strl", chunk(b"strh", stream) + chunk(b"strf", bits))
    index, data, at = b"", b"", 4
    for frame in frames:
        index += struct.pack("<4sIII", b"00dc", 0x10, at, len(frame))
        written = chunk(b"00dc", frame)
        data, at = data + written, at + len(written)
    body = listed(b"hdrl", chunk(b"avih", header) + stream_list) + listed(b"movi", data) + chunk(b"idx1", index)
    with open(path, "wb") as file:
        file.write(chunk(b"RIFF", b"AVI " + body))
