"""The claims of the study, each with its verdict (confirmed, refuted or undecided) and the effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from normlab.errors import UserError
from normlab.plurals import plural
from normlab.report.blocks import Answer, Answers, Block, Folded, Section, Text
from normlab.report.numbers import listing
from normlab.report.view import StudyView
from normlab.studies.claims import Claim, Verdict, claims_or_mistakes, judge

_KINDS = ("confirmed", "refuted", "undecided", "unreadable")

_HELP = (
    "Each claim was written down before the study ran, with the smallest difference that matters and with "
    "its source. A claim is confirmed or refuted only if the whole interval of the paired difference is on one side; "
    "undecided means that the interval allows both. It then says how many more seeds would decide it if mean and "
    "spread stay as they are. A diverged run loses its comparison."
)


def section(view: StudyView) -> Section | None:
    """Judge the study's claims once a run has a result; None if the study has none."""
    if not view.study.claims or not any(cell.result for cell in view.cells):
        return None
    pairs = zip(view.study.claims, claims_or_mistakes(view.study), strict=True)
    answers = [
        _unreadable(raw, claim) if isinstance(claim, UserError) else _answer(claim, judge(view.study, claim))
        for raw, claim in pairs
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
    """Return a claim that cannot be read, with its mistake as the sentence; the other claims are judged as usual."""
    return Answer(
        "unreadable", str(raw.get("says", "a claim without words")), f"{mistake}.", str(raw.get("source", ""))
    )


def _answer(claim: Claim, verdict: Verdict) -> Answer:
    sentence = verdict.sentence.removeprefix(f"{verdict.kind}: ")
    return Answer(verdict.kind, claim.says, f"{sentence[0].upper()}{sentence[1:]}.", claim.source, verdict.details)
