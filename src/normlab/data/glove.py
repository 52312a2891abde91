"""GloVe vectors (Pennington, Socher & Manning 2014): text, gzip or zip, only the rows one needs.

With a cache folder the file is parsed once into a memory-mapped float32 matrix and a list of words; after
that a run touches the rows of its own vocabulary and nothing else. Without one, unwanted lines are passed
over unparsed.
"""

from __future__ import annotations

import gzip
import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, cast

import numpy as np

from normlab.data.vocabulary import spellings
from normlab.errors import UserError
from normlab.runs.atomic import atomic_binary


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
    found = np.zeros(len(words), dtype=bool)
    for number, word in enumerate(words):
        row_of_word = next((rows[spelling] for spelling in spellings(word) if spelling in rows), None)
        if row_of_word is not None:
            matrix[number], found[number] = vectors[row_of_word], True
    return WordVectors(matrix, found)


def glove_words(path: str | Path, *, dimension: int | None = None, cache_dir: Path | None = None) -> list[str]:
    """Return the file's words in order, for a vocabulary made of all of them; a repeated word counts once."""
    path = Path(path)
    if cache_dir is not None:
        return list(dict.fromkeys(_cached(path, dimension, cache_dir)[0]))
    return list(dict.fromkeys(entry.word for entry in _entries(path, dimension, None)))


def glove_fingerprint(path: str | Path, *, dimension: int | None = None, cache_dir: Path) -> str:
    """Return the dimension and a hash of all words and vectors ("50d-1a2b3c4d5e6f"): packing or name do not matter.

    Computed once per file and kept beside the parsed matrix.
    """
    key = _cache_key(Path(path), dimension)
    kept = cache_dir / f"{key}.fingerprint"
    if not kept.exists():
        known, vectors = _cached(Path(path), dimension, cache_dir)
        content = hashlib.sha256("\n".join(known).encode())
        content.update(np.ascontiguousarray(vectors).data)
        with atomic_binary(kept) as file:
            file.write(f"{vectors.shape[1]}d-{content.hexdigest()[:12]}".encode())
    return kept.read_text()


class _Entry(NamedTuple):
    line: int
    word: str
    numbers: list[bytes]


def _parsed(path: Path, dimension: int | None, wanted: set[bytes]) -> tuple[list[str], np.ndarray]:
    entries = list(_entries(path, dimension, wanted))
    size = len(next(_entries(path, dimension, None)).numbers)
    vectors = np.empty((len(entries), size), dtype=np.float32)
    for row, entry in enumerate(entries):
        vectors[row] = _vector(path, entry)
    return [entry.word for entry in entries], vectors


def _cached(path: Path, dimension: int | None, cache_dir: Path) -> tuple[list[str], np.ndarray]:
    """Return all words and the memory-mapped matrix; the word list, written last, means both are whole."""
    key = _cache_key(path, dimension)
    matrix_file, words_file = cache_dir / f"{key}.float32", cache_dir / f"{key}.words"
    if not words_file.exists():
        known = []
        with atomic_binary(matrix_file) as file:
            for entry in _entries(path, dimension, None):
                known.append(entry.word)
                file.write(_vector(path, entry).tobytes())
        with atomic_binary(words_file) as file:
            file.write("\n".join(known).encode())
    known = words_file.read_bytes().decode().split("\n")
    vectors = np.memmap(matrix_file, dtype=np.float32, mode="r").reshape(len(known), -1)
    _checked_size(path, 1, vectors.shape[1], dimension)
    return known, vectors


def _cache_key(path: Path, dimension: int | None) -> str:
    """Return what tells parsed files apart; the dimension asked for does not, it only picks a zip's member."""
    if not path.exists():
        return path.name
    member = ""
    if path.suffix == ".zip":
        with _readable(path), zipfile.ZipFile(path) as archive:
            member = "-" + _member(path, archive, dimension).replace("/", "-")
    state = path.stat()
    return f"{path.name}{member}-{state.st_size}-{state.st_mtime_ns}"


def _vector(path: Path, entry: _Entry) -> np.ndarray:
    try:
        return np.array(entry.numbers, dtype=np.float32)
    except ValueError:
        raise UserError(f"{path}:{entry.line}: what follows '{entry.word}' is not all numbers") from None


def _entries(path: Path, dimension: int | None, wanted: set[bytes] | None) -> Iterator[_Entry]:
    """Yield the file's entries, unless their first word is not wanted."""
    size = None
    wanted_starts = None if wanted is None else {word.partition(b" ")[0] for word in wanted}
    with _opened(path, dimension) as file:
        for line, text in enumerate(file, 1):
            if size is not None and wanted_starts is not None and text.partition(b" ")[0] not in wanted_starts:
                continue
            fields = text.rstrip().split(b" ")
            if line == 1 and len(fields) == 2:
                continue  # word2vec's header: number of words, dimension
            size = size or _checked_size(path, line, len(fields) - 1, dimension)
            if len(fields) <= size:
                raise UserError(f"{path}:{line}: {len(fields) - 1} numbers after the word, expected {size}")
            # Some words of GloVe 840B hold spaces: the vector is what stands last.
            name = b" ".join(fields[:-size])
            if wanted is None or name in wanted:
                yield _Entry(line, name.decode("utf-8", "replace"), fields[-size:])
    if size is None:
        raise UserError(f"{path}: holds no vectors")


def _checked_size(path: Path, line: int, size: int, dimension: int | None) -> int:
    if size < 1 or (dimension is not None and size != dimension):
        raise UserError(f"{path}:{line}: {size} numbers after the word, expected {dimension or 'a word vector'}")
    return size


@contextmanager
def _opened(path: Path, dimension: int | None) -> Iterator[IO[bytes]]:
    with _readable(path):
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive, archive.open(_member(path, archive, dimension)) as file:
                yield file
        elif path.suffix == ".gz":
            with gzip.open(path) as unpacked:
                yield cast(IO[bytes], unpacked)
        else:
            with path.open("rb") as file:
                yield file


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read ({error}); is it GloVe's .txt, .gz or .zip?") from None


def _member(path: Path, archive: zipfile.ZipFile, dimension: int | None) -> str:
    names = [name for name in archive.namelist() if name.endswith(".txt")]
    fitting = [name for name in names if dimension is None or f".{dimension}d." in name] or names
    if len(fitting) != 1:
        held = ", ".join(names) or "no .txt file"
        raise UserError(f"{path}: holds {held}: say which dimension to take (--embedding-dim)")
    return fitting[0]
