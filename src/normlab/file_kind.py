"""What a file is by its first bytes, so that a message says what was seen instead of guessing at damage.

The signatures: https://en.wikipedia.org/wiki/List_of_file_signatures. Where one is made of letters alone, what has to
follow it in such a file is asked for as well: "PAR1" is also the name of a gene, and "BZh" may begin a text.
"""

from __future__ import annotations

import re
from pathlib import Path

HEAD = 512  # bytes that are looked at

WEB_PAGE = "a web page (HTML)"
PARQUET, DUCKDB = "a Parquet file", "a DuckDB database"
GZIP, BZIP2, XZ, TAR = "gzip data", "bzip2 data", "xz data", "a tar archive that is not compressed"
TARS = (GZIP, BZIP2, XZ, TAR)  # what a .tar, .tar.gz ... may be
PACKED = (*TARS, "zstd data", "a zip archive", "an empty zip archive", "a RAR archive", "a 7z archive")

_SIGNATURES = [
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (rb"\x89PNG\r\n", "a PNG image"),
        (rb"\xff\xd8\xff", "a JPEG image"),
        (rb"GIF8[79]a", "a GIF image"),
        (rb"II\*\0|MM\0\*", "a TIFF image"),
        (rb"RIFF.{4}WEBP", "a WebP image"),
        (rb"\0.{3}ftypavi[fs]", "an AVIF image"),
        (rb"\0.{3}ftyp(hei|hev|mif1)", "a HEIC image"),
        (rb"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
        (rb"qoif\0", "a QOI image"),
        (rb"8BPS\0", "a Photoshop file"),
        (rb"%PDF-", "a PDF"),
        (rb"\{\\rtf", "an RTF document"),
        (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document (.doc, .xls)"),
        (rb"PAR1[\x00-\x08\x0e-\x1f]", PARQUET),
        (rb"ARROW1\0", "an Arrow file"),
        (rb"\x93NUMPY", "a NumPy array"),
        (rb"\x89HDF\r\n", "an HDF5 file"),
        (rb"SQLite format 3\0", "an SQLite database"),
        (rb".{8}DUCK", DUCKDB),
        (rb"\x80[\x02-\x05]", "a pickle"),
        (rb"\x7fELF", "a program"),
        (rb"\x1f\x8b", GZIP),
        (rb"BZh\d", BZIP2),
        (rb"\xfd7zXZ\0", XZ),
        (rb"\x28\xb5\x2f\xfd", "zstd data"),
        (rb"PK\x03\x04", "a zip archive"),
        (rb"PK\x05\x06", "an empty zip archive"),
        (rb"Rar!\x1a\x07", "a RAR archive"),
        (rb"7z\xbc\xaf", "a 7z archive"),
        (rb".{257}ustar", TAR),
        (rb"version https://git-lfs", "a Git LFS pointer in place of the file: run `git lfs pull`"),
    )
]
_MARKUP = ((b"<!doctype html", WEB_PAGE), (b"<html", WEB_PAGE), (b"<head", WEB_PAGE), (b"<svg", "an SVG drawing"))


def kind_of(head: bytes) -> str:
    """Name what a file that begins so holds ("a PNG image", "a web page (HTML)"); "" if that is not known."""
    if not head:
        return "nothing: it is empty"
    for pattern, kind in _SIGNATURES:
        if pattern.match(head):
            return kind
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    is_xml = text.startswith(b"<?xml")
    if is_xml:
        text = text[text.find(b"?>") + 2 :].lstrip()
    return next((kind for start, kind in _MARKUP if text.startswith(start)), "an XML document" if is_xml else "")


def kind_of_file(path: Path) -> str:
    """Name what a file holds; "" if that is not known or the file cannot be read."""
    try:
        if not path.is_file():  # a pipe would wait for its writer
            return ""
        with open(path, "rb") as file:
            return kind_of(file.read(HEAD))
    except OSError:
        return ""
