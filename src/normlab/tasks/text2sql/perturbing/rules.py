"""The rules by their names, and the one way to apply them: a function of question, rule and seed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from normlab.errors import UserError, did_you_mean
from normlab.tasks.text2sql.perturbing import KINDS
from normlab.tasks.text2sql.perturbing.sentence import Sentence
from normlab.tasks.text2sql.perturbing.sentences import names, order
from normlab.tasks.text2sql.perturbing.words import synonyms, typos, values

_RULES: dict[str, Callable[[Sentence, Random], str | None]] = {
    "synonyms": synonyms,
    "typos": typos,
    "order": order,
    "values": values,
    "names": names,
}


def check_kind(kind: str) -> None:
    """Raise `UserError` with the nearest name if there is no such rule."""
    if kind not in KINDS:
        raise UserError(f"unknown perturbation '{kind}': {did_you_mean(kind, KINDS)}")


def perturb(kind: str, sentence: Sentence, seed: int = 0) -> str | None:
    """Return the question said differently; None where the rule finds nothing to change.

    Args:
        kind: one of `KINDS`.
        seed: for the same question, rule and seed the result is always the same, whatever other questions there are.
    Raises: UserError for another kind.
    """
    check_kind(kind)
    changed = _RULES[kind](sentence, Random(f"{seed}\n{kind}\n{sentence.question}"))
    return changed if changed != sentence.question else None
