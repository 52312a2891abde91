"""Source and documentation use the terms of the field and of docs/glossary.md, not words that only insiders know."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = {".py", ".md", ".cpp", ".h", ".yaml", ".html", ".css", ".js"}
OLD_WORDS = re.compile(
    r"\b(twins?|crews?|mend(s|ed|ing)?|c[oa]me by|comes by|can(not)? be had|for want of|rests? on print|Letters:)"
    r"(?![a-z])",
    re.IGNORECASE,
)
ALLOWED = {"docs/diary.md"}  # an experiment's record keeps the words of its day


def texts() -> list[Path]:
    files = [
        path
        for folder in ("src", "docs", "tools", "examples")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in SUFFIXES
    ]
    files += [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "Makefile")]
    names = {path: path.relative_to(ROOT).as_posix() for path in files}
    return [path for path in files if names[path] not in ALLOWED]


def test_no_private_word_is_left() -> None:
    assert len(texts()) > 150
    old = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        for match in OLD_WORDS.finditer(line)
    ]
    assert not old, "\n".join(old)


@pytest.mark.parametrize(
    "text", ["its twin", "A crew of one", "cause, place and mend", "Letters: B rows", "cannot be had"]
)
def test_private_words_are_recognised(text: str) -> None:
    assert OLD_WORDS.search(text)


@pytest.mark.parametrize("text", ["recommend", "amended", "recommends", "intertwined"])
def test_other_words_are_not(text: str) -> None:
    assert not OLD_WORDS.search(text)
