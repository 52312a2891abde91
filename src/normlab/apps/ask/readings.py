"""From the model's queries to readings in the order in which they are tried, and the lines about those that are not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from normlab.apps.ask.answer import Reading
from normlab.apps.ask.confidence import Calibration
from normlab.apps.ask.examples import Match
from normlab.tasks.text2sql.corrections.correcting import Correction
from normlab.tasks.text2sql.model.decoding import Answer


def reading_of(answer: Answer, calibration: Calibration | None) -> Reading:
    """Return a query of the model as a reading."""
    probability = _probability(answer)
    return Reading(answer.sql, probability, calibration.confidence(probability) if calibration else None)


def ranked_readings(
    answers: Sequence[Answer], correction: Correction, calibration: Calibration | None
) -> list[Reading]:
    """Return the readings: what the rules wrote, the model's best, the same by other keys, the model's others."""
    own = [reading_of(answer, calibration) for answer in answers]
    best = own[0]
    by_keys = [replace(best, sql=sql, confidence=None, by_rule=True) for sql, _ in correction.others]
    if correction.sql != best.sql:
        confidence = None if correction.dated or correction.whole else best.confidence
        best = replace(best, sql=correction.sql, confidence=confidence, by_rule=True)
        own = [best, *own]
    first = 1 + best.by_rule
    ranked: dict[str, Reading] = {}
    for reading in [*own[:first], *by_keys, *own[first:]]:
        ranked.setdefault(reading.sql, reading)
    return list(ranked.values())


def with_example(readings: Sequence[Reading], example: Match) -> list[Reading]:
    """Return the readings behind the user's own example."""
    same = next((one.probability for one in readings if one.sql == example.sql), 0.0)
    first = Reading(example.sql, same, None, by_example=example.number)
    return [first, *(one for one in readings if one.sql != example.sql)]


def added_tables(answers: Sequence[Answer]) -> list[str]:
    """Return a line about the tables that were put between others in the best query."""
    return [f"added, since it joins the tables: {', '.join(answers[0].added)}"] if answers[0].added else []


def passed_over(refused: Sequence[Answer], chosen: Reading) -> list[str]:
    """Return a line about the readings that may not be run and rank above the answer: the best, and how many more."""
    better = [one for one in refused if _probability(one) > chosen.probability]
    if not better:
        return []
    more = f", and {len(better) - 1} more" if len(better) > 1 else ""
    return [f"a better-ranked reading is refused ({better[0].refusal}){more}: {better[0].sql}"]


def _probability(answer: Answer) -> float:
    return math.exp(min(answer.log_prob, 0.0))
