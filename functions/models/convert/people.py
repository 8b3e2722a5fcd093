"""Draws a video of people with and without masks, and tells what is to be found in it.

    python3 people.py video|truth PICTURES OUT

No public video of faces with masks comes in a package. So two photographs in the public domain (the astronaut Eileen
Collins, by NASA; Grace Hopper, by the US Navy) are moved past a camera, bare and with a mask painted on.
"""

import json
import math
import sys
from pathlib import Path

import avi
from PIL import Image, ImageChops, ImageDraw, ImageFilter

SIZE, PER_SECOND, SCENE = (640, 480), 8, 16

# Of each photograph: the eyes, left and right as one sees them, and the face's box.
PEOPLE = {
    "astronaut.png": {"eyes": ((203, 102), (247, 103)), "face": (183, 60, 270, 178)},
    "hopper.jpg": {"eyes": ((221, 200), (304, 193)), "face": (176, 128, 358, 333)},
}

# A surgical mask, around the point between the eyes, in distances of the eyes: across, and down.
MASK = [
    (-1.02, 0.42), (-0.5, 0.34), (0, 0.26), (0.5, 0.34), (1.02, 0.42), (0.98, 1.0), (0.72, 1.5), (0.3, 1.82),
    (0, 1.88), (-0.3, 1.82), (-0.72, 1.5), (-0.98, 1.0),
]  # fmt: skip
STRAPS = [((-1.0, 0.45), (-1.35, 0.05)), ((1.0, 0.45), (1.35, 0.05)), ((-0.95, 1.1), (-1.35, 0.5)), ((0.95, 1.1), (1.35, 0.5))]
PLEATS = [0.75, 1.05, 1.35]
CLOTH, SEAM = (168, 205, 222), (132, 172, 194)
FINER = 4

# Of each scene: who is masked. The first is seen in the left half of the frame, the second in the right one.
SCENES = [(False, False), (True, False), (False, True), (True, True)]
HALF = (SIZE[0] // 2, SIZE[1])


def masked(photo, eyes):
    """The photograph with a mask painted on, as bright as the face below it."""
    (x1, y1), (x2, y2) = eyes
    across = (x2 - x1, y2 - y1)

    def at(point):
        u, v = point
        return (
            FINER * ((x1 + x2) / 2 + u * across[0] - v * across[1]),
            FINER * ((y1 + y2) / 2 + u * across[1] + v * across[0]),
        )

    size = (photo.width * FINER, photo.height * FINER)
    unit = FINER * math.hypot(*across)
    cloth, cover = Image.new("RGB", size, CLOTH), Image.new("L", size)
    draw, where = ImageDraw.Draw(cloth), ImageDraw.Draw(cover)
    for start, end in STRAPS:
        where.line([at(start), at(end)], 255, round(unit / 28))
    where.polygon([at(point) for point in MASK], 255)
    for down in PLEATS:
        draw.line([at((-1, down - 0.06)), at((0, down)), at((1, down - 0.06))], SEAM, round(unit / 24))
    cloth, cover = (layer.resize(photo.size, Image.Resampling.BOX) for layer in (cloth, cover))
    light = photo.convert("L").filter(ImageFilter.GaussianBlur(unit / FINER / 6))
    light = light.point([min(255, 110 + level * 5 // 8) for level in range(256)])
    shade = Image.merge("RGB", [light] * 3)
    return Image.composite(ImageChops.multiply(cloth, shade), photo, cover.filter(ImageFilter.GaussianBlur(0.6)))


def window(photo, face, progress):
    """The part of a photograph that the camera sees: it comes nearer, and sways."""
    left, top, right, bottom = face
    height = (bottom - top) * (2.7 - 0.8 * progress)
    width = height * HALF[0] / HALF[1]
    x = (left + right - width) / 2 + 0.15 * (right - left) * math.sin(2 * math.pi * progress)
    y = (top + bottom - height) / 2 + 0.1 * (bottom - top)
    x, y = min(max(x, 0), photo.width - width), min(max(y, 0), photo.height - height)
    return (x, y, x + width, y + height)


def frames(pictures):
    """Each frame, and which faces are where in it."""
    photos = {name: Image.open(pictures / name).convert("RGB") for name in PEOPLE}
    masks = {name: masked(photo, PEOPLE[name]["eyes"]) for name, photo in photos.items()}
    for scene in SCENES:
        for n in range(SCENE):
            frame, truth = Image.new("RGB", SIZE), []
            for half, (name, mask) in enumerate(zip(PEOPLE, scene, strict=True)):
                photo, face = (masks if mask else photos)[name], PEOPLE[name]["face"]
                seen = window(photo, face, n / SCENE)
                scale, offset = HALF[0] / (seen[2] - seen[0]), (half * HALF[0], 0)
                frame.paste(photo.resize(HALF, Image.Resampling.BILINEAR, box=seen), offset)
                box = [round((face[i] - seen[i % 2]) * scale + offset[i % 2], 1) for i in range(4)]
                truth.append({"box": box, "mask": mask})
            yield frame, truth


def main(what, pictures, out):
    drawn = list(frames(Path(pictures)))
    if what == "video":
        avi.write(out, [avi.jpeg(frame) for frame, _ in drawn], SIZE, PER_SECOND)
    else:
        lines = ",\n".join(json.dumps(truth) for _, truth in drawn)
        Path(out).write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
