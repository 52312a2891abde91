"""How entities are written as tags, one per word: BIO (IOB2), IOB1, BIOES and BILOU; and plain labels.

All four share one reading: a word continues the entity before it if its tag is I-, E- or L-, the tag before is
B- or I-, and the types agree; any other tag than O opens an entity. On legal sequences that is each scheme's
own rule; on others it is conlleval's lenient reading, which is therefore what repairs mean here.

Plain labels (parts of speech) have no prefixes: each is of its own type, and any may follow any.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from normlab.errors import UserError, did_you_mean

Scheme = Literal["bio", "iob1", "bioes", "bilou", "plain"]

OUTSIDE = "O"
PLAIN: Scheme = "plain"
_PREFIXES: dict[Scheme, str] = {"bio": "BI", "iob1": "BI", "bioes": "BIES", "bilou": "BILU", PLAIN: ""}
_ANY_PREFIX = frozenset("BIESLUMW")
_CONTINUES = ("I", "E", "L")
_ALIASES = {"iob2": "bio", "iobes": "bioes", "iob": "iob1"}


class Span(NamedTuple):
    """An entity: words start to end - 1, and its type."""

    start: int
    end: int
    type: str


class LegalTransitions(NamedTuple):
    """Which tags may begin a sentence (K,), follow one another (K, K) [from, to], and end it (K,)."""

    start: np.ndarray
    transitions: np.ndarray
    end: np.ndarray


def resolve_scheme(name: str) -> Scheme:
    """Return the canonical name; `iob2` is BIO, `iobes` is BIOES. Raises UserError for an unknown one."""
    key = _ALIASES.get(name.lower(), name.lower())
    if key not in _PREFIXES:
        raise UserError(f"unknown tagging scheme '{name}': {did_you_mean(name, [*_PREFIXES, *_ALIASES])}")
    return key


def is_well_formed(tag: str, scheme: Scheme) -> bool:
    """Return whether `tag` is O, or one of the scheme's prefixes, a hyphen and a type; a plain label is anything."""
    if scheme == PLAIN:
        return tag != ""
    prefix, entity_type = split_tag(tag)
    return tag == OUTSIDE or (prefix != "" and prefix in _PREFIXES[scheme] and entity_type != "")


def tag_style(sentences: Iterable[Sequence[str]]) -> str:
    """Return what the tags of some sentences look like ("BIO", "IOB1", "BILOU"); "" if there is no entity.

    Styles that no scheme here reads are described too, for messages.
    """
    held = [tuple(tags) for tags in sentences]
    tags = sorted({tag for sentence in held for tag in sentence if tag not in {OUTSIDE, "_", "-"}})
    if not tags:
        return ""
    prefixes = {prefix for prefix, entity_type in map(split_tag, tags) if entity_type}
    if prefixes <= set("BIESLUMW") and all("-" in tag for tag in tags):
        if prefixes <= set("BI"):
            legal = [scheme for scheme in ("bio", "iob1") if all(first_illegal(row, scheme) is None for row in held)]
            return {"bio": "BIO", "iob1": "IOB1"}[legal[0]] if legal else "BIO with illegal sequences"
        if prefixes & set("LU"):
            return "BILOU"
        return "BMES" if prefixes & set("MW") else "BIOES"
    if all(tag[:2] in {"B_", "I_"} for tag in tags):
        return "BIO with an underscore (B_PER)"
    if all(tag[-2:] in {"-B", "-I"} for tag in tags):
        return "types before B and I (PER-B)"
    if all(tag.isdigit() for tag in tags):
        return "numbers"
    return "types without B- and I-" if not any("-" in tag for tag in tags) else ""


def split_tag(tag: str) -> tuple[str, str]:
    """Return prefix and type: ("B", "geo") of "B-geo", ("O", "") of "O", ("", "NOUN") of a plain label.

    The type may hold hyphens.
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, _, entity_type = tag.partition("-")
    return (prefix, entity_type) if entity_type and prefix in _ANY_PREFIX else ("", tag)


def may_follow(previous: str | None, tag: str | None, scheme: Scheme) -> bool:
    """Return whether `tag` may stand after `previous`; None is the sentence's beginning or end."""
    if scheme == PLAIN:
        return True
    before, before_type = split_tag(previous or OUTSIDE)
    prefix, entity_type = split_tag(tag or OUTSIDE)
    same_entity = before in ("B", "I") and before_type == entity_type
    if scheme == "bio":
        return prefix != "I" or same_entity
    if scheme == "iob1":
        # B- only parts two neighbouring entities of one type.
        return prefix != "B" or same_entity
    return same_entity if prefix in _CONTINUES else before not in ("B", "I")


def first_illegal(tags: Sequence[str], scheme: Scheme) -> tuple[int, str] | None:
    """Return the place of the first illegal tag and the reason, None if the whole sentence is legal."""
    previous = None
    for index, tag in enumerate(tags):
        if not may_follow(previous, tag, scheme):
            before = f"'{previous}'" if previous else "a sentence's beginning"
            return index, f"'{tag}' may not follow {before}"
        previous = tag
    if not may_follow(previous, None, scheme):
        return len(tags) - 1, f"'{previous}' may not end a sentence"
    return None


def spans(tags: Sequence[str]) -> list[Span]:
    """Return the entities that the tags of any scheme spell, in order, read leniently (see the module)."""
    entities: list[Span] = []
    before, before_type = OUTSIDE, ""
    for index, tag in enumerate(tags):
        if tag == OUTSIDE:
            before = OUTSIDE
            continue
        prefix, entity_type = split_tag(tag)
        if prefix in _CONTINUES and before in ("B", "I") and before_type == entity_type:
            entities[-1] = entities[-1]._replace(end=index + 1)
        elif prefix != OUTSIDE:
            entities.append(Span(index, index + 1, entity_type))
        before, before_type = prefix, entity_type
    return entities


def spell(entities: Sequence[Span], length: int, scheme: Scheme) -> list[str]:
    """Return the tags of a sentence of `length` words with these entities (in order, not overlapping)."""
    tags = [OUTSIDE] * length
    previous = Span(-1, -1, "")
    for span in entities:
        first, last = "B", "I"
        if scheme == "iob1" and not (previous.end == span.start and previous.type == span.type):
            first = "I"
        if scheme in ("bioes", "bilou"):
            alone, end = ("S", "E") if scheme == "bioes" else ("U", "L")
            first, last = (alone, alone) if span.end - span.start == 1 else ("B", end)
        tags[span.start : span.end] = [f"I-{span.type}"] * (span.end - span.start)
        tags[span.end - 1] = f"{last}-{span.type}"
        tags[span.start] = f"{first}-{span.type}"
        previous = span
    return tags


def convert(tags: Sequence[str], target: Scheme) -> list[str]:
    """Return the same entities in another scheme; an illegal sequence is thereby repaired."""
    return spell(spans(tags), len(tags), target)


def all_tags(types: Iterable[str], scheme: Scheme) -> list[str]:
    """Return every tag that a scheme can spell these types with: O, then type by type in the order given."""
    return [OUTSIDE, *(f"{prefix}-{entity_type}" for entity_type in types for prefix in _PREFIXES[scheme])]


def legal_transitions(tag_names: Sequence[str], scheme: Scheme) -> LegalTransitions:
    """Return which of `tag_names` may begin, follow and end: what a CRF takes as `allowed`."""
    return LegalTransitions(
        start=np.array([may_follow(None, tag, scheme) for tag in tag_names], dtype=bool),
        transitions=np.array([[may_follow(a, b, scheme) for b in tag_names] for a in tag_names], dtype=bool),
        end=np.array([may_follow(tag, None, scheme) for tag in tag_names], dtype=bool),
    )
