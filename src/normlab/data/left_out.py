"""What a reader did not use, counted by reason, with a few names: shown before training and kept in the card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from normlab.errors import one_line

_NAMED = 3  # names given for each reason
_BROKEN_NAMED = 20
LeftOut = list[tuple[str, str]]  # (reason, name of the file, folder or column)


def left_out_note(left_out: Iterable[tuple[str, str]], what: str = "files") -> str:
    """Return "left out 3 files: .txt 2 (a.txt, b.txt), dead link 1 (c.png)"; "" if nothing was left out."""
    by_reason: dict[str, list[str]] = {}
    for reason, name in left_out:
        by_reason.setdefault(reason, []).append(name)
    if not by_reason:
        return ""
    total = sum(map(len, by_reason.values()))
    parts = (f"{reason} {len(names)} ({some(names)})" for reason, names in by_reason.items())
    return one_line(f"left out {total} {what if total > 1 else what.removesuffix('s')}: {', '.join(parts)}")


def changed_note(changes: Iterable[str]) -> str:
    """Return "changed: transparency laid over white 2 images"; "" if nothing was changed."""
    counts = Counter(changes)
    parts = (f"{change}: {count} image{'s' * (count > 1)}" for change, count in sorted(counts.items()))
    return f"changed beside the size: {', '.join(parts)}" if counts else ""


def broken_note(failures: Sequence[str]) -> str:
    """Return "left out 2 broken images: a.png: not a readable image (...); b.png: ..."; "" if there are none."""
    if not failures:
        return ""
    more = f"; and {len(failures) - _BROKEN_NAMED} more" if len(failures) > _BROKEN_NAMED else ""
    named = "; ".join(failures[:_BROKEN_NAMED])
    return f"left out {len(failures)} broken image{'s' * (len(failures) > 1)}: {named}{more}"


def absent_notes(classes: Sequence[str], labels: Mapping[str, Iterable[int]]) -> Iterator[str]:
    """Yield "no val images of cat, dog" for each split in which classes (split -> labels) are missing."""
    for split, part in labels.items():
        present = set(part)
        if absent := [name for label, name in enumerate(classes) if label not in present]:
            yield f"no {split} images of {some(absent)}"


def some(names: Sequence[str]) -> str:
    """Return the first few names in one line, whatever they hold, and how many more there are."""
    more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return one_line(", ".join(names[:_NAMED])) + more
