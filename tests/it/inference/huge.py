"""Writes a picture that is small on its way and huge where it is unpacked: 20,000 by 20,000 pixels, all black, as PNG."""

import struct
import sys
import zlib

SIDE = 20_000


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# A bit for each pixel, and a byte before each row.
header = struct.pack(">IIBBBBB", SIDE, SIDE, 1, 0, 0, 0, 0)
rows = zlib.compress(bytes(SIDE * (1 + SIDE // 8)), 9)
png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
sys.stdout.buffer.write(png)
