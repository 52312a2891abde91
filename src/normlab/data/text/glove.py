"""GloVe vectors (Pennington, Socher & Manning 2014): text, gzip or zip, only the rows one needs.

With a cache folder the file is parsed once into a memory-mapped float32 matrix and a list of words; after
that a run touches the rows of its own vocabulary and nothing else. The cache goes by the file's content: two files of
one name, size and time in two folders are two files, and a copy is not parsed again. Without a cache folder, unwanted
lines are passed over unparsed.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import stat
import time
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple, cast

import numpy as np

from normlab.data.text.vector_lines import Entry, entries, vector_of
from normlab.data.text.vocabulary import spellings
from normlab.errors import UserError
from normlab.plurals import plural
from normlab.runs.atomic import atomic_binary

_FORMAT = "vectors2"  # of the cache's entries; another number when a file is parsed otherwise
_DIGITS = 40
_COARSE_CLOCK = 2.0  # seconds
# What damaged, encrypted and oddly packed archives raise.
_UNREADABLE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, OverflowError)


class WordVectors(NamedTuple):
    """One row per asked word: float32 (V, dimension), 0 where nothing was found; and (V,) whether it was."""

    matrix: np.ndarray
    found: np.ndarray


def load_glove(
    path: str | Path, words: Sequence[str], *, dimension: int | None = None, cache_dir: Path | None = None
) -> WordVectors:
    """Return the vectors of `words`, each under its first known spelling (see `vocabulary.spellings`).

    Args:
        path: a .txt, .gz or .zip file in GloVe's or word2vec's text format.
        words: the vocabulary.
        dimension: the vectors' size; needed for a zip with several files, otherwise checked if given.
        cache_dir: where to keep the parsed file; None keeps nothing.
    Raises: UserError that names the file and line.
    """
    path = Path(path)
    if cache_dir is not None:
        known, vectors = _cached(path, dimension, cache_dir)
    else:
        known, vectors = _parsed(path, dimension, {s.encode() for word in words for s in spellings(word)})
    rows: dict[str, int] = {}
    for row, name in enumerate(known):
        rows.setdefault(name, row)
    matrix = np.zeros((len(words), vectors.shape[1]), dtype=np.float32)
    has_vector = np.zeros(len(words), dtype=bool)
    for number, word in enumerate(words):
        row_of_word = next((rows[spelling] for spelling in spellings(word) if spelling in rows), None)
        if row_of_word is not None:
            matrix[number], has_vector[number] = vectors[row_of_word], True
    return WordVectors(matrix, has_vector)


def glove_words(path: str | Path, *, dimension: int | None = None, cache_dir: Path | None = None) -> list[str]:
    """Return the file's words in order, for a vocabulary made of all of them; a repeated word counts once."""
    path = Path(path)
    if cache_dir is not None:
        return list(dict.fromkeys(_cached(path, dimension, cache_dir)[0]))
    return list(dict.fromkeys(entry.word for entry in vector_entries(path, dimension, None)))


def glove_fingerprint(path: str | Path, *, dimension: int | None = None, cache_dir: Path) -> str:
    """Return the dimension and a hash of all words and vectors ("50d-1a2b3c4d5e6f"): packing or name do not matter.

    Computed once per file and kept beside the parsed matrix.
    """
    known, vectors = _cached(Path(path), dimension, cache_dir)
    entry = cache_dir / f"{_cache_key(Path(path), dimension, cache_dir)}.fingerprint"
    if not entry.exists():
        content = hashlib.sha256("\n".join(known).encode())
        content.update(np.ascontiguousarray(vectors).data)
        with atomic_binary(entry) as file:
            file.write(f"{vectors.shape[1]}d-{content.hexdigest()[:12]}".encode())
    return entry.read_text()


def vector_entries(path: Path, dimension: int | None = None, wanted: set[bytes] | None = None) -> Iterator[Entry]:
    """Yield a file's vectors as they stand there, those of the `wanted` words or all. Raises: as `load_glove`."""
    with _opened(path, dimension) as file:
        yield from entries(path, file, dimension, wanted)


def _parsed(path: Path, dimension: int | None, wanted: set[bytes]) -> tuple[list[str], np.ndarray]:
    held = list(vector_entries(path, dimension, wanted))
    if not held:
        size = len(next(vector_entries(path, dimension, None)).numbers)
        return [], np.empty((0, size), dtype=np.float32)
    return [entry.word for entry in held], np.stack([vector_of(path, entry) for entry in held])


def _cached(path: Path, dimension: int | None, cache_dir: Path) -> tuple[list[str], np.ndarray]:
    """Return all words and the memory-mapped matrix; the word list, written last, means both are whole."""
    key = _cache_key(path, dimension, cache_dir)
    matrix_file, words_file = cache_dir / f"{key}.float32", cache_dir / f"{key}.words"
    known = _words_of_whole_cache(matrix_file, words_file)
    if known is None:
        known = _fill(path, dimension, matrix_file, words_file)
    vectors = np.memmap(matrix_file, dtype=np.float32, mode="r").reshape(len(known), -1)
    if dimension is not None and vectors.shape[1] != dimension:
        raise UserError(f"{path}:1: {plural(vectors.shape[1], 'number')} after the word, expected {dimension}")
    return known, vectors


def _words_of_whole_cache(matrix_file: Path, words_file: Path) -> list[str] | None:
    """Return the words of a parsed file, None if it was not parsed yet, or is damaged."""
    if not (words_file.exists() and matrix_file.exists()):
        return None
    known = words_file.read_bytes().decode("utf-8", "replace").split("\n")
    size = matrix_file.stat().st_size
    return known if size and size % (4 * len(known)) == 0 else None


def _fill(path: Path, dimension: int | None, matrix_file: Path, words_file: Path) -> list[str]:
    known: list[str] = []
    try:
        with atomic_binary(matrix_file) as file:
            for entry in vector_entries(path, dimension, None):
                known.append(entry.word)
                file.write(vector_of(path, entry).tobytes())
        with atomic_binary(words_file) as file:
            file.write("\n".join(known).encode())
    except OSError as error:
        folder = matrix_file.parent
        raise UserError(
            f"{folder}: the vectors cannot be kept there ({error.strerror or error}); set NORMLAB_CACHE to a folder "
            "that can be written"
        ) from None
    return known


def _cache_key(path: Path, dimension: int | None, cache_dir: Path) -> str:
    """Return what tells parsed files apart; the dimension asked for does not, it only picks a zip's member."""
    member = ""
    with _readable(path):
        if _container(path) == "zip":
            with zipfile.ZipFile(path) as archive:
                member = hashlib.sha256(_member(path, archive, dimension).encode()).hexdigest()[:8] + "-"
        digest = _content(path, cache_dir)
    return f"{_FORMAT}-{member}{digest}"


def _content(path: Path, cache_dir: Path) -> str:
    """Return a hash of a file's bytes, kept under all that a change of the content changes too.

    A file can be given any modification time, but not a time of its last change (ctime) in the past. One that was
    changed in the last seconds is hashed anew: clocks are coarse, and it could be changed again within the same tick.
    """
    status = path.stat()
    identity = [str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    entry = cache_dir / f"content-{hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]}"
    if entry.exists() and len(digest := entry.read_text(errors="replace")) == _DIGITS:
        return digest
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]
    if not 0 <= time.time() - status.st_ctime < _COARSE_CLOCK:
        with suppress(OSError), atomic_binary(entry) as out:  # it is only hashed again
            out.write(digest.encode())
    return digest


@contextmanager
def _opened(path: Path, dimension: int | None) -> Iterator[IO[bytes]]:
    with _readable(path):
        container = _container(path)
        if container == "zip":
            with zipfile.ZipFile(path) as archive, archive.open(_member(path, archive, dimension)) as file:
                yield file
        elif container == "gzip":
            with gzip.open(path) as unpacked:
                yield cast(IO[bytes], unpacked)
        else:
            with path.open("rb") as file:
                yield file


def _container(path: Path) -> str:
    """Return what a file is packed in, "" for nothing: told by its first bytes, or else by its name."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise UserError(f"{path}: is no file: give GloVe's .txt, .gz or .zip")
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith(b"PK") or path.suffix.lower() == ".zip":
        return "zip"
    return "gzip" if head.startswith(b"\x1f\x8b") or path.suffix.lower() == ".gz" else ""


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        if isinstance(error, UserError):
            raise
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read ({reason}); is it GloVe's .txt, .gz or .zip?") from None


def _member(path: Path, archive: zipfile.ZipFile, dimension: int | None) -> str:
    names = [name for name in archive.namelist() if name.endswith((".txt", ".vec"))]
    fitting = [name for name in names if dimension is None or f".{dimension}d." in name] or names
    if len(fitting) != 1:
        held = ", ".join(names) or "no .txt file"
        raise UserError(f"{path}: holds {held}: say which dimension to take (--embedding-dim)")
    return fitting[0]
