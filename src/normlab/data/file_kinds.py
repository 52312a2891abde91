"""What a message says of what it has met: the kind of a file that is no text, and text that may hold anything."""

from __future__ import annotations

from pathlib import Path

from normlab.errors import UserError

HEAD = 4096  # bytes to look at

# Prefix -> name. https://en.wikipedia.org/wiki/List_of_file_signatures
_PREFIXES = (
    (b"\x1f\x8b", "gzip data"),
    (b"PK\x03\x04", "a ZIP archive (.zip, .xlsx, .docx, .npz)"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ\x00", "xz data"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"PAR1\x15", "a Parquet file"),
    (b"ARROW1\x00", "an Arrow file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF\r\n", "an HDF5 file"),
    (b"%PDF-", "a PDF document"),
    (b"{\\rtf", "an RTF document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document (.doc, .xls)"),
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"\x7fELF", "a program"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
)
_HTML = (b"<!doctype html", b"<html", b"<head", b"<?xml")
_TAR_MARK = slice(257, 262)


def kind_of(head: bytes) -> str | None:
    """Return what a file is that begins with `head` ("an SQLite database"); None if nothing speaks against text."""
    for prefix, kind in _PREFIXES:
        # Two letters are too few to tell a word from a mark: "BZh" may begin a text, so a digit has to follow.
        if head.startswith(prefix) and (prefix != b"BZh" or head[3:4].isdigit()):
            return kind
    if head[_TAR_MARK] == b"ustar":
        return "a .tar archive that is not compressed"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:20].lower()
    if start.startswith(_HTML):
        return "an XML document" if start.startswith(b"<?xml") else "an HTML page"
    return None


def refuse_no_text(path: Path, head: bytes, wanted: str) -> None:
    """Raise `UserError` if a file's first bytes say that it is no text."""
    if (kind := kind_of(head)) is not None:
        raise UserError(f"{path}: is {kind}, not {wanted}; {_fix(kind)}")


def shown(text: str, longest: int = 60) -> str:
    """Return what a message shows of a user's text: one line, signs that cannot be seen as ?, cut where it is long."""
    cut = text if len(text) <= longest else f"{text[:longest]}..."
    return "".join(letter if letter.isprintable() else "?" for letter in cut)


def _fix(kind: str) -> str:
    if kind == "an HTML page":
        return "was a web page saved in place of the file? Download the file itself"
    if "archive" in kind or kind.endswith("data"):
        return "unpack it first"
    return "give a text file"
