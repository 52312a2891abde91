"""Which files of a folder are training, development and test file, told by their names; and which are left out.

Corpora call their parts by many names: train.txt, valid.txt, eng.testa, en_ewt-ud-dev.conllu. A file's role is a word
of its name. What has no role is named, never passed over in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from normlab.data.tagging.corpus import suffixes
from normlab.errors import UserError

ROLES: dict[str, tuple[str, ...]] = {
    "train": ("train", "training", "trn"),
    "val": ("dev", "val", "valid", "validation", "devel", "development", "testa", "validate"),
    "test": ("test", "testing", "testb", "tst"),
}
TITLES = {"train": "training", "val": "development", "test": "test"}
_WORDS = re.compile(r"[a-z]+")
_NOT_DATA = ("readme", "license", "licence", "glove", "changelog")
# No files of sentences, even with "train" in their names.
_OTHER_SUFFIXES = frozenset(
    {".gz", ".zip", ".bz2", ".xz", ".tar", ".tgz", ".7z", ".rar", ".zst", ".md", ".rst", ".html", ".xml", ".pdf"}
    | {".py", ".ipynb", ".sh", ".yaml", ".yml", ".toml", ".log", ".png", ".jpg", ".pkl", ".pickle", ".npy", ".npz"}
    | {".pt", ".bin", ".parquet", ".arrow", ".db", ".sqlite", ".spacy", ".lock", ".ann"}
)
_LISTED = 8


class CorpusFolder(NamedTuple):
    """The files of a folder by role (train, val, test), and the other files, by name."""

    files: dict[str, Path]
    left_out: list[str]


def corpus_folder(folder: Path, given: Mapping[str, Path] | None = None) -> CorpusFolder:
    """Return the files of a folder by their names.

    The plainest name has a role: train.txt before train.csv before any other name of a training file.

    Args:
        given: role -> file, for roles that are taken already.
    Raises: UserError if several other names claim a role.
    """
    try:
        held = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror or error}); check its permissions") from None
    files = dict(given or {})
    for role in ROLES:
        if role not in files and (chosen := _chosen(folder, held, role)) is not None:
            files[role] = chosen
    used = {path.resolve() for path in files.values()}
    others = [_name(path) for path in held if path.resolve() not in used and not _is_no_data(path)]
    return CorpusFolder({role: files[role] for role in ROLES if role in files}, others)


def role_of(path: Path) -> str | None:
    """Return what a file's name makes it: "train", "val", "test", or None."""
    if path.suffix.lower() in _OTHER_SUFFIXES:
        return None
    words = set(_WORDS.findall(path.name.lower()))
    roles = [role for role, names in ROLES.items() if words & set(names)]
    return roles[0] if len(roles) == 1 else None


def known_suffixes() -> tuple[str, ...]:
    """Return the endings of files of sentences; of two files with one name the earlier ending is read."""
    return (".txt", ".conll", ".tsv", *suffixes(), ".conllu", ".iob", ".iob2", ".bio", ".bioes", ".ner")


def listed(names: list[str]) -> str:
    """Return names in one line, not too many of them."""
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _chosen(folder: Path, held: list[Path], role: str) -> Path | None:
    candidates = [path for path in held if path.is_file() and role_of(path) == role]
    for name in ROLES[role]:
        plain = [path for path in candidates if path.name.lower().removesuffix(path.suffix.lower()) == name]
        order = known_suffixes()
        known = [path for path in plain if path.suffix.lower() in order]
        if known:
            return min(known, key=lambda path: order.index(path.suffix.lower()))
    if len(candidates) > 1:
        names = listed([path.name for path in candidates])
        flag = {"train": "give the training file itself as --data", "val": "say --dev", "test": "say --test"}[role]
        raise UserError(f"{folder}: holds {len(candidates)} {TITLES[role]} files ({names}): {flag}")
    return candidates[0] if candidates else None


def _name(path: Path) -> str:
    return f"{path.name}/" if path.is_dir() else path.name


def _is_no_data(path: Path) -> bool:
    """Return whether nobody would expect a file's sentences to be read, or a folder's."""
    if path.is_dir() and role_of(path) is None:
        return True
    return path.name.lower().startswith(_NOT_DATA)
