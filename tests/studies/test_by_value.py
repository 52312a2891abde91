"""Settings that come with one value of an axis: each scheme at a rate of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from normlab.errors import UserError
from normlab.studies.plan import make_plan

STUDY = """
title: t
question: q
task: image
base: {n: 1, lr: 0.1}
axes: {norm: [batch, layer, none]}
by_value: {norm: {layer: {lr: 0.3}, none: {lr: 0.03}}}
"""


def study(folder: Path, text: str = STUDY) -> Path:
    path = folder / "study.yaml"
    path.write_text(text)
    return path


def rates(path: Path, **asked: object) -> dict[object, float]:
    cells = make_plan(path, scale="smoke", seeds=2, **asked).cells  # type: ignore[arg-type]
    return {cell.values["norm"]: cell.config.lr for cell in cells}


def test_a_value_brings_its_settings_in_every_seed(tmp_path: Path) -> None:
    assert rates(study(tmp_path)) == {"batch": 0.1, "layer": 0.3, "none": 0.03}
    assert len({cell.hash for cell in make_plan(study(tmp_path), scale="smoke", seeds=2).cells}) == 6


def test_a_flag_sets_all_cells_alike(tmp_path: Path) -> None:
    assert rates(study(tmp_path), lr=0.2) == {"batch": 0.2, "layer": 0.2, "none": 0.2}


def test_other_values_of_the_axis_and_other_spellings_may_be_asked_for(tmp_path: Path) -> None:
    assert rates(study(tmp_path), axes={"norm": ["ln", "group"]}) == {"layer": 0.3, "group": 0.1}


def test_a_value_is_found_by_any_of_its_names(tmp_path: Path) -> None:
    path = study(tmp_path, STUDY.replace("layer", "ln").replace("batch", "bn"))
    assert rates(path, axes={"norm": ["layer", "batch"]}) == {"batch": 0.1, "layer": 0.3}


def test_an_axis_that_is_asked_for_wins(tmp_path: Path) -> None:
    plan = make_plan(study(tmp_path), scale="smoke", seeds=1, axes={"lr": [1.0]})
    assert {cell.config.lr for cell in plan.cells} == {1.0}  # type: ignore[attr-defined]


def test_a_scale_replaces_the_settings_of_an_axis(tmp_path: Path) -> None:
    scales = "scales: {smoke: {by_value: {norm: {batch: {lr: 1}}}}, demo: {}}\n"
    assert rates(study(tmp_path, STUDY + scales)) == {"batch": 1.0, "layer": 0.1, "none": 0.1}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("{nrom: {layer: {lr: 1}}}", "by_value: unknown axis 'nrom': did you mean 'norm'"),
        ("{norm: {lyaer: {lr: 1}}}", "by_value: norm: no cell has 'lyaer': did you mean 'layer'"),
        ("{norm: {layer: {norm: batch}}}", "by_value: norm: layer: norm is an axis"),
        ("{norm: {layer: {seed: 1}}}", "by_value: norm: layer: seed: the seeds of a study"),
        ("{norm: {layer: {lrr: 1}}}", "unknown key 'lrr': did you mean 'lr'"),
    ],
    ids=["axis", "value", "undone", "seed", "setting"],
)
def test_what_cannot_be_is_one_line(tmp_path: Path, wrong: str, said: str) -> None:
    text = STUDY.replace("{norm: {layer: {lr: 0.3}, none: {lr: 0.03}}}", wrong)
    with pytest.raises(UserError, match=said):
        make_plan(study(tmp_path, text), scale="smoke")


def test_a_value_may_be_an_alias_or_a_number(tmp_path: Path) -> None:
    text = STUDY.replace("[batch, layer, none]", "[bn, none]").replace(
        "{layer: {lr: 0.3}, none: {lr: 0.03}}", "{bn: {lr: 1}}"
    )
    assert rates(study(tmp_path, text)) == {"batch": 1.0, "none": 0.1}
    sizes = STUDY.replace("norm: [batch, layer, none]", "batch_size: [8, 128]").replace(
        "norm: {layer: {lr: 0.3}, none: {lr: 0.03}}", "batch_size: {8: {lr: 0.01}}"
    )
    cells = make_plan(study(tmp_path, sizes), scale="smoke", seeds=1).cells
    assert [(cell.values["batch_size"], cell.config.lr) for cell in cells] == [(8, 0.01), (128, 0.1)]
