"""Entities in flat tag sequences, counted by type: precision, recall and F1 as conlleval and seqeval define them.

"default" reads tags leniently, as conlleval does: any tag but O that does not continue an entity opens one. "strict"
keeps, of those, the entities that are spelled as the scheme spells them; so on legal sequences the two agree.

Dimensions: W words of all sentences end to end, E entities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from normlab.data.tagging.scheme import OUTSIDE, PLAIN, split_tag


class Entities(NamedTuple):
    """(E,) arrays: words start to end - 1, the type's number, and whether it is spelled as the scheme asks."""

    start: np.ndarray
    end: np.ndarray
    type: np.ndarray
    well_spelled: np.ndarray


def entity_types(tags: Sequence[str]) -> list[str]:
    """Return the types that occur in tag names, sorted."""
    return sorted({split_tag(tag)[1] for tag in tags if tag != OUTSIDE})


def find_entities(numbers: np.ndarray, offsets: np.ndarray, tags: Sequence[str], scheme: str) -> Entities:
    """Return the entities that tags spell.

    Args:
        numbers: (W,) tag of each word.
        offsets: (N + 1,), where each sentence begins and the last one ends.
        tags: the tags' names.
        scheme: "bio", "iob1", "bioes", "bilou" or "plain": what counts as well spelled.
    """
    types = entity_types(tags)
    prefix = np.array([split_tag(tag)[0] for tag in tags])[numbers]
    kind = np.array([types.index(split_tag(tag)[1]) if tag != OUTSIDE else -1 for tag in tags])[numbers]
    first = np.zeros(len(numbers) + 1, dtype=bool)
    first[offsets] = True
    follows = np.zeros(len(numbers), dtype=bool)  # the word continues the entity of the word before
    follows[1:] = np.isin(prefix[1:], ["I", "E", "L"]) & np.isin(prefix[:-1], ["B", "I"]) & (kind[1:] == kind[:-1])
    follows &= ~first[:-1]
    start = np.flatnonzero((kind >= 0) & ~follows)
    goes_on = np.append(follows[1:], False)
    end = np.flatnonzero((kind >= 0) & ~goes_on) + 1
    return Entities(start, end, kind[start], _well_spelled(start, end, prefix, kind, first, scheme))


def entity_table(
    gold: Entities, predicted: Entities, tags: Sequence[str], *, strict: bool
) -> dict[str, dict[str, float]]:
    """Return precision, recall, F1 and support by type, and for "all" types together (micro) and "macro".

    A ratio with denominator 0 is 0.
    """
    types = entity_types(tags)
    if strict:
        gold, predicted = (Entities(*(column[side.well_spelled] for column in side)) for side in (gold, predicted))
    hit = np.isin(_keys(predicted, len(types)), _keys(gold, len(types)))
    hits, proposed, support = (
        np.bincount(kinds, minlength=len(types)) for kinds in (predicted.type[hit], predicted.type, gold.type)
    )
    rows = {name: _scores(*counts) for name, *counts in zip(types, hits, proposed, support, strict=True)}
    total = _scores(hits.sum(), proposed.sum(), support.sum())
    names = ("precision", "recall", "f1")
    macro = {name: float(np.mean([row[name] for row in rows.values()])) if rows else 0.0 for name in names}
    return {**rows, "all": total, "macro": {**macro, "support": total["support"]}}


def without_outside_words(
    gold: np.ndarray, predicted: np.ndarray, offsets: np.ndarray, tags: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return gold and predicted tags of the words whose gold tag is not O, and the new offsets.

    A published course program counts entities on what is left: an entity that is invented on O words costs nothing, so
    the F1 is flattering. It is measured only to stand beside that program's results.

    Args:
        gold, predicted: (W,) tag of each word.
        offsets: (N + 1,), where each sentence begins and the last one ends.
        tags: the tags' names.
    """
    inside = np.array([tag != OUTSIDE for tag in tags])[gold]
    return gold[inside], predicted[inside], np.append(0, np.cumsum(inside))[offsets]


def _scores(hits: int, proposed: int, support: int) -> dict[str, float]:
    return {
        "precision": float(hits / max(1, proposed)),
        "recall": float(hits / max(1, support)),
        "f1": float(2 * hits / max(1, proposed + support)),
        "support": int(support),
    }


def _keys(entities: Entities, types: int) -> np.ndarray:
    """Return a number per entity that is equal for equal ones: no two begin at the same word."""
    longest = int((entities.end - entities.start).max(initial=0))
    assert longest < _LONGEST
    return (entities.start * _LONGEST + entities.end - entities.start) * max(1, types) + entities.type


def _well_spelled(
    start: np.ndarray, end: np.ndarray, prefix: np.ndarray, kind: np.ndarray, first: np.ndarray, scheme: str
) -> np.ndarray:
    opening, closing = prefix[start], prefix[end - 1]
    if scheme == "bio":
        return opening == "B"
    if scheme == PLAIN:
        return np.ones(len(start), dtype=bool)
    if scheme in ("bioes", "bilou"):
        alone, last = ("S", "E") if scheme == "bioes" else ("U", "L")
        return np.where(end - start == 1, opening == alone, (opening == "B") & (closing == last))
    # IOB1: B- only right after an entity of the same type.
    touches = ~first[start] & (start > 0) & (kind[start - 1] == kind[start])
    return np.where(touches, opening == "B", opening == "I")


_LONGEST = 2**20  # words of one entity
