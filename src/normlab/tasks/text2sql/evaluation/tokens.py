"""SQL text to tokens, exactly as the official script sees it.

The script hides quoted values, hands the rest to NLTK's word_tokenize and lower-cases the words. Once
quotes are out of the way only a few of that tokenizer's rules can fire; they stand here in its order, so no
NLTK data is needed. Its sentence splitter is left out: in SQL it changes only what follows a full stop with
a space behind it.
"""

from __future__ import annotations

import re

from normlab.tasks.text2sql.evaluation.tree import ParseError


def tokenize(sql: str) -> list[str]:
    """Return the tokens: lower-case words and signs, quoted values whole, in double quotes, with their case.

    `>=` is one token whether or not a space stands inside; `age>=20` without spaces falls apart
    differently, as it does officially.
    Raises: `ParseError` if the number of quotes is odd.
    """
    hidden, values = _hide_values(sql.replace("'", '"'))
    tokens = [values.get(word, word) for word in (word.lower() for word in _words(hidden))]
    return _join_comparisons(tokens)


def _hide_values(sql: str) -> tuple[str, dict[str, str]]:
    pieces = sql.split('"')
    if len(pieces) % 2 == 0:
        raise ParseError("an odd number of quotes")
    values: dict[str, str] = {}
    start = len(pieces[0])
    for index in range(1, len(pieces), 2):
        end = start + len(pieces[index]) + 1
        key = f"__val_{start}_{end}__"
        values[key] = f'"{pieces[index]}"'
        pieces[index] = key
        start = end + len(pieces[index + 1]) + 1
    return "".join(pieces), values


_BEFORE_BRACKETS = [
    (re.compile(r"([«“‘„]|`+)"), r" \1 "),
    (re.compile(r"(``)"), r" \1 "),
    (re.compile(r"([^.])(\.)([\])}>»”’ ]*)\s*$"), r"\1 \2 \3 "),  # a full stop at the very end
    (re.compile(r"([:,])([^\d])"), r" \1 \2"),  # takes the next sign with it: of ",," the second stays glued
    (re.compile(r"([:,])$"), r" \1 "),
    (re.compile(r"(\.{2,})"), r" \1 "),
    (re.compile(r"([;@#$%&])"), r" \1 "),
    (re.compile(r"([\u2012-\u2015])"), r" \1 "),
    (re.compile(r"([^.])(\.)([\])}>]*)\s*$"), r"\1 \2\3 "),
    (re.compile(r"([?!*])"), r" \1 "),
]
_BRACKETS = (re.compile(r"([\][(){}<>])"), r" \1 ")
_AFTER_BRACKETS = [(re.compile(r"--"), " -- "), (re.compile(r"([»”’])"), r" \1 ")]
_CONTRACTIONS = [
    re.compile(rf"(?i)\b({first})({second}){end}")
    for first, second, end in (
        ("can", "not", r"\b"),
        ("gim", "me", r"\b"),
        ("gon", "na", r"\b"),
        ("got", "ta", r"\b"),
        ("lem", "me", r"\b"),
        ("wan", "na", r"(?=\s)"),
    )
]


def _words(text: str) -> list[str]:
    for rule, replacement in (*_BEFORE_BRACKETS, _BRACKETS, *_AFTER_BRACKETS):
        text = rule.sub(replacement, text)
    text = f" {text} "
    for rule in _CONTRACTIONS:
        text = rule.sub(r" \1 \2 ", text)
    return text.split()


def _join_comparisons(tokens: list[str]) -> list[str]:
    joined: list[str] = []
    for token in tokens:
        if token == "=" and joined and joined[-1] in ("!", ">", "<"):
            joined[-1] += "="
        else:
            joined.append(token)
    return joined
