"""Draws what a camera sees of a wall, picture by picture: numbers 3 to 6 have a fire before it.

    python3 flames.py NUMBER PICTURES OUT        NUMBER: 0 to 7

No public picture of a fire comes in a package: these are synthetic, and say nothing about accuracy on real ones.
"""

import random
import sys
from pathlib import Path

import avi
from PIL import Image, ImageFilter

SIZE = (640, 480)
FIRST, LAST = 3, 6
# Cells of the fire.
COLUMNS, ROWS = 80, 60
HOTTEST = 63
# From cold to hot: black, red, orange, yellow, white; and how much of the wall is covered.
COLORS = [(0, (30, 0, 0), 0), (12, (140, 20, 0), 90), (28, (230, 90, 10), 200), (46, (255, 190, 40), 245), (63, (255, 250, 220), 255)]


def color(heat):
    for (low, a, cover), (high, b, more) in zip(COLORS, COLORS[1:], strict=False):
        if heat <= high:
            part = heat - low, high - low
            mixed = [x + (y - x) * part[0] // part[1] for x, y in zip((*a, cover), (*b, more), strict=True)]
            return tuple(mixed)
    raise ValueError(heat)


def fire(number):
    """Heat that rises, and cools on its way up; larger in each picture."""
    chance = random.Random(number)
    half = 8 + 5 * (number - FIRST)
    heat = [[0] * COLUMNS for _ in range(ROWS)]
    for _ in range(120):
        for x in range(COLUMNS // 2 - half, COLUMNS // 2 + half):
            heat[-1][x] = HOTTEST if chance.random() < 0.7 else HOTTEST // 2
        for y in range(ROWS - 1):
            for x in range(COLUMNS):
                below = heat[y + 1][(x + chance.choice((-1, 0, 0, 1))) % COLUMNS]
                heat[y][x] = max(0, below - chance.choice((0, 1, 1, 2, 3)))
    picture = Image.new("RGBA", (COLUMNS, ROWS))
    picture.putdata([color(cell) for row in heat for cell in row])
    return picture.filter(ImageFilter.GaussianBlur(1)).resize(SIZE, Image.Resampling.BICUBIC)


def main(number, pictures, out):
    number = int(number)
    wall = Image.open(Path(pictures, "brick.png")).convert("RGB").crop((0, 0, 512, 384)).resize(SIZE)
    # The sun moves on.
    wall = wall.point([level * (22 + number) // 36 for level in range(256)] * 3)
    if FIRST <= number <= LAST:
        flames = fire(number)
        glow = flames.filter(ImageFilter.GaussianBlur(40))
        wall.paste(glow, mask=glow.getchannel("A").point([level // 2 for level in range(256)]))
        wall.paste(flames, mask=flames.getchannel("A"))
    Path(out).write_bytes(avi.jpeg(wall))


if __name__ == "__main__":
    main(*sys.argv[1:])
