"""What the field says, and what this study answers: confirmed, refuted or undecided, with the effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from normlab.errors import UserError
from normlab.report.blocks import Answer, Answers, Block, Folded, Section, Text
from normlab.report.numbers import listing, plural
from normlab.report.view import StudyView
from normlab.studies.claims import Claim, Verdict, claims_or_mistakes, judge

_KINDS = ("confirmed", "refuted", "undecided", "unreadable")

_HELP = (
    "Each claim was written down before the study ran, with the smallest difference that matters and with "
    "its source. Confirmed and refuted are said only if the interval of the paired difference allows "
    "nothing else; undecided means that these seeds leave both open, and says how many more would decide if "
    "mean and spread stay. Diverged runs count as losses."
)


def section(view: StudyView) -> Section | None:
    """Answer the study's claims once a run has come to its end; None if it makes none."""
    if not view.study.claims or not any(cell.result for cell in view.cells):
        return None
    found = zip(view.study.claims, claims_or_mistakes(view.study), strict=True)
    answers = [
        _unreadable(raw, claim) if isinstance(claim, UserError) else _answer(claim, judge(view.study, claim))
        for raw, claim in found
    ]
    counts = Counter(answer.verdict for answer in answers)
    parts = listing([f"{counts[kind]} {kind}" for kind in _KINDS if counts[kind]])
    blocks: list[Block] = [Text(f"{plural(len(answers), 'claim')}: {parts}.")]
    open_ones = [answer for answer in answers if answer.verdict == "undecided"] if len(view.seeds) == 1 else []
    if decided := [answer for answer in answers if answer not in open_ones]:
        blocks.append(Answers(decided))
    if open_ones:
        blocks.append(Folded(_one_seed(len(open_ones)), [Answers(open_ones)]))
    return Section("claims", "Claims and verdicts", blocks, help=_HELP)


def _one_seed(count: int) -> str:
    """Return the line that undecided claims of a study of one seed are folded behind: it is the reason of each."""
    return f"{plural(count, 'claim is', 'claims are')} undecided: one seed shows no spread. Run at least 3 (--seeds 3)"


def _unreadable(raw: Mapping[str, Any], mistake: UserError) -> Answer:
    """Show a wrong claim with its mistake in its place: the others are answered all the same."""
    return Answer(
        "unreadable", str(raw.get("says", "a claim without words")), f"{mistake}.", str(raw.get("source", ""))
    )


def _answer(claim: Claim, verdict: Verdict) -> Answer:
    sentence = verdict.sentence.removeprefix(f"{verdict.kind}: ")
    return Answer(verdict.kind, claim.says, f"{sentence[0].upper()}{sentence[1:]}.", claim.source, verdict.details)
