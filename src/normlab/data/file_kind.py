"""What a file holds by its first bytes, so that a message says what was seen instead of guessing at damage."""

from __future__ import annotations

from pathlib import Path

HEAD = 512  # bytes that are looked at

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"GIF87a", "a GIF image"),
    (0, b"GIF89a", "a GIF image"),
    (0, b"II*\0", "a TIFF image"),
    (0, b"MM\0*", "a TIFF image"),
    (8, b"WEBP", "a WebP image"),
    (4, b"ftypavif", "an AVIF image"),
    (4, b"ftypavis", "an AVIF image"),
    (4, b"ftyphei", "a HEIC image"),
    (4, b"ftyphev", "a HEIC image"),
    (4, b"ftypmif1", "a HEIC image"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (0, b"qoif", "a QOI image"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"%PDF", "a PDF"),
    (0, b"PAR1", "a parquet file"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ", "xz"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"7z\xbc\xaf", "a 7z archive"),
    (257, b"ustar", "a tar archive that is not compressed"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"SQLite format 3", "an SQLite database"),
    (0, b"version https://git-lfs", "a Git LFS pointer in place of the file: run `git lfs pull`"),
)
_MARKUP = ((b"<!doctype html", "a web page (HTML)"), (b"<html", "a web page (HTML)"), (b"<svg", "an SVG drawing"))


def kind_of(head: bytes) -> str:
    """Name what a file that begins so holds ("a PNG image", "a web page (HTML)"); "" if that is not known."""
    if not head:
        return "nothing: it is empty"
    for offset, signature, name in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return name
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"<?xml"):
        text = text[text.find(b"?>") + 2 :].lstrip()
    return next((name for start, name in _MARKUP if text.startswith(start)), "")


def kind_of_file(path: Path) -> str:
    """Name what a file holds; "" if that is not known or the file cannot be read."""
    try:
        if not path.is_file():  # a pipe would wait for its writer
            return ""
        with open(path, "rb") as file:
            return kind_of(file.read(HEAD))
    except OSError:
        return ""


def seen_in(head: bytes) -> str:
    """Return ": it holds ..." for a message, "" if what the file holds is not known."""
    kind = kind_of(head)
    return f": it holds {kind}" if kind else ""
