"""What `predict` prints without --out: a class with its probabilities, tagged words, or a query."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from normlab.plurals import plural

Record = Mapping[str, Any]
_SHOWN_CLASSES = 10


def as_text(task: str, records: Iterable[Record]) -> Iterator[str]:
    """Yield lines for people.

    A single image has its probabilities below it, the largest first; of several images each has a line.
    """
    if task != "image":
        return chain.from_iterable(map(_TEXTS.get(task, _as_json), records))
    return _images(iter(records))


def as_json(records: Iterable[Record]) -> Iterator[str]:
    """Yield one object a line."""
    return chain.from_iterable(map(_as_json, records))


def _images(records: Iterator[Record]) -> Iterator[str]:
    first = list(islice(records, 2))
    for record in chain(first, records):
        yield f"{record['name']}  {record['class']}  {record['probability']:.2%}"
        if len(first) == 1:
            yield from _probabilities(record["probabilities"])


def _probabilities(shares: Mapping[str, float]) -> list[str]:
    ranked = sorted(shares.items(), key=lambda share: -share[1])
    width = max(len(name) for name, _ in ranked[:_SHOWN_CLASSES])
    lines = [f"  {name.ljust(width)}  {share:7.2%}" for name, share in ranked[:_SHOWN_CLASSES]]
    hidden = len(ranked) - len(lines)
    return lines + ([f"  and {plural(hidden, 'class', 'classes')} more; all with --json"] if hidden else [])


def _tagged(record: Record) -> list[str]:
    return [*(f"{word}\t{tag}" for word, tag in zip(record["words"], record["tags"], strict=True)), ""]


def _query(record: Record) -> list[str]:
    return [record["sql"]]


def _as_json(record: Record) -> list[str]:
    return [json.dumps({key: value for key, value in record.items() if key != "input"}, ensure_ascii=False)]


_TEXTS: dict[str, Callable[[Record], list[str]]] = {"ner": _tagged, "text2sql": _query}
