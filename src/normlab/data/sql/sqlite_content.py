"""A hash of what an SQLite file holds, which tells whether two runs saw the same database."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from normlab.data.sql.sqlite import SQLITE_ERRORS, open_readonly
from normlab.errors import UserError


def content_hash(path: Path) -> str:
    """Return 16 hexadecimal digits over a database's pages, its log of writes included.

    What SQLite keeps for itself in the first page (counters of changes, the library's version, the journal's mode) is
    left out, so that equal content has an equal hash wherever it was written. Vacuuming moves pages and changes it.
    Remembered while the file is the same. A file that is no database has the hash of its bytes.
    Raises: `UserError` if the file cannot be read.
    """
    try:
        state = file_state(path)
        key = (os.path.realpath(path), state)
        if key not in _known:
            _known[key] = _hash(path)
        return _known[key]
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): check the file") from None


def file_state(path: Path) -> tuple[tuple[int, ...], ...]:
    """Return size, times and number of a database file and of its log of writes, where there is one.

    The time of the last change of the file's record (ctime) is among them: no copying tool can set it back.
    """
    files = [file for file in (path, _log(path)) if file.is_file()]
    states = [file.stat() for file in files]
    return tuple((state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino) for state in states)


_known: dict[tuple[str, tuple[tuple[int, ...], ...]], str] = {}
_CHUNK = 2**20
_OWN = ((18, 20), (24, 28), (92, 100))  # bytes of the header: journal mode, change counter, and by which version


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _hash(path: Path) -> str:
    content = hashlib.sha256()
    for number, chunk in enumerate(_chunks(path)):
        content.update(_without_own(chunk) if number == 0 else chunk)
    return content.hexdigest()[:16]


def _chunks(path: Path) -> Iterator[bytes]:
    log = _log(path)
    if log.is_file() and log.stat().st_size:
        try:
            with closing(open_readonly(path)) as connection:
                yield connection.serialize()  # what the pages will be once the log is taken in
            return
        except (UserError, *SQLITE_ERRORS, MemoryError):
            pass
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _without_own(chunk: bytes) -> bytes:
    if not chunk.startswith(b"SQLite format 3\0"):
        return chunk
    cleared = bytearray(chunk)
    for start, end in _OWN:
        cleared[start:end] = bytes(end - start)
    return bytes(cleared)
