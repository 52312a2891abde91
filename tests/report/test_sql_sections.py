"""The sections of a text-to-SQL study, on runs that lie on disk as training writes them."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from normlab.config import config_hash, option
from normlab.report.blocks import Bullets, Figure, Folded, Queries, Table, Text
from normlab.report.build import render
from normlab.report.sections.text2sql import breakdown as sql_breakdown
from normlab.report.sections.text2sql import curves as sql_curves
from normlab.report.sections.text2sql import examples as sql_examples
from normlab.report.sections.text2sql import published as published_sql
from normlab.report.sections.text2sql import scores as sql_results
from normlab.report.view import StudyView
from normlab.runs import RunFolder
from normlab.runs.atomic import write_json
from normlab.studies.published import load_published
from normlab.studies.study import Study
from normlab.train_config import TrainConfig

VARIANTS = {"lstm": 0.3, "lstm_attention": 0.4}
COMPONENTS = ("select", "where", "group")


class SqlLikeConfig(TrainConfig):
    """The fields of a text-to-SQL run that the report reads; the task itself would bring torch."""

    model: str = option("lstm")
    view: str = option("course")


def level(share: float, count: int) -> dict[str, Any]:
    partial = {name: {"accuracy": share, "recall": share - 0.1, "f1": share - 0.05} for name in COMPONENTS[:2]}
    partial["group"] = {"accuracy": 0.0, "recall": 0.0, "f1": 1.0}
    return {
        "count": count,
        "exact_match": share,
        "execution": share - 0.02,
        "execution_sound": share + 0.02,
        "empty_matches": 1,
        "partial": partial,
    }


def example(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "question": f"How many <b>ships</b> has owner {number}?",
        "db_id": "harbour" if number % 2 else "library",
        "gold": "SELECT count(*) FROM ship WHERE owner = 'Ann'",
        "prediction": "SELECT count(*) FROM boat WHERE owner = 'Ann'",
        "exact": False,
        "executed": number % 3 == 0,
        "hardness": "easy" if number < 3 else "hard",
        "error": "",
        "linked_tables": ["ship"],
        "linked_columns": ["ship.owner"],
        "values": ["'Ann'", "1"],
        "alternatives": [{"sql": "SELECT 1", "score": -0.1}, {"sql": "SELECT count(*) FROM ship", "score": -1.234}],
        "rows": [[3, None, "x" * 200]],
        "gold_rows": [],
        **changes,
    }


def tables(share: float) -> dict[str, Any]:
    levels = {"easy": level(share + 0.1, 20), "medium": level(share, 20), "hard": level(share - 0.1, 10)}
    levels |= {"extra": level(0.0, 0), "all": level(share, 50)}
    return {
        "scores": {
            "levels": levels,
            "databases": {"library": level(share, 10), "harbour": level(share + 0.05, 40)},
            "empty_matches": 1,
            "timeouts": 2,
            "notes": ["1 row not scored, first val.csv:3: gold does not parse"],
        },
        "examples": [example(number) for number in range(5)] + [example(5, exact=True, executed=True)],
        "skipped": {"count": 3, "first": ["val.csv:3: outside the grammar"]},
        "unknown_values": {"questions": 1, "values": 2},
        "leakage": "leakage: database seen in training for 50 of 50 (100.0%)",
        "nearest": {"exact_match": 0.46, "valid": 1.0, "execution": 0.44, "execution_sound": 0.45},
    }


def make_sql_run(path: Path, model: str, seed: int, view: str) -> None:
    config = SqlLikeConfig.parse({"data": "spider", "epochs": 4, "model": model, "view": view, "seed": seed}, "test")
    folder = RunFolder.create(path, config, "text2sql")
    share = VARIANTS[model] + 0.01 * seed
    metrics = {"train/exact_match": share + 0.3, "train/loss": 1.0}
    for split in ("val", "test"):
        metrics |= {f"{split}/exact_match": share, f"{split}/execution": share - 0.02, f"{split}/loss": 4.0}
        metrics |= {f"{split}/execution_sound": share + 0.02, f"{split}/valid": 1.0}
    metrics |= {"test/novel_exact_match": share - 0.1, "test/nearest_exact_match": 0.46}
    with folder:
        folder.write_card({"without_cells": ["geo"]})
        lines = [
            {"epoch": e, "step": 10 * e, "val/exact_match": share - 0.1 / e, "train/online_loss": 9.0 / e}
            | {"val/loss": 8.0 / e}
            for e in range(1, 5)
        ]
        (folder.path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        folder.finish(
            {
                "state": "finished",
                "task": "text2sql",
                "headline": "test/exact_match",
                "metrics": metrics,
                "tables": {"train": {}, "val": {"scores": tables(share)["scores"]}, "test": tables(share)},
                "diverged": None,
                "epochs": 4,
                "steps": 40,
                "best_epoch": 4,
                "sizes": {"train": 100, "val": 10, "test": 50},
                "config_hash": config_hash(config),
                "precision": "float32",
                "device": "cpu",
                "threads": 1,
                "seconds": 40.0,
                "seconds_per_epoch": 10.0,
                "examples_per_second": 10.0,
            }
        )


def make_sql_study(path: Path, view: str = "course", **plan: Any) -> StudyView:
    cells = []
    for model in VARIANTS:
        for seed in range(2):
            cell = f"variant-{model}_seed-{seed}"
            make_sql_run(path / "cells" / cell, model, seed, view)
            cells.append({"name": cell, "values": {"variant": model}, "seed": seed, "hash": "0" * 12})
    study = {"version": 1, "name": "sql_models", "title": "Models", "question": "Which?", "task": "text2sql"}
    study |= {"scale": "full", "axes": {"variant": list(VARIANTS)}, "published": ["text_to_sql"], "claims": []}
    write_json(path / "study.json", {**study, **plan, "cells": cells})
    return StudyView.read(Study.open(path))


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> StudyView:
    return make_sql_study(tmp_path_factory.mktemp("sql"))


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def test_a_text_to_sql_study_has_its_own_sections(view: StudyView) -> None:
    html = unescape(render([view]))
    for heading in ("Results on the test split", "Beside published", "By level, component", "Questions and answers"):
        assert f"<h2>{heading}" in html
    assert "<h2>Curves" in html
    assert "undefined" not in re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)


def test_the_baseline_stands_below_the_models_in_both_kinds_of_execution(view: StudyView) -> None:
    table = sql_results.scores_table(view, "test")
    assert [column.title for column in table.columns][2:6] == [
        "Exact match %",
        "Official execution %",
        "Order-insensitive execution %",
        "Parses officially %",
    ]
    assert texts(table)[-1][0] == "Nearest question, copied"
    assert texts(table)[-1][2:6] == ["46.00", "44.00", "45.00", "100.00"]
    assert texts(table)[1][2:6] == ["40.50", "38.50", "42.50", "100.00"]


def test_rows_whose_sql_training_lacks_have_columns_of_their_own(view: StudyView) -> None:
    table = sql_results.scores_table(view, "test")
    assert [group for group, _ in table.groups] == ["", "All questions", "Of these, SQL that training lacks"]
    assert texts(table)[0][-1] == "20.50"


def test_what_the_data_lack_is_said(view: StudyView) -> None:
    found = sql_results.section(view)
    assert found is not None
    (remarks,) = [block.items for block in found.blocks if isinstance(block, Bullets)]
    said = " ".join(remarks)
    for part in ("seen in training", "3 gold queries", "1 test question ", "geo", "2 predictions", "val.csv:3"):
        assert part in said


def test_levels_without_questions_and_components_that_agree_in_nothing_show_a_dash(view: StudyView) -> None:
    table = sql_breakdown.levels_table(view.variants, "test")
    assert texts(table)[0][1:6] == ["40.50", "30.50", "20.50", "–", "30.50"]
    components = texts(sql_breakdown.components_table(view.variants[0], "test", "components"))
    assert components[0] == ["select", "30.50", "20.50", "25.50"]
    assert components[2] == ["group", "–", "–", "–"]


def test_databases_stand_by_number_of_questions(view: StudyView) -> None:
    table = sql_breakdown.databases_table(view.variants, "test")
    assert [row[:2] for row in texts(table)] == [["harbour", "40"], ["library", "10"]]
    assert [group for group, _ in table.groups] == ["", "lstm", "lstm_attention"]


def test_published_figures_are_those_of_the_same_split_and_kind_of_model(view: StudyView, tmp_path: Path) -> None:
    plain, attention = (published_sql.published_like(variant, "col775_val") for variant in view.variants)
    assert {row["model"] for row in plain} == {"lstm_lstm", "lstm_lstm_bs16_ep300"}
    assert {row["exact_match"] for row in attention} == {0.247, 0.129}
    unseen = make_sql_study(tmp_path, view="unseen")
    assert published_sql.published_split(unseen) == "spider_dev"
    assert [row["exact_match"] for row in published_sql.published_like(unseen.variants[0], "spider_dev")] == [0.019]


def test_ours_the_baseline_and_theirs_stand_in_one_table(view: StudyView) -> None:
    table = published_sql.like_table(view, "col775_val")
    assert texts(table)[0][1:] == ["30.50", "28.50", "22.90", "21.40", "10.90", "12.60"]
    assert texts(table)[-1][:3] == ["Nearest question, copied", "46.00", "44.00"]


def test_every_published_row_is_listed_on_its_split_only(view: StudyView) -> None:
    rows = [row for row in load_published("text_to_sql") if row["split"] == "col775_val"]
    assert len(published_sql.all_table("col775_val", "one").rows) == len(rows)
    assert len(published_sql.all_table(None, "all").rows) == len(load_published("text_to_sql"))


def test_other_data_than_spiders_are_no_comparison(tmp_path: Path) -> None:
    view = make_sql_study(tmp_path)
    for cell in view.cells:
        cell.config["data"] = "generated"
    found = published_sql.section(view)
    assert found is not None
    first = found.blocks[0]
    assert isinstance(first, Text)
    assert (first.tone, "no comparison" in first.text) == ("warning", True)


def test_a_view_that_nobody_has_published_shows_nothing(tmp_path: Path) -> None:
    assert published_sql.section(make_sql_study(tmp_path, view="novel")) is None


def browser_of(view: StudyView) -> Queries:
    found = sql_examples.section(view)
    assert found is not None
    (block,) = [block for block in found.blocks if isinstance(block, Queries)]
    return block


def test_a_question_is_shown_with_links_rows_and_the_beams_other_hypotheses(view: StudyView) -> None:
    shown = browser_of(view).items[0]
    assert (shown.verdict, shown.level, shown.database) == ("rows", "easy", "library")
    assert dict(shown.facts) == {"Tables:": "ship", "Columns:": "ship.owner", "Constants:": "'Ann', 1"}
    assert shown.alternatives == [("-1.23", "SELECT count(*) FROM ship")]
    assert [(piece.text, piece.wrong) for piece in shown.predicted] == [
        ("SELECT count(*) FROM", False),
        ("boat", True),
        ("WHERE owner = 'Ann'", False),
    ]
    assert shown.gold_rows == []
    assert shown.predicted_rows is not None
    assert shown.predicted_rows[0][:2] == ["3", "–"]
    assert len(shown.predicted_rows[0][2]) == 60


def test_verdicts_levels_and_databases_can_be_filtered_by(view: StudyView) -> None:
    block = browser_of(view)
    assert [item.verdict for item in block.items] == ["rows", "wrong", "wrong", "rows", "wrong", "right"]
    assert block.levels == ["easy", "hard"]
    assert block.databases == ["harbour", "library"]
    html = render([view])
    assert html.count('<article class="query"') == 6
    assert 'data-verdict="rows" data-level="easy" data-database="library"' in html


def test_what_users_and_models_wrote_is_escaped(view: StudyView) -> None:
    html = render([view])
    assert "&lt;b&gt;ships&lt;/b&gt;" in html
    assert "<b>ships" not in html


def test_examples_of_an_older_run_are_shown_without_what_it_lacks(tmp_path: Path) -> None:
    view = make_sql_study(tmp_path)
    for cell in view.cells:
        for entry in cell.result["tables"]["test"]["examples"]:
            del entry["gold_rows"]
    assert browser_of(view).items[0].gold_rows is None
    assert "not known" in render([view])


def test_the_questions_of_a_report_have_a_largest_size(tmp_path: Path) -> None:
    view = make_sql_study(tmp_path)
    for cell in view.cells:
        cell.result["tables"]["test"]["examples"] = [example(n, question="long " * 300) for n in range(1000)]
    found = sql_examples.section(view)
    assert found is not None
    assert isinstance(found.blocks[0], Text)
    assert 100 < len(browser_of(view).items) < 1000
    assert len(render([view])) - len(render([make_sql_study(tmp_path / "small")])) < 3 * sql_examples.MAX_CHARACTERS


def test_curves_show_both_losses_and_say_what_they_are(view: StudyView) -> None:
    found = sql_curves.section(view)
    assert found is not None
    figures = [block for block in found.blocks if isinstance(block, Figure)]
    assert [figure.name for figure in figures] == ["loss", "headline"]
    names = {annotation.text for annotation in figures[0].figure.layout.annotations}
    assert any("Training loss" in name for name in names)
    assert any("Validation loss" in name for name in names)
    assert "label smoothing" in found.help


def test_every_setting_is_shown(view: StudyView) -> None:
    html = unescape(render([view]))
    assert "lr" in SqlLikeConfig.model_fields
    for name in SqlLikeConfig.model_fields:
        assert f">{name}<" in html


def test_a_run_that_has_measured_nothing_yet_has_no_empty_sections(tmp_path: Path) -> None:
    view = make_sql_study(tmp_path)
    for cell in view.cells:
        cell.result.clear()
    sections = (sql_results, sql_breakdown, sql_examples)
    assert [module.section(view) for module in sections] == [None, None, None]


def test_the_breakdown_folds_what_is_long(view: StudyView) -> None:
    found = sql_breakdown.section(view)
    assert found is not None
    assert [block.title for block in found.blocks if isinstance(block, Folded)] == [
        "Components of the other variants",
        "By database",
    ]
