"""What the report makes of ranks, examples, causes, recommendations and two studies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from synthetic import NORMS, make_study

from normlab.report.blocks import Advice
from normlab.report.build import render
from normlab.report.comparing import behind_the_best
from normlab.report.families import by_scheme
from normlab.report.figures.multiples import laid_out, line_keys
from normlab.report.sections.image.batch_size import cause_table
from normlab.report.sections.image.batch_size import section as batch_size
from normlab.report.sections.image.recommendation import section as recommendation
from normlab.report.sections.shared.claims import section as claims
from normlab.report.sections.shared.rankings import against_best, ranking_table
from normlab.report.sections.shared.side_by_side import matched, section
from normlab.report.view import StudyView
from normlab.studies.rankings import rank_combinations
from normlab.studies.statistics import mcnemar
from normlab.studies.study import Study


def change_result(study: Study, name: str, **metrics: float) -> None:
    """Add metrics to a finished cell."""
    path = study.path / "cells" / name / "result.json"
    result = json.loads(path.read_text())
    result["metrics"] |= metrics
    path.write_text(json.dumps(result))


def row_of(table: Any, label: str) -> dict[str, Any]:
    row = next(row for row in table.rows if row[0].text == label)
    return {column.title: cell for column, cell in zip(table.columns, row, strict=True)}


# Rankings


def test_every_row_of_the_ranking_is_behind_or_says_what_would_settle_it(seven: Study) -> None:
    view = StudyView.read(seven)
    found = behind_the_best(view.variants, view.headline)
    assert found is not None
    table = ranking_table(view, *found)
    assert len(table.rows) == len(NORMS)
    for row in table.rows[1:]:
        verdict = row[-1]
        assert verdict.text == "behind" or verdict.detail
    assert row_of(table, "No normalization")["Verdict"].detail.startswith("diverged in 1 seed")


def test_mean_ranks_stand_beside_their_variants(tmp_path: Path) -> None:
    study = make_study(tmp_path, axes={"norm": ["batch", "layer", "group"]}, seeds=3)
    view = StudyView.read(study)
    found, ranked = behind_the_best(view.variants, view.headline), rank_combinations(study, view.headline)
    assert found is not None
    assert ranked is not None
    table = ranking_table(view, *found)
    by_norm = {values["norm"]: mean for values, mean in zip(ranked[0], ranked[1].mean_ranks, strict=True)}
    assert row_of(table, "Layer norm")["Mean rank"].text == f"{by_norm['layer']:.2f}"
    assert "test over 3 complete seeds and 3 variants" in render([view])


def test_examples_are_mcnemars_counts(tmp_path: Path) -> None:
    study = make_study(tmp_path, axes={"norm": ["batch", "group"]})
    labels, predicted = [0, 1, 2, 3] * 5, {"batch": [0, 1, 2, 3] * 5, "group": [0, 1, 0, 0] * 5}
    for cell in study.cells:
        cell.folder.predictions.mkdir(exist_ok=True)
        rows = "".join(f"{a},{b}\n" for a, b in zip(labels, predicted[cell.values["norm"]], strict=True))
        (cell.folder.predictions / "test.csv").write_text("label,prediction\n" + rows)
    best, other = StudyView.read(study).variants
    test = mcnemar(labels, predicted["batch"], predicted["group"])
    found = against_best(study, best, [other])[other.label]
    assert found == (test.only_a, test.only_b, int(test.p_value < 0.05), 1) == (10, 0, 1, 1)


# Batch size


@pytest.fixture
def twice(tmp_path: Path) -> Study:
    """Batch and group norm at two sizes and two learning rates; batch norm measured a second time."""
    axes = {"norm": ["batch", "group"], "batch_size": [8, 128], "lr_scaling": ["fixed", "linear"]}
    study = make_study(tmp_path, axes=axes, seeds=2)
    for cell in study.cells:
        if cell.values["norm"] == "batch":
            small = cell.values["batch_size"] == 8
            accuracy = {"test/accuracy": 0.7 if small else 0.9, "test/accuracy_precise": 0.85 if small else 0.91}
            change_result(study, cell.name, **{key: value + 0.001 * cell.seed for key, value in accuracy.items()})
    return Study.open(study.path)


def test_loss_at_a_small_batch_is_split_into_statistics_and_weights(twice: Study) -> None:
    table = cause_table(by_scheme(StudyView.read(twice)))
    assert [row[0].text for row in table.rows] == [
        "Batch norm (own), lr scaling fixed",
        "Batch norm (own), lr scaling linear",
    ]
    assert [column.group for column in table.columns[3:6]] == [
        "Running statistics",
        "At the small batch",
        "Precise statistics",
    ]
    assert [cell.text for cell in table.rows[0][3:6]] == ["-20.00", "+15.00", "-6.00"]


def test_in_every_column_of_causes_a_gain_is_positive_and_a_loss_negative(twice: Study) -> None:
    for cell in twice.cells:
        if cell.values["norm"] == "batch":
            small = cell.values["batch_size"] == 8
            change_result(twice, cell.name, **{"test/accuracy": 0.9 if small else 0.7})
            change_result(twice, cell.name, **{"test/accuracy_precise": 0.85 if small else 0.9})
    table = cause_table(by_scheme(StudyView.read(Study.open(twice.path))))
    assert [cell.text for cell in table.rows[0][3:6]] == ["+20.00", "-5.00", "-5.00"]
    assert "positive number is a gain" in table.caption


def test_further_axes_make_panels_and_precise_statistics_dashed_lines(twice: Study) -> None:
    found = batch_size(StudyView.read(twice))
    assert found is not None
    figure = next(block for block in found.blocks if block.kind == "figure" and block.name == "batch_size")
    titles = [annotation.text for annotation in figure.figure.layout.annotations]
    assert ["fixed" in titles[0], "linear" in titles[1], len(titles)] == [True, True, 2]
    assert [key.label for key in figure.keys] == [
        "Batch norm (own)",
        "Batch norm (own), precise statistics",
        "Group norm",
    ]
    assert {trace.line.dash for trace in figure.figure.data if "precise" in trace.name} == {"dash"}
    assert figure.figure.layout.xaxis.type == "log"


def test_statistics_as_an_axis_are_split_too(tmp_path: Path) -> None:
    axes = {"norm": ["batch"], "batch_size": [8, 128], "bn_statistics": ["running", "precise"]}
    study = make_study(tmp_path, axes=axes, seeds=2)
    (row,) = cause_table(by_scheme(StudyView.read(study))).rows
    assert row[-1].text == "2"


def test_cells_left_out_of_the_product_leave_the_report_whole(twice: Study) -> None:
    plan = json.loads((twice.path / "study.json").read_text())
    plan["cells"] = [
        cell
        for cell in plan["cells"]
        if cell["values"] != {**cell["values"], "norm": "group"} or (cell["values"]["lr_scaling"] == "fixed")
    ]
    (twice.path / "study.json").write_text(json.dumps(plan))
    view = StudyView.read(Study.open(twice.path))
    assert len(view.variants) == 6
    assert "Batch norm&#39;s effective sample size" in render([view])


# Many variants


def test_many_variants_stand_in_panels_with_few_lines_each(tmp_path: Path) -> None:
    axes = {"norm": ["batch", "group"], "batch_size": [2, 4, 8, 16, 32, 64, 128], "lr": [0.1, 0.2]}
    view = StudyView.read(make_study(tmp_path, axes=axes, epochs=2))
    lines = laid_out(view.variants)
    assert lines is not None
    assert max(len(found) for _, found in lines.panels) <= 9
    switched = [group for key in line_keys(lines) for group in key.switched]
    assert sorted(switched) == sorted(variant.label for variant in view.variants)
    assert "The matrices of all 28 variants" in render([view])


def test_few_variants_stay_in_one_figure(seven: Study) -> None:
    assert laid_out(StudyView.read(seven).variants) is None


# Recommendation, claims


def test_recommendation_names_the_setting_and_rests_on_this_study(tmp_path: Path) -> None:
    study = make_study(tmp_path, axes={"norm": ["batch", "layer", "none"]}, seeds=3)
    found = recommendation(StudyView.read(study))
    assert found is not None
    advice = found.blocks[0]
    assert advice.kind == "advice"
    assert "cifar10, batch size 128, cpu" in advice.setting
    assert any("Study seven_norms (demo, cifar10, batch size 128)" in reason for reason in advice.reasons)


def test_recommendation_at_the_other_batch_sizes_gives_all_its_grounds(tmp_path: Path) -> None:
    study = make_study(tmp_path, axes={"norm": ["batch", "group"], "batch_size": [2, 128]}, seeds=3)
    found = recommendation(StudyView.read(study))
    assert found is not None
    (table,) = [block for block in found.blocks if block.kind == "table"]
    size, scheme, because, but = (cell.text for cell in table.rows[0])
    assert (size, scheme) == ("2", "Group norm")
    assert "At 2 images a step" in because
    assert "Study seven_norms" in because
    assert "groups must divide" in but


def test_recommendation_knows_a_gpu_by_the_name_that_its_runs_record(tmp_path: Path) -> None:
    study = make_study(tmp_path, axes={"norm": ["batch", "none"]}, seeds=2)
    for cell in study.cells:
        path = cell.folder.path / "result.json"
        path.write_text(path.read_text(encoding="utf-8").replace('"device": "cpu"', '"device": "NVIDIA H200"'))
    found = recommendation(StudyView.read(Study.open(study.path)))
    assert found is not None
    advice = found.blocks[0]
    assert isinstance(advice, Advice)
    assert advice.choice.startswith("Batch")
    assert "NVIDIA H200" in advice.setting
    assert any("several GPUs" in limit for limit in advice.limits)


def test_recommendation_needs_a_study_of_schemes(tmp_path: Path) -> None:
    assert recommendation(StudyView.read(make_study(tmp_path, axes={"lr": [0.1, 0.2]}))) is None


CLAIM = {"kind": "better", "a": {"norm": "batch"}, "b": {"norm": "none"}, "source": "a paper"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"metric": "test/acuracy"}, "claim 1: unknown metric 'test/acuracy'"),
        ({"a": {"norm": "btch"}}, "claim 1: a: no cell has norm 'btch'"),
        ({"kind": "beter"}, "claim 1: kind"),
    ],
)
def test_one_wrong_claim_does_not_cost_the_others(wrong: dict[str, Any], message: str, tmp_path: Path) -> None:
    raw = [{"says": "Wrong.", **CLAIM, **wrong}, {"says": "Right.", **CLAIM}]
    found = claims(StudyView.read(make_study(tmp_path, axes={"norm": ["batch", "none"]}, seeds=4, claims=raw)))
    assert found is not None
    first, second = found.blocks[1].items
    assert (first.verdict, first.claim) == ("unreadable", "Wrong.")
    assert message in first.sentence
    assert "\n" not in first.sentence
    assert second.verdict in {"confirmed", "refuted", "undecided"}


def test_undecided_claims_of_one_seed_stand_behind_one_line(tmp_path: Path) -> None:
    raw = [{"says": f"Claim {number}.", **CLAIM} for number in range(3)]
    states = {"norm-batch_seed-0": "diverged"}
    one = make_study(tmp_path / "one", axes={"norm": ["batch", "none"]}, claims=raw)
    found = claims(StudyView.read(one))
    assert found is not None
    assert found.blocks[0].text == "3 claims: 3 undecided."
    (folded,) = found.blocks[1:]
    assert folded.title == "3 claims are undecided: one seed shows no spread. Run at least 3 (--seeds 3)"
    assert [answer.claim for answer in folded.blocks[0].items] == ["Claim 0.", "Claim 1.", "Claim 2."]
    diverged = make_study(tmp_path / "diverged", axes={"norm": ["batch", "none"]}, claims=raw, states=states)
    decided = claims(StudyView.read(diverged))
    assert decided is not None
    assert [block.kind for block in decided.blocks] == ["text", "answers"]


def test_undecided_claims_of_several_seeds_stay_in_sight(tmp_path: Path) -> None:
    raw = [{"says": "Open.", **CLAIM, "a": {"norm": "batch"}, "b": {"norm": "torch_batch"}}]
    study = make_study(tmp_path, axes={"norm": ["batch", "torch_batch"]}, seeds=3, claims=raw)
    found = claims(StudyView.read(study))
    assert found is not None
    assert [block.kind for block in found.blocks] == ["text", "answers"]
    assert [answer.verdict for answer in found.blocks[1].items] == ["undecided"]


def test_metric_that_is_missing_because_its_cells_diverged_is_a_loss_and_no_mistake(tmp_path: Path) -> None:
    raw = [{"says": "Right.", **CLAIM, "metric": "test/accuracy_precise"}]
    states = {f"norm-batch_seed-{seed}": "diverged" for seed in range(2)}
    study = make_study(tmp_path, axes={"norm": ["batch", "none"]}, seeds=2, claims=raw, states=states)
    found = claims(StudyView.read(study))
    assert found is not None
    (answer,) = found.blocks[1].items
    assert answer.verdict == "refuted"
    assert "diverged in 2 of 2 seeds" in answer.sentence


# Two studies


def test_two_studies_share_what_their_axes_say_even_if_one_has_an_axis_more(tmp_path: Path) -> None:
    first = StudyView.read(make_study(tmp_path / "a", axes={"norm": ["batch", "group"]}, seeds=2))
    axes = {"norm": ["batch", "layer"], "batch_size": [8, 128]}
    second = StudyView.read(make_study(tmp_path / "b", axes=axes, seeds=2))
    common, only_first, only_second = matched(first, second)
    assert [each.label for each in common] == ["Batch norm (own), batch size 128"]
    assert [variant.label for variant in only_first] == ["Group norm"]
    assert len(only_second) == 3


def test_two_studies_are_compared_seed_by_seed_and_say_what_else_differs(tmp_path: Path) -> None:
    studies = [
        make_study(tmp_path / name, axes={"norm": NORMS[:3]}, seeds=3, epochs=epochs, title=name)
        for name, epochs in (("short", 2), ("long", 4))
    ]
    first, second = (StudyView.read(study) for study in studies)
    found = section(first, second)
    assert "epochs 2 against 4" in found.blocks[0].text
    table = next(block for block in found.blocks if block.kind == "table")
    of_first, of_second = (view.variants[0].by_seed("test/accuracy") for view in (first, second))
    mean = sum(of_second[seed] - of_first[seed] for seed in range(3)) / 3
    assert float(table.rows[0][3].sort) == pytest.approx(mean, abs=1e-7)
    assert "short beside long" in render([first, second])
