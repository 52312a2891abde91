"""Images of every mode come out as a viewer shows them, and what was changed is named."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest

from normlab.data.image.images import load_images
from normlab.data.image.pixels import MAX_PIXELS, Decoded, decode_image
from normlab.data.image.prediction import describe_input, read_unlabelled
from normlab.errors import UserError

Image = pytest.importorskip("PIL.Image")
GREY = np.tile(np.linspace(0, 255, 32).round().astype(np.uint8), (32, 1))


def _encoded(image, form: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _decoded(content: bytes, **options) -> Decoded:
    return decode_image(content, "x.png", **{"size": 32, **options})


DEPTHS = {
    "16 bits": (GREY.astype(np.uint16) * 257, "PNG", 1, "more than 8 bits, 0 to 65535 scaled to 8 bits"),
    "16 bits in TIFF": (GREY.astype(np.uint16) * 257, "TIFF", 1, "more than 8 bits, 0 to 65535 scaled to 8 bits"),
    "12 bits": (GREY.astype(np.uint16) * 16, "TIFF", 1, "more than 8 bits, 0 to 4095 scaled to 8 bits"),
    "8 bits in 16": (GREY.astype(np.uint16), "PNG", 0, "more than 8 bits, 0 to 255 scaled to 8 bits"),
    "32 bits": (GREY.astype(np.int32) * 257, "TIFF", 1, "more than 8 bits, 0 to 65535 scaled to 8 bits"),
    "negative": (GREY.astype(np.int32) - 128, "TIFF", 0, "scaled from its least to its greatest value"),
    "floats to 1": ((GREY / 255).astype(np.float32), "TIFF", 0, "floats, 0 to 1 scaled to 8 bits"),
    "floats of 16 bits": (GREY.astype(np.float32) * 257, "TIFF", 0, "floats, 0 to 65535 scaled to 8 bits"),
    "floats of no range": (GREY.astype(np.float32) * 1000, "TIFF", 0, "floats, 0 to 255000 scaled to 8 bits"),
    "24 bits": (GREY.astype(np.int32) * 65793, "TIFF", 0, "more than 8 bits, 0 to 16777215 scaled to 8 bits"),
    "tiny floats": (GREY.astype(np.float32) * 1e-6, "TIFF", 0, "floats, 0 to 0.000254999"),
    "floats to 255": (GREY.astype(np.float32), "TIFF", 0, "floats, 0 to 255 scaled to 8 bits"),
}


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("channels", [1, 3])
def test_other_depths_are_scaled_by_their_range(depth, channels):
    values, form, tolerance, change = DEPTHS[depth]
    decoded = _decoded(_encoded(Image.fromarray(values), form), channels=channels)
    assert decoded.pixels.shape == (channels, 32, 32)
    assert np.abs(decoded.pixels.astype(int) - GREY).max() <= tolerance
    assert change in decoded.change


def _png_of_16_bit_colour(values_hw: np.ndarray) -> bytes:
    """Write what Pillow does not: a PNG of three channels of 16 bits."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    height, width = values_hw.shape
    rows = np.repeat(values_hw[..., None], 3, -1).astype(">u2")
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_colour_is_read_if_it_uses_its_bits(channels):
    decoded = _decoded(_png_of_16_bit_colour(GREY.astype(int) * 257), channels=channels)
    assert np.abs(decoded.pixels[0].astype(int) - GREY).max() <= 1
    assert not _decoded(_png_of_16_bit_colour(GREY.astype(int) * 0), channels=channels).pixels.any()
    with pytest.raises(UserError, match=r"16-bit colour of which at most 12 bits are used; save it with 8 bits"):
        _decoded(_png_of_16_bit_colour(GREY.astype(int) * 16), channels=channels)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_means_nothing_turns_nothing_and_is_not_told(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = _decoded(_encoded(Image.fromarray(GREY), "PNG", exif=exif))
    assert np.array_equal(decoded.pixels[0], GREY)
    assert decoded.change == ""


def test_values_that_are_no_numbers_are_refused():
    values = np.full((4, 4), np.nan, dtype=np.float32)
    with pytest.raises(UserError, match=r"x\.png: .*no finite numbers"):
        _decoded(_encoded(Image.fromarray(values), "TIFF"))


def test_black_image_stays_black_in_every_depth():
    for kind in (np.uint16, np.int32, np.float32):
        decoded = _decoded(_encoded(Image.fromarray(np.zeros((4, 4), kind)), "TIFF"))
        assert not decoded.pixels.any()


def _stroke(colour: int) -> np.ndarray:
    drawing = np.full((32, 32, 4), colour, np.uint8)
    drawing[..., 3] = 0
    drawing[8:24, 14:18, 3] = 255
    return drawing


@pytest.mark.parametrize(("colour", "background"), [(0, "white"), (200, "white"), (255, "black")])
def test_drawing_on_transparency_can_be_seen(colour, background):
    decoded = _decoded(_encoded(Image.fromarray(_stroke(colour))))
    assert decoded.pixels[:, 16, 16].tolist() == [colour] * 3
    assert decoded.pixels[:, 0, 0].tolist() == [255 if background == "white" else 0] * 3
    assert decoded.change == f"transparency laid over {background}"


def test_transparency_of_palettes_and_grey_images_is_laid_over_white():
    palette = Image.fromarray(np.stack([GREY] * 3, -1)).quantize(32)
    hidden = palette.getpixel((0, 0))
    decoded = _decoded(_encoded(palette, transparency=hidden))
    assert decoded.pixels[:, 0, 0].tolist() == [255] * 3
    grey = Image.fromarray(np.stack([GREY, np.where(GREY < 128, 0, 255).astype(np.uint8)], -1), mode="LA")
    decoded = _decoded(_encoded(grey), channels=1)
    assert decoded.pixels[0, 0].tolist() == [255 if value < 128 else value for value in GREY[0].tolist()]


def test_opaque_alpha_changes_nothing():
    opaque = np.stack([GREY, GREY, GREY, np.full_like(GREY, 255)], -1)
    decoded = _decoded(_encoded(Image.fromarray(opaque)))
    assert np.array_equal(decoded.pixels[1], GREY)
    assert decoded.change == ""


def test_palette_bilevel_and_plain_images_are_read_without_remark():
    rgb = Image.fromarray(np.stack([GREY] * 3, -1))
    for image, top in ((rgb, 0), (rgb.quantize(64), 4), (Image.fromarray(GREY), 0)):
        decoded = _decoded(_encoded(image))
        assert np.abs(decoded.pixels[0].astype(int) - GREY).max() <= top
        assert decoded.change == ""
    assert set(_decoded(_encoded(Image.fromarray(GREY > 127))).pixels.ravel().tolist()) == {0, 255}


def test_cmyk_and_first_of_several_frames_are_told():
    rgb = Image.fromarray(np.stack([GREY] * 3, -1))
    decoded = _decoded(_encoded(rgb.convert("CMYK"), "JPEG", quality=100))
    assert np.abs(decoded.pixels[0].astype(int) - GREY).max() <= 3
    assert decoded.change == "CMYK converted to RGB"
    other = Image.fromarray(255 - np.stack([GREY] * 3, -1))
    for form in ("GIF", "TIFF"):
        decoded = _decoded(_encoded(rgb, form, save_all=True, append_images=[other]))
        assert np.array_equal(decoded.pixels[0], GREY)
        assert decoded.change == "several frames, the first one used"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(form, orientation):
    """A camera held sideways stores the pixels as they came and says how to turn them."""
    corner = np.zeros((32, 32, 3), np.uint8)
    corner[:16, :16] = (255, 0, 0)
    corner[:16, 16:] = (0, 255, 0)
    # How the stored pixels have to be turned to come out as `corner`.
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a.transpose(1, 0, 2), 2),
        8: lambda a: np.rot90(a, -1),
    }
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](corner)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}.get(form, {})
    decoded = _decoded(_encoded(stored, form, exif=exif, **options))
    assert np.abs(decoded.pixels.transpose(1, 2, 0).astype(int) - corner).max() <= 30
    if form != "TIFF":  # which Pillow turns by itself
        assert decoded.change == ("" if orientation == 1 else "turned as its EXIF orientation says")


def test_decompression_bomb_is_refused_by_its_size(monkeypatch):
    monkeypatch.setattr("normlab.data.image.pixels.MAX_PIXELS", 1023)
    with pytest.raises(UserError, match=r"x\.png: .*32 x 32 pixels, at most 1,023 in all are read"):
        _decoded(_encoded(Image.fromarray(GREY)))
    assert MAX_PIXELS < 100_000_000


def test_enormous_header_is_refused_before_anything_is_decoded():
    content = bytearray(_encoded(Image.fromarray(GREY)))
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    with pytest.raises(UserError, match=r"x\.png: not a readable image"):
        _decoded(bytes(content))


def test_formats_that_start_other_programs_are_not_opened():
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    with pytest.raises(UserError, match=r"x\.png: not a readable image"):
        _decoded(postscript)


def test_warnings_of_pillow_are_told_once_and_not_printed(tmp_path):
    folder = tmp_path / "set"
    for name in ("ant", "bee"):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            palette = Image.fromarray(np.stack([GREY] * 3, -1)).quantize(16)
            palette.save(folder / name / f"{number}.png", transparency=bytes([0] + [255] * 15))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = load_images(folder)
    assert dataset.notes[-1].startswith("changed beside the size: ")
    assert "transparency laid over white: 6 images" in dataset.notes[-1]


def test_folder_with_broken_images_is_read_and_they_are_named(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    Image.fromarray(GREY).save(tmp_path / "c.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    images = list(read_unlabelled(tmp_path, size=32))
    assert [image.name for image in images] == ["a.png", "b.png", "c.png"]
    assert [image.pixels is None for image in images] == [False, True, False]
    assert images[1].error.startswith("not a readable image (")
    assert (
        describe_input(tmp_path) == "a folder of 3 images; left out 2 files: dead link 1 (gone.png), .txt 1 (notes.txt)"
    )


@pytest.mark.parametrize("name", ["x.png", "x.csv", "x"])
def test_pipe_is_refused_at_once(tmp_path: Path, name: str):
    import os

    os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match="no regular file"):
        read_unlabelled(tmp_path / name, size=32)
    with pytest.raises(UserError, match="no regular file"):
        load_images(tmp_path / name)


def test_dead_link_is_named(tmp_path: Path):
    (tmp_path / "x.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"x\.png: a dead link"):
        read_unlabelled(tmp_path / "x.png", size=32)
    with pytest.raises(UserError, match=r"x\.png: a dead link"):
        load_images(tmp_path / "x.png")
