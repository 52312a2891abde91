"""A study's variants: named settings as one more axis."""

from __future__ import annotations

from pathlib import Path

import pytest

from normlab.errors import UserError
from normlab.studies.plan import make_plan

STUDY = """
title: t
question: q
task: image
base: {norm: batch, n: 1}
variants:
  deep: {n: 3}
  deep+flat: {n: 3, crop: false}
  plain: {}
"""


def study(folder: Path, text: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(text)
    return path


def test_a_variant_changes_the_base_and_names_the_cell(tmp_path: Path) -> None:
    plan = make_plan(study(tmp_path, STUDY), scale="smoke", seeds=2)
    assert [(cell.name, cell.config.n, cell.config.crop) for cell in plan.cells[::2]] == [  # type: ignore[attr-defined]
        ("variant-deep_seed-0", 3, True),
        ("variant-deep+flat_seed-0", 3, False),
        ("variant-plain_seed-0", 1, True),
    ]
    assert plan.axes == {"variant": ["deep", "deep+flat", "plain"]}
    assert plan.cells[0].values == {"variant": "deep"}


def test_variants_and_axes_make_a_product(tmp_path: Path) -> None:
    plan = make_plan(
        study(tmp_path, STUDY.replace("norm: batch, ", "") + "axes: {norm: [bn, none]}\n"), scale="smoke", seeds=1
    )
    assert len(plan.cells) == 6
    assert plan.cells[0].values == {"variant": "deep", "norm": "batch"}


def test_a_setting_that_an_axis_would_undo_is_refused(tmp_path: Path) -> None:
    path = study(tmp_path, STUDY + "axes: {n: [1, 2]}\n")
    with pytest.raises(UserError, match=r"variants: deep: n is an axis, which sets it in every cell: drop one of the"):
        make_plan(path, scale="smoke")


def test_a_base_setting_that_an_axis_would_undo_is_refused(tmp_path: Path) -> None:
    path = study(tmp_path, STUDY + "axes: {norm: [bn, none]}\n")
    with pytest.raises(UserError, match=r"study.yaml: base: norm is an axis, which sets it in every cell: drop one"):
        make_plan(path, scale="smoke")
    text = STUDY.replace("norm: batch, ", "") + "axes: {norm: [bn, none]}\n"
    path = study(tmp_path, text + "scales: {smoke: {base: {norm: layer}}, demo: {}}\n")
    with pytest.raises(UserError, match="scales: smoke: base: norm is an axis"):
        make_plan(path, scale="smoke")
    assert make_plan(path, scale="demo").cells


def test_an_axis_of_one_scale_or_of_a_command_replaces_a_base_setting(tmp_path: Path) -> None:
    path = study(tmp_path, STUDY + "scales: {smoke: {}, demo: {axes: {norm: [bn, none]}}}\n")
    assert {cell.values["norm"] for cell in make_plan(path, scale="demo").cells} == {"batch", "none"}
    plan = make_plan(path, scale="smoke", axes={"norm": ["layer", "none"]})
    assert {cell.values["norm"] for cell in plan.cells} == {"layer", "none"}


def test_a_scale_may_keep_some_variants(tmp_path: Path) -> None:
    scales = "scales: {smoke: {axes: {variant: [plain]}}, demo: {axes: {variant: [plian]}}}\n"
    path = study(tmp_path, STUDY + scales)
    assert {cell.values["variant"] for cell in make_plan(path, scale="smoke").cells} == {"plain"}
    with pytest.raises(UserError, match="unknown variant 'plian': did you mean 'plain'"):
        make_plan(path, scale="demo")


def test_an_unknown_setting_in_a_variant_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown key 'crp': did you mean 'crop'"):
        make_plan(study(tmp_path, STUDY.replace("crop", "crp")), scale="smoke")


def test_a_study_that_compares_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to compare"):
        make_plan(study(tmp_path, STUDY.partition("variants:")[0]), scale="smoke")


def test_a_flag_that_a_variant_sets_itself_is_refused_where_that_variant_is_trained(tmp_path: Path) -> None:
    path = study(tmp_path, STUDY)
    with pytest.raises(
        UserError, match=r"--n: the variant deep of .* sets n itself: leave it out, --axis variant=plain"
    ):
        make_plan(path, scale="smoke", n=2)
    plan = make_plan(path, scale="smoke", axes={"variant": ["plain"]}, n=2)
    assert {cell.config.n for cell in plan.cells} == {2}  # type: ignore[attr-defined]
