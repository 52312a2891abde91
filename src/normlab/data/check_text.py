"""`normlab data check` of sentences and word vectors: what was found, what was left out, and every file that is bad."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

from normlab.data.tagging.corpus import open_sentences
from normlab.data.tagging.corpus_folder import corpus_folder, known_suffixes, role_of
from normlab.data.tagging.scheme import spans
from normlab.data.tagging.sentences import Sentence, SentenceFile, doubts
from normlab.data.text.glove import vector_entries
from normlab.data.text.vector_lines import entries, vector_of
from normlab.errors import UserError
from normlab.plurals import plural

_SCHEMES = {"IOB1": "iob1", "BIOES": "bioes", "BILOU": "bilou"}
_LONGEST_HEADER = 4096  # bytes of a first line that are looked at
_SHORTEST_VECTOR = 4  # fewer numbers after a word could be anything
_VECTOR_NAMES = ("glove", "wiki.", "cc.", "crawl")


def check_text(path: Path) -> dict[str, Any] | None:
    """Return what a file or folder of sentences, or a file of word vectors, holds; JSON-able. None: it is neither.

    Raises: UserError that names every file that cannot be read, with the first mistake of each.
    """
    path = path.expanduser()
    if path.is_file():
        if _holds_vectors(path):
            return _vectors(path)
        return _corpus({role_of(path) or "file": path}, []) if _may_hold_sentences(path) else None
    if not path.is_dir():
        return None
    corpus = corpus_folder(path)
    return _corpus(corpus.files, corpus.left_out) if corpus.files else None


def _may_hold_sentences(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix == ".csv":  # a table of words has a header with letters, one of pixels has numbers only
        with path.open("rb") as file:
            return any(chr(byte).isalpha() for byte in file.readline(_LONGEST_HEADER))
    return suffix in known_suffixes() or role_of(path) is not None


def _corpus(files: dict[str, Path], left_out: list[str]) -> dict[str, Any]:
    reports: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    known: set[str] | None = None
    for role, path in files.items():
        try:
            reader = _reader(path)
            sentences = list(reader)
        except UserError as error:
            problems.append(str(error))
            continue
        if role == "train":
            known = {tag for sentence in sentences for tag in sentence.tags or ()} or None
        reports[role] = _report(reader, sentences, known)
    if len(files) == 1 and problems:
        raise UserError(problems[0])
    if problems:
        raise UserError(f"{len(problems)} of {plural(len(files), 'file')} cannot be used: {' | '.join(problems)}")
    return {"kind": "sentences", **reports, "left_out": left_out}


def _reader(path: Path) -> SentenceFile:
    """Return a reader in the scheme that the file's tags look like; placeholders such as "_" are no tags."""
    style = open_sentences(path).style()
    return open_sentences(path, scheme=_SCHEMES.get(style, "bio"), tagged=style != "")


def _report(reader: SentenceFile, sentences: list[Sentence], known: set[str] | None) -> dict[str, Any]:
    entities = Counter(span.type for s in sentences for span in spans(s.tags or ()))
    report: dict[str, Any] = {
        "file": reader.path.name,
        "read_as": reader.read_as() or f"tags {reader.style() or 'none'}",
        "sentences": len(sentences),
        "words": sum(map(len, sentences)),
        "entities": dict(sorted(entities.items())),
    }
    if without := sum(sentence.tags is None for sentence in sentences):
        report["sentences_without_tags"] = without
    tags = Counter(tag for sentence in sentences for tag in sentence.tags or ())
    if known is not None and (unseen := {tag: count for tag, count in sorted(tags.items()) if tag not in known}):
        report["tags_not_in_training"] = unseen
    if left_out := reader.left_out():
        report["left_out"] = left_out
    if reasons := doubts(sentences):
        report["doubts"] = reasons
    return report


def _holds_vectors(path: Path) -> bool:
    """Return whether a file's name says that it holds word vectors, or its lines do."""
    name = path.name.lower()
    if name.endswith(".vec") or name.startswith(_VECTOR_NAMES):
        return True
    if path.suffix.lower() not in {".txt", ".csv", ".tsv"} or role_of(path) is not None:
        return False
    try:
        with path.open("rb") as file:
            first = list(islice(entries(path, file, None, None), 5))
        if all(entry.word.isdigit() for entry in first):  # pixels
            return False
        return all(len(vector_of(path, entry)) >= _SHORTEST_VECTOR for entry in first)
    except (OSError, UserError):
        return False


def _vectors(path: Path) -> dict[str, Any]:
    words, dimension = 0, 0
    for entry in vector_entries(path):
        words, dimension = words + 1, len(vector_of(path, entry))
    return {"kind": "word vectors", "words": words, "dimension": dimension}
