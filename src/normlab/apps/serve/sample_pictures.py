"""Sample pictures, drawn by code: simple things of CIFAR-10's classes, and stripes that are none of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Color = tuple[int, int, int]
SIZE = 256


def write_pictures(folder: Path) -> dict[str, Path]:
    """Draw each sample into a folder as PNG; return name -> file."""
    files = {}
    for name, (top, bottom, draw) in _PICTURES.items():
        image, pen = _canvas(top, bottom)
        draw(pen)
        files[name] = folder / f"{name}.png"
        image.save(files[name])
    return files


def _canvas(top: Color, bottom: Color) -> tuple[Any, Any]:
    """Return a picture whose colour goes from one at the top to another at the bottom, and a pen to draw on it."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (SIZE, SIZE))
    pen = ImageDraw.Draw(image)
    for y in range(SIZE):
        share = y / (SIZE - 1)
        mixed = tuple(round(a + (b - a) * share) for a, b in zip(top, bottom, strict=True))
        pen.line([(0, y), (SIZE, y)], fill=mixed)
    return image, pen


def _ship(pen: Any) -> None:
    pen.rectangle([0, 150, SIZE, SIZE], fill=(45, 80, 125))
    pen.polygon([(30, 130), (226, 130), (200, 176), (56, 176)], fill=(150, 40, 40))
    pen.rectangle([30, 126, 226, 138], fill=(235, 235, 235))
    pen.rectangle([90, 90, 180, 128], fill=(245, 245, 245))
    pen.rectangle([110, 66, 160, 92], fill=(230, 230, 235))
    pen.rectangle([125, 36, 145, 68], fill=(200, 60, 40))
    for x in range(98, 176, 14):
        pen.rectangle([x, 100, x + 7, 108], fill=(60, 80, 110))


def _airplane(pen: Any) -> None:
    pen.ellipse([20, 108, 230, 146], fill=(235, 238, 242))
    pen.polygon([(110, 128), (170, 128), (120, 206), (94, 206)], fill=(150, 160, 175))
    pen.polygon([(118, 118), (160, 118), (130, 66), (110, 66)], fill=(200, 206, 214))
    pen.polygon([(24, 122), (62, 116), (36, 66), (16, 66)], fill=(60, 90, 150))
    pen.polygon([(26, 128), (60, 128), (36, 150), (18, 150)], fill=(150, 160, 175))
    for x in range(80, 200, 12):
        pen.rectangle([x, 118, x + 5, 123], fill=(90, 110, 140))


def _truck(pen: Any) -> None:
    pen.rectangle([0, 180, SIZE, SIZE], fill=(110, 110, 112))
    pen.rectangle([20, 60, 168, 182], fill=(245, 245, 245))
    pen.rectangle([20, 100, 168, 120], fill=(40, 90, 170))
    pen.polygon([(172, 96), (214, 96), (236, 136), (236, 184), (172, 184)], fill=(190, 40, 35))
    pen.polygon([(184, 106), (210, 106), (224, 136), (184, 136)], fill=(70, 90, 110))
    for x in (58, 120, 206):
        pen.ellipse([x - 22, 166, x + 22, 210], fill=(30, 30, 32))
        pen.ellipse([x - 9, 179, x + 9, 197], fill=(170, 170, 175))


def _automobile(pen: Any) -> None:
    pen.rectangle([0, 170, SIZE, SIZE], fill=(120, 120, 120))
    pen.polygon([(60, 120), (92, 82), (168, 82), (204, 120)], fill=(170, 25, 30))
    pen.polygon([(72, 119), (96, 90), (126, 90), (126, 119)], fill=(80, 100, 120))
    pen.polygon([(134, 119), (134, 90), (164, 90), (190, 119)], fill=(80, 100, 120))
    pen.rounded_rectangle([18, 118, 240, 176], 18, fill=(200, 30, 35))
    pen.rectangle([222, 132, 240, 146], fill=(255, 240, 170))
    pen.rectangle([18, 132, 30, 146], fill=(120, 10, 10))
    for x in (70, 190):
        pen.ellipse([x - 28, 146, x + 28, 202], fill=(25, 25, 27))
        pen.ellipse([x - 14, 160, x + 14, 188], fill=(180, 180, 185))


def _frog(pen: Any) -> None:
    green = (84, 158, 60)
    pen.ellipse([50, 90, 206, 210], fill=(70, 140, 50))
    pen.ellipse([70, 56, 186, 150], fill=green)
    for x in (92, 164):
        pen.ellipse([x - 20, 44, x + 20, 84], fill=green)
        pen.ellipse([x - 12, 50, x + 12, 74], fill=(240, 220, 90))
        pen.ellipse([x - 5, 52, x + 5, 72], fill=(10, 10, 10))
    pen.arc([88, 90, 168, 134], 10, 170, fill=(30, 70, 20), width=5)
    pen.ellipse([84, 150, 172, 206], fill=(190, 200, 120))
    for x in (46, 172):
        pen.ellipse([x, 160, x + 44, 216], fill=(60, 125, 45))


def _cat(pen: Any) -> None:
    fur, pink = (120, 110, 100), (220, 160, 150)
    pen.ellipse([70, 150, 186, 270], fill=fur)
    pen.polygon([(66, 110), (74, 30), (126, 80)], fill=fur)
    pen.polygon([(190, 110), (182, 30), (130, 80)], fill=fur)
    pen.polygon([(76, 92), (82, 50), (108, 80)], fill=pink)
    pen.polygon([(180, 92), (174, 50), (148, 80)], fill=pink)
    pen.ellipse([58, 62, 198, 186], fill=fur)
    for x in (98, 158):
        pen.ellipse([x - 16, 104, x + 16, 132], fill=(190, 210, 90))
        pen.ellipse([x - 5, 104, x + 5, 132], fill=(10, 10, 10))
    pen.ellipse([100, 130, 156, 176], fill=(225, 220, 210))
    pen.polygon([(118, 136), (138, 136), (128, 148)], fill=(210, 120, 120))
    for y in (150, 158):
        pen.line([(100, y), (40, y - 8)], fill=(240, 240, 240), width=2)
        pen.line([(156, y), (216, y - 8)], fill=(240, 240, 240), width=2)


def _bird(pen: Any) -> None:
    pen.rectangle([0, 196, SIZE, 210], fill=(100, 75, 50))
    pen.polygon([(60, 150), (10, 190), (30, 200), (90, 170)], fill=(90, 60, 40))
    pen.ellipse([56, 90, 190, 190], fill=(150, 100, 60))
    pen.ellipse([90, 110, 190, 192], fill=(220, 130, 70))
    pen.ellipse([140, 56, 210, 124], fill=(140, 95, 60))
    pen.polygon([(204, 84), (240, 94), (204, 102)], fill=(240, 190, 60))
    pen.ellipse([176, 76, 188, 88], fill=(10, 10, 10))
    pen.ellipse([66, 100, 140, 168], fill=(110, 75, 45))
    for x in (120, 140):
        pen.line([(x, 188), (x, 200)], fill=(60, 40, 20), width=4)


def _stripes(pen: Any) -> None:
    for x in range(0, SIZE, 64):
        pen.rectangle([x, 0, x + 31, SIZE], fill=(235, 225, 90))


# name -> colour at the top, at the bottom, and what is drawn on it
_PICTURES: dict[str, tuple[Color, Color, Callable[[Any], None]]] = {
    "ship": ((170, 200, 230), (210, 225, 240), _ship),
    "airplane": ((110, 160, 220), (190, 215, 240), _airplane),
    "truck": ((190, 205, 220), (220, 225, 230), _truck),
    "automobile": ((200, 210, 215), (225, 228, 230), _automobile),
    "frog": ((120, 100, 70), (90, 75, 50), _frog),
    "cat": ((150, 130, 110), (170, 150, 125), _cat),
    "bird": ((200, 220, 235), (215, 230, 235), _bird),
    "stripes": ((60, 60, 120), (60, 60, 120), _stripes),
}
