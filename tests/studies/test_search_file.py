"""The `search` block of a study file: what it plans, and every mistake in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from normlab.errors import UserError
from normlab.studies import run_study
from normlab.studies.plan import Plan, make_plan
from normlab.studies.search.runner import in_rounds, run_search

HEAD = """
title: A tiny search
question: Does it run?
task: image
base: {data: digits, n: 1, epochs: 2, limit_train: 64, batch_size: 32}
axes:
  norm: [bn, none]
"""
GRID = HEAD + "search:\n  objective: val/accuracy\n  grid: {lr: [0.01, 0.1], momentum: [0, 0.9]}\n"
SPACE = HEAD + "search:\n  objective: val/accuracy\n  trials: 3\n  space:\n    lr: {low: 1e-3, high: 1, log: true}\n"


def plan_of(tmp_path: Path, text: str, **options: Any) -> Plan:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return make_plan(path, **options)


def test_a_grid_adds_its_lists_to_the_axes(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, GRID)
    assert plan.axes == {"norm": ["bn", "none"], "lr": [0.01, 0.1], "momentum": [0.0, 0.9]}
    assert len(plan.cells) == 2 * 4
    assert plan.search is not None
    assert plan.search.budget == 4


def test_a_space_gives_every_scheme_the_same_number_of_trials(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, SPACE)
    assert [cell.values for cell in plan.cells if cell.values["norm"] == "none"] == [
        {"norm": "none", "trial": number} for number in range(3)
    ]
    assert len(plan.cells) == 2 * 3


@pytest.mark.parametrize("text", [GRID, SPACE])
def test_trials_differ_in_what_is_searched_only_and_never_see_the_test_split(tmp_path: Path, text: str) -> None:
    cells = plan_of(tmp_path, text).cells
    assert len(cells) >= 6
    for cell in cells:
        assert (cell.config.epochs, cell.config.seed) == (2, 0)
        assert cell.config.monitor == "val/accuracy"
        assert cell.config.measure_test is False


def test_trials_run_in_rounds_so_that_a_search_cut_short_spent_the_same_on_each_scheme(tmp_path: Path) -> None:
    order = [(cell.seed, cell.values["norm"]) for cell in in_rounds(plan_of(tmp_path, GRID, seeds=2))]
    assert order == [(seed, norm) for seed in (0, 1) for _ in range(4) for norm in ("batch", "none")]


def test_a_scale_changes_the_search(tmp_path: Path) -> None:
    text = GRID + "scales:\n  smoke: {preset: smoke, search: {grid: {lr: [0.5]}}}\n"
    assert plan_of(tmp_path, text, scale="smoke").axes["lr"] == [0.5]


def test_whole_numbers_are_drawn_for_whole_settings(tmp_path: Path) -> None:
    text = SPACE.replace(", batch_size: 32", "")
    text += "    batch_size: {low: 16, high: 64, step: 16}\n    weight_decay: {low: 0, high: 1}\n"
    search = plan_of(tmp_path, text).search
    assert search is not None
    assert search.space["batch_size"].integer
    assert not search.space["weight_decay"].integer


LR = "lr: {low: 1e-3, high: 1, log: true}"


@pytest.mark.parametrize(
    ("text", "old", "new", "message"),
    [
        (GRID, "lr:", "ler:", "unknown setting 'ler': did you mean 'lr'"),
        (GRID, "objective:", "objektive:", "search: unknown key 'objektive': did you mean 'objective'"),
        (GRID, "val/accuracy", "test/accuracy", "is measured once, after the search: use val/accuracy"),
        (GRID, "val/accuracy", "train/loss", "is no validation metric: use val/loss"),
        (GRID, "lr: [0.01, 0.1]", "seed: [0, 1]", "seed is no setting to search: a seed that does well is luck"),
        (GRID, "lr: [0.01, 0.1]", "epochs: [1, 2]", "epochs is no setting to search"),
        (GRID, "lr: [0.01, 0.1]", "validation: [0.1, 0.2]", "trials would be measured on different images"),
        (GRID, "lr: [0.01, 0.1]", "threads: [1, 2]", "threads does not change a result"),
        (GRID, "lr: [0.01, 0.1]", "norm: [bn]", "norm is an axis, which is compared, not searched"),
        (GRID, "lr: [0.01, 0.1]", "lr: []", "lr: an empty list"),
        (GRID, "lr: [0.01, 0.1]", "lr: [0.1, 0.10]", "0.1 stands twice"),
        (GRID, "lr: [0.01, 0.1]", "lr: [0.1, -1]", "search: lr: lr: input should be greater than 0"),
        (GRID, "  grid", "  trials: 5\n  grid", "trials: a grid trains every combination to its end"),
        (GRID, "  grid: {lr: [0.01, 0.1], momentum: [0, 0.9]}", "", "nothing to search"),
        (GRID, "base: {", "base: {lr: 1, ", "base: lr is what the search tries: drop one of the two"),
        (GRID, "base: {", "base: {monitor: val/loss, ", "monitor: the objective picks the best epoch"),
        (SPACE, "  trials: 3\n", "", "key 'trials' is missing"),
        (SPACE, "  trials: 3\n", "  trials: 3\n  grid: {momentum: [0]}\n", "a grid and a space at once"),
        (SPACE, "title", "seeds: 2\ntitle", "a space trains each trial once, 2 seeds are asked for"),
        (SPACE, LR, "lr: {low: 1, high: 0.1}", "lr: low 1 is not below high 0.1"),
        (SPACE, LR, "lr: {low: 0.1}", "lr: key 'high' is missing"),
        (SPACE, LR, "lr: {low: 0.1, high: 1, lag: true}", "lr: unknown key 'lag': did you mean 'log'"),
        (SPACE, LR, "lr: 0.1", "lr: expected {low: ..., high: ...} or {choices: [...]}, got 0.1"),
        (SPACE, LR, "weight_decay: {low: 0, high: 1, log: true}", "low 0 has no logarithm"),
        (SPACE, LR, "lr: {low: 0.1, high: 1, log: true, step: 0.1}", "log and step at once"),
        (SPACE, LR, "lr: {low: 0.1, high: 1, step: 2}", "step 2 does not fit between 0.1 and 1"),
        (SPACE, LR, "batch_size: {low: 8, high: 64, step: 0.5}", "step 0.5 is no whole number, as batch_size is"),
        (SPACE, LR, "lr: {low: -1, high: 1}", "search: lr: lr: input should be greater than 0"),
        (SPACE, LR, "lr: {low: 0.1, high: 1, choices: [1]}", "choices and an interval at once"),
        (SPACE, LR, "schedule: {low: 1, high: 2}", "schedule: is no number: give choices"),
        (SPACE, LR, "lr_milestones: {choices: [[0.5]]}", "choices must be plain values"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file(tmp_path: Path, text: str, old: str, new: str, message: str) -> None:
    assert old in text
    with pytest.raises(UserError) as caught:
        plan_of(tmp_path, text.replace(old, new))
    said = str(caught.value)
    assert message in said
    assert "mine.yaml" in said
    assert "\n" not in said


CLAIM = "claims:\n- {says: x, kind: better, a: {norm: bn}, b: {norm: none}, source: me}\n"


def test_a_claim_about_the_test_split_is_refused_because_trials_never_see_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a claim's metric: 'test/accuracy' is measured once"):
        plan_of(tmp_path, GRID + CLAIM)


def test_a_claim_about_drawn_points_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="claims need the same points for every scheme"):
        plan_of(tmp_path, SPACE + CLAIM.replace("source", "metric: val/accuracy, source"))


def test_a_variant_that_fixes_what_is_searched_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="lr is fixed by the variant 'slow'"):
        plan_of(tmp_path, GRID + "variants: {slow: {lr: 0.01}, fast: {}}\n")


def test_a_flag_for_what_is_searched_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--lr: .*mine.yaml searches for lr"):
        plan_of(tmp_path, GRID, lr=0.5)


def test_study_run_and_tune_send_each_other_their_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GRID)
    with pytest.raises(UserError, match="run it with `normlab tune"):
        run_study(path, out=tmp_path / "out")
    path.write_text(HEAD)
    with pytest.raises(UserError, match="has no `search` block: run it with `normlab study run"):
        run_search(path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_optuna_a_grid_plans_and_a_space_says_what_to_install(tmp_path: Path) -> None:
    """In an interpreter in which nobody can import Optuna."""
    (tmp_path / "grid.yaml").write_text(GRID)
    (tmp_path / "space.yaml").write_text(SPACE)
    code = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "optuna":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocked())
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "optuna" else real(name, package)
from normlab.errors import UserError
from normlab.studies.plan import make_plan
from normlab.studies.search.runner import run_search
assert make_plan({str(tmp_path / "grid.yaml")!r}).cells
import normlab.report
try:
    run_search({str(tmp_path / "space.yaml")!r}, out={str(tmp_path / "out")!r})
except UserError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'normlab[tune]'" in done.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("objective", "problem"),
    [
        ("val/acuracy", "unknown metric 'val/acuracy': did you mean 'val/accuracy'"),
        ("val/rouge", "unknown metric 'val/rouge': it is not known which way it points"),
        ("val/penultimate_spread", "no better side"),
    ],
)
def test_an_objective_that_judges_nothing_is_refused_before_a_trial(
    tmp_path: Path, objective: str, problem: str
) -> None:
    text = GRID.replace("val/accuracy", objective)
    assert objective in text
    with pytest.raises(UserError, match=problem):
        plan_of(tmp_path, text)
