"""The names of tags that a file holds as numbers: Hugging Face's description beside it, or a list line by line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from normlab.errors import UserError
from normlab.json_file import read_json
from normlab.reading import read_text

_DESCRIPTIONS = ("dataset_info.json", "dataset_infos.json")
_LISTS = ("labels.txt", "label_list.txt", "tags.txt", "tag_names.txt")


class TagNames(NamedTuple):
    """Names by number, and the file that they come from."""

    names: tuple[str, ...]
    source: str


def find_tag_names(path: Path, key: str = "ner_tags") -> TagNames:
    """Return the names of the numbers under a key of a file.

    They are looked for in its folder: under "names" in the features of `dataset_info.json`, else line by line in
    `labels.txt`.
    Raises: UserError if there are none.
    """
    for name in _DESCRIPTIONS:
        if (file := path.parent / name).is_file() and (found := next(_names_of(read_json(file), key), None)):
            return TagNames(found, name)
    for name in _LISTS:
        if (file := path.parent / name).is_file():
            return TagNames(tuple(line.strip() for line in read_text(file).split("\n") if line.strip()), name)
    raise UserError(
        f'{path}: "{key}" holds numbers: write their names, one a line from 0 on, into labels.txt beside it'
    )


def _names_of(value: Any, key: str) -> Iterator[tuple[str, ...]]:
    """Yield the lists of names below a key of a description, however deep; depth is bounded by the reader of JSON."""
    if not isinstance(value, dict):
        return
    for name, inner in value.items():
        if name == key:
            yield from _lists_of(inner)
        else:
            yield from _names_of(inner, key)


def _lists_of(feature: Any) -> Iterator[tuple[str, ...]]:
    if isinstance(feature, list):
        feature = {"feature": feature[0]} if feature else {}
    if isinstance(feature, dict):
        names = feature.get("names")
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            yield tuple(names)
        yield from _lists_of(feature.get("feature"))
        yield from _lists_of(feature.get("class_label"))
