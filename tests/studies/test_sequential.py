"""Looks at a study: their levels, the error that they leave, and a study that stops once its claims are decided."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from synthetic_study import WAITING, make_study, write_cell

from normlab.errors import UserError
from normlab.studies.claims import judge, parse_claims
from normlab.studies.claims.judge import level_of
from normlab.studies.statistics.sequential import FIRST_LOOK, SPENT, look_level, spent
from normlab.studies.study import Study
from normlab.studies.until_decided import looks_as_begun, run_until_decided

STUDIES = 20_000


def errors(planned: int, levels: Sequence[float], draws: np.ndarray) -> float:
    """Return the share of simulated studies in which an interval of any look leaves out the true difference, 0."""
    wrong = np.zeros(len(draws), dtype=bool)
    for seeds, level in zip(range(FIRST_LOOK, planned + 1), levels, strict=True):
        seen = draws[:, :seeds]
        half = stats.t.ppf((1 + level) / 2, seeds - 1) * seen.std(1, ddof=1) / seeds**0.5
        wrong |= np.abs(seen.mean(1)) > half
    return float(wrong.mean())


@pytest.mark.parametrize("planned", [3, 5, 8, 12, 20])
def test_over_all_looks_at_most_five_percent_of_studies_err(planned: int) -> None:
    draws = np.random.default_rng(planned).standard_normal((STUDIES, planned))
    levels = [look_level(seeds, planned) for seeds in range(FIRST_LOOK, planned + 1)]
    error = 2 * (0.05 * 0.95 / STUDIES) ** 0.5  # two standard errors of the simulation
    assert 0.035 < errors(planned, levels, draws) < 0.05 + error
    assert errors(planned, [0.95] * len(levels), draws) > 0.08  # what looking costs without


@pytest.mark.parametrize("planned", [3, 8])
def test_a_borderline_claim_is_wrongly_decided_in_at_most_five_percent(planned: int) -> None:
    """The true difference is the margin of "better by more than": neither answer is right, each at most half."""
    draws = np.random.default_rng(1).standard_normal((STUDIES, planned))
    decided = np.zeros(STUDIES, dtype=int)  # 0: open; stops at the first look that decides
    for seeds in range(FIRST_LOOK, planned + 1):
        seen = draws[:, :seeds]
        level = look_level(seeds, planned)
        half = stats.t.ppf((1 + level) / 2, seeds - 1) * seen.std(1, ddof=1) / seeds**0.5
        verdict = np.where(seen.mean(1) - half > 0, 1, np.where(seen.mean(1) + half < 0, -1, 0))
        decided = np.where(decided == 0, verdict, decided)
    assert (decided == 1).mean() < 0.03
    assert (decided == -1).mean() < 0.03


def test_skewed_differences_are_held_nearly_as_well() -> None:
    draws = np.random.default_rng(2).gamma(2.0, size=(STUDIES, 8)) - 2.0
    levels = [look_level(seeds, 8) for seeds in range(FIRST_LOOK, 9)]
    half = stats.t.ppf(0.975, 7) * draws.std(1, ddof=1) / 8**0.5
    ordinary = float((np.abs(draws.mean(1)) > half).mean())  # one look, at the end: t is not exact here either
    assert errors(8, levels, draws) < ordinary + 0.03
    assert errors(8, [0.95] * 7, draws) > ordinary + 0.1


def test_with_a_known_variance_the_spent_error_is_exact() -> None:
    planned, draws = 6, np.random.default_rng(3).standard_normal((400_000, 6))
    walk = draws.cumsum(1)
    left = np.zeros(len(draws), dtype=bool)
    for seeds in range(FIRST_LOOK, planned + 1):
        bound = stats.norm.ppf((1 + look_level(seeds, planned)) / 2) * seeds**0.5
        left |= np.abs(walk[:, seeds - 1]) > bound
        assert left.mean() == pytest.approx(spent(seeds / planned), abs=0.001)
    assert spent(1.0) == pytest.approx(SPENT)


def test_early_looks_are_hard_to_cross_and_the_last_is_almost_ordinary() -> None:
    levels = [look_level(seeds, 10) for seeds in range(FIRST_LOOK, 11)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > 0.9999
    assert 0.95 < levels[-1] < 0.975
    for seeds in (1, 11):
        with pytest.raises(ValueError, match="seeds must be from 2 to 10"):
            look_level(seeds, 10)


CLAIM = {"says": "x", "kind": "better", "a": {"norm": "batch"}, "b": {"norm": "none"}, "source": "us"}


def begun(path: Path, seeds: int, claims: Sequence[dict[str, Any]] = (CLAIM,)) -> Study:
    """Return a study of which nothing is trained yet, that may stop."""
    make_study(path, {"norm": ["batch", "none"]}, seeds, lambda values, seed: WAITING, claims=claims)
    plan = json.loads((path / "study.json").read_text())
    (path / "study.json").write_text(json.dumps({**plan, "planned_seeds": seeds}))
    return Study.open(path)


def train(path: Path, advantage: float) -> tuple[list[int], list[str]]:
    """Run a study whose first scheme is better by this, plus noise; return the seeds trained and what is said."""
    noise = np.random.default_rng(0).normal(0, 0.002, 50)
    trained: list[int] = []
    said: list[str] = []

    def write(cells: Sequence[Any]) -> None:
        trained.append(cells[0].seed)
        for cell in cells:
            value = 0.8 + (advantage + float(noise[cell.seed]) if cell.values["norm"] == "batch" else 0.0)
            write_cell(path / "cells" / cell.name, cell.seed, value, ())

    study = Study.open(path)
    cells = [SimpleNamespace(name=c.name, seed=c.seed, values=c.values) for c in study.cells if c.result is None]
    run_until_decided(sorted(cells, key=lambda cell: cell.seed), path, write, said.append)  # type: ignore[arg-type]
    return trained, said


def test_a_clear_difference_stops_a_study_early(tmp_path: Path) -> None:
    begun(tmp_path / "s", 10)
    trained, said = train(tmp_path / "s", 0.03)
    assert trained == list(range(len(trained)))
    assert 3 <= len(trained) < 8
    assert said[-1].endswith("1 claim is decided: done")
    study = Study.open(tmp_path / "s")
    assert level_of(study) == look_level(len(trained), 10)
    verdict = judge(study, parse_claims(study)[0])
    assert verdict.kind == "confirmed"
    assert verdict.effect is not None
    assert verdict.effect.level == look_level(len(trained), 10)
    assert "after 10 seeds at most" in study.notes[0]


def test_a_study_that_goes_on_takes_up_its_looks(tmp_path: Path) -> None:
    begun(tmp_path / "s", 10)
    train(tmp_path / "s", 0.03)
    assert train(tmp_path / "s", 0.03)[0] == []  # decided already
    study = Study.open(tmp_path / "s")
    assert looks_as_begun(study, 10) == looks_as_begun(study, None) == 10
    with pytest.raises(UserError, match="was begun with at most 10 seeds, and its looks cannot be planned anew"):
        looks_as_begun(study, 20)


def test_no_difference_takes_all_seeds(tmp_path: Path) -> None:
    begun(tmp_path / "s", 5)
    trained, said = train(tmp_path / "s", 0.0)
    assert trained == [0, 1, 2, 3, 4]
    assert said[-1].endswith("1 of 1 claim undecided")
    assert sum("after" in line for line in said) == 4  # from the second seed on


def test_a_study_of_fixed_size_keeps_its_level(tmp_path: Path) -> None:
    study = make_study(tmp_path / "s", {"norm": ["batch", "none"]}, 4, lambda values, seed: 0.8, claims=(CLAIM,))
    assert level_of(study) == 0.95
    assert study.notes == []
    with pytest.raises(UserError, match="was begun with a fixed number of seeds"):
        looks_as_begun(study, 4)
