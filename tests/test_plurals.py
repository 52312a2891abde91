"""Messages count things as a person does: "1 run", not "1 runs"."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from normlab.plurals import plural

SOURCE = Path(__file__).resolve().parent.parent / "src" / "normlab"
NOUNS = re.compile(
    r" (?:[a-z-]+ )?(arrays|batches|bytes|cells|channels|claims|classes|columns|comparisons|entities|entries|epochs|"
    r"examples|fields|files|groups|images|labels|layers|numbers|pairs|parameters|predictions|queries|questions|rows|"
    r"runs|seeds|sentences|steps|tables|tags|trials|variants|words)\b"
)


def counted_by_hand(path: Path) -> list[str]:
    """Return the f-strings that write a length, a sum or a total before a noun in the plural."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            for value, after in zip(node.values, node.values[1:], strict=False):
                if isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant):
                    number = ast.unparse(value.value)
                    if re.match(r"(len|sum)\(|.*\.total\(\)$|count$|epochs$", number) and NOUNS.match(str(after.value)):
                        found.append(f"{path}:{value.lineno}: {number}{after.value}")
    return found


@pytest.mark.parametrize(
    ("number", "nouns", "said"),
    [
        (0, ("run",), "0 runs"),
        (1, ("run",), "1 run"),
        (2, ("class", "classes"), "2 classes"),
        (1, ("cell is", "cells are"), "1 cell is"),
        (9999, ("number",), "9999 numbers"),
        (12000, ("image",), "12,000 images"),
    ],
)
def test_a_noun_follows_its_number(number: int, nouns: tuple[str, ...], said: str) -> None:
    assert plural(number, *nouns) == said


def test_lengths_are_written_with_the_one_helper() -> None:
    paths = [path for path in sorted(SOURCE.rglob("*.py")) if "bench" not in path.parts]  # names of measured rows
    assert len(paths) > 100
    by_hand = [line for path in paths for line in counted_by_hand(path)]
    assert not by_hand, "\n".join(by_hand)
