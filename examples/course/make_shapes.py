"""Draw a folder of 25 classes, five shapes in five colours, of any size: `python make_shapes.py shapes`.

`shapes/train/CLASS/*.png` and `shapes/test/CLASS/*.png`; size, place, background and exact colour differ from one
picture to the next, and are the same every time.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw

COLOURS = {
    "red": (215, 50, 45),
    "green": (55, 165, 70),
    "blue": (50, 90, 215),
    "yellow": (235, 205, 60),
    "white": (240, 240, 240),
}
SHAPES = ("circle", "square", "triangle", "cross", "ring")
PICTURES = {"train": 24, "test": 6}  # of each class


def main(folder: Path) -> None:
    """Write all pictures."""
    draw = random.Random(0)
    for split, count in PICTURES.items():
        for shape in SHAPES:
            for colour, rgb in COLOURS.items():
                place = folder / split / f"{colour}_{shape}"
                place.mkdir(parents=True, exist_ok=True)
                for number in range(count):
                    picture(draw, shape, rgb).save(place / f"{number:02}.png")
    print(
        f"{folder}: {len(SHAPES) * len(COLOURS)} classes, {PICTURES['train']} and {PICTURES['test']} pictures of each"
    )


def picture(draw: random.Random, shape: str, rgb: tuple[int, int, int]) -> Image.Image:
    """Return a picture of a shape somewhere on a plain, darker ground."""
    width, height = draw.randint(40, 140), draw.randint(40, 140)
    image = Image.new("RGB", (width, height), tuple(draw.randint(20, 110) for _ in range(3)))
    side = min(width, height) * draw.uniform(0.55, 0.9)
    left, top = draw.uniform(0, width - side), draw.uniform(0, height - side)
    box = (left, top, left + side, top + side)
    fill = tuple(max(0, min(255, value + draw.randint(-15, 15))) for value in rgb)
    pen = ImageDraw.Draw(image)
    if shape == "circle":
        pen.ellipse(box, fill=fill)
    elif shape == "ring":
        pen.ellipse(box, outline=fill, width=round(side / 5))
    elif shape == "square":
        pen.rectangle(box, fill=fill)
    elif shape == "triangle":
        pen.polygon([(left + side / 2, top), (left, top + side), (left + side, top + side)], fill=fill)
    else:
        third = side / 3
        pen.rectangle((left + third, top, left + 2 * third, top + side), fill=fill)
        pen.rectangle((left, top + third, left + side, top + 2 * third), fill=fill)
    return image


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
