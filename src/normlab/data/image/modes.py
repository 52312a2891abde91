"""From any image that Pillow opens to plain 8-bit grey or RGB that looks as a viewer shows it.

Pillow's own `convert` cuts 16-bit and float values at 255, drops transparency, and ignores the
orientation of photographs. Every change that is made here is returned by name, so that it can be reported.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from normlab.data.image.source import AUTO

BACKGROUND = "white"  # under transparent pixels, with AUTO
_OTHER_BACKGROUND = "black"  # with AUTO, where all that can be seen is white
_MODES = {1: "L", 3: "RGB"}
WHOLE_RANGES = (255, 4095, 65535, 2**24 - 1, 2**31 - 1)  # of 8, 12, 16, 24 and 31 bits
FLOAT_RANGES = (1, 255, 4095, 65535)
_ORIENTATION = 0x0112  # the EXIF tag
_TURNS = range(2, 9)  # its values that turn or mirror; 1 is upright, and others mean nothing
_FOUR_BITS = 15  # the greatest value that 12 bits leave when Pillow keeps the upper 8 of 16


def plain_image(image: Any, channels: int, background: str = AUTO) -> tuple[Any, str]:
    """Return a Pillow image in mode L (1 channel) or RGB (3), and what was changed, "" if nothing worth telling.

    Args:
        background: a colour that `source.is_colour` knows, under transparent pixels; AUTO: white, or black if
            only white would be seen.

    Raises: ValueError for values that have no meaning as brightness, and whatever Pillow raises while it decodes.
    """
    several = getattr(image, "is_animated", False) and image.format != "MPO"
    colour16 = image.mode in ("RGB", "RGBA") and ";16" in str(image.tile)
    image.load()
    changes = ["several frames, the first one used"] if several else []
    image, turned = _upright(image)
    if turned:
        changes.append("turned as its EXIF orientation says")
    if image.mode.startswith("I") or image.mode == "F":
        image, scaled = _eight_bits(image)
        changes.append(scaled)
    elif image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image, laid = _opaque(image, background)
        if laid:
            changes.append(laid)
    elif image.mode in ("CMYK", "YCCK"):
        changes.append("CMYK converted to RGB")
    plain = image.convert(_MODES[channels])
    if colour16 and _darkest_bits(plain):
        raise ValueError("16-bit colour of which at most 12 bits are used; save it with 8 bits")
    return plain, "; ".join(changes)


def _upright(image: Any) -> tuple[Any, bool]:
    from PIL import ImageOps

    try:
        if image.getexif().get(_ORIENTATION) not in _TURNS:
            return image, False
        return ImageOps.exif_transpose(image), True
    except Exception:  # damaged EXIF raises anything; the pixels are fine without it
        return image, False


def _eight_bits(image: Any) -> tuple[Any, str]:
    """Scale whole numbers and floats to 0..255 by the smallest usual range that holds them.

    Signed values have no usual range: they are scaled from the least to the greatest.
    """
    from PIL import Image

    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("holds values that are no finite numbers")
    low, high = float(values.min()), float(values.max())
    kind = "floats" if image.mode == "F" else "more than 8 bits"
    if low < 0:
        scaled, change = (values - low) / (high - low or 1.0), "scaled from its least to its greatest value"
    else:
        ranges = FLOAT_RANGES if image.mode == "F" else WHOLE_RANGES
        top = next((float(top) for top in ranges if high <= top), high)
        if 0 < high * 255 / top < 1.5:  # it would be black, with a few specks
            top = high
        scaled, change = values / top, f"0 to {top:.10g} scaled to 8 bits"
    return Image.fromarray((scaled * 255).round().astype(np.uint8)), f"{kind}, {change}"


def _opaque(image: Any, background: str) -> tuple[Any, str]:
    """Lay an image with transparency over the background."""
    if image.mode == "La":
        image = image.convert("LA")
    image = image.convert("RGBA")
    least, greatest = image.getchannel("A").getextrema()
    if least == 255:
        return image, ""
    if background != AUTO:
        return _over(image, background), f"transparency laid over {background}"
    laid, background = _over(image, BACKGROUND), BACKGROUND
    if least != greatest and all(low == high for low, high in laid.getextrema()):
        laid, background = _over(image, _OTHER_BACKGROUND), _OTHER_BACKGROUND
    return laid, f"transparency laid over {background}"


def _over(image: Any, colour: str) -> Any:
    from PIL import Image

    return Image.alpha_composite(Image.new("RGBA", image.size, colour), image).convert("RGB")


def _darkest_bits(plain: Any) -> bool:
    extrema = plain.getextrema()
    greatest = max(high for _, high in extrema) if isinstance(extrema[0], tuple) else extrema[1]
    return 0 < greatest <= _FOUR_BITS
