"""The sections of a tagging study, on runs that lie on disk as training writes them."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from normlab.config import config_hash, option
from normlab.report.blocks import Figure, Folded, MarkedSentences, Table
from normlab.report.build import render
from normlab.report.figures.reliability import pooled
from normlab.report.figures.updates import mean_by_step
from normlab.report.palette import styles_for
from normlab.report.sections.ner import calibration, entity_types
from normlab.report.sections.ner import curves as tagging_curves
from normlab.report.sections.ner import examples as tagging_examples
from normlab.report.sections.ner import published as published_ner
from normlab.report.sections.ner import scores as tagging
from normlab.report.sections.ner import speed as tagging_speed
from normlab.report.sections.shared import confusion
from normlab.report.tagged import marked_pieces, measured_split
from normlab.report.view import StudyView
from normlab.runs import RunFolder
from normlab.runs.atomic import write_json
from normlab.studies.published import load_published
from normlab.studies.study import Study
from normlab.train_config import TrainConfig

TAGS = ["O", "B-geo", "I-geo", "B-per", "I-per"]
VARIANTS = {
    "random": {"embeddings": "random", "dropout": 0.0},
    "glove+ln+crf+dropout": {"layer_norm": "words", "crf": True},
}


class NerLikeConfig(TrainConfig):
    """The fields of a tagging run that the report reads; the task itself would bring torch."""

    embeddings: str = option("glove")
    characters: bool = option(False)
    layer_norm: str = option("none")
    crf: bool = option(False)
    dropout: float = option(0.5)


def scores(share: float, support: int) -> dict[str, float]:
    return {"precision": share, "recall": share - 0.1, "f1": share - 0.05, "support": support}


def tables(share: float) -> dict[str, Any]:
    reading = {"per": scores(share, 40), "geo": scores(share - 0.2, 90)}
    reading |= {"all": scores(share - 0.15, 130), "macro": scores(share - 0.1, 130)}
    strict = {name: {**row, "f1": row["f1"] - 0.01} for name, row in reading.items()}
    rows = [[100, 1, 1, 1, 1], *([2] * row + [30] + [2] * (4 - row) for row in range(1, 5))]
    return {
        "confusion": rows,
        "entities": {"default": reading, "strict": strict},
        "reliability": [
            {"confidence": 0.65, "accuracy": 0.5, "count": 50},
            {"confidence": 0.97, "accuracy": 0.96, "count": 200},
        ],
        "worst": [
            {
                "words": ["<b>Anna</b>", "Berg", "left", "Oslo"],
                "gold": ["B-per", "I-per", "O", "B-geo"],
                "found": ["B-per", "O", "O", "B-geo"],
                "loss": 8.0 + number,
            }
            for number in range(9)
        ],
    }


def make_tagging_run(path: Path, settings: dict[str, Any], seed: int, splits: tuple[str, ...]) -> None:
    config = NerLikeConfig.parse({"data": "gmb", "epochs": 4, "optimizer": "adam", **settings, "seed": seed}, "test")
    folder = RunFolder.create(path, config, "ner")
    share = 0.9 + 0.01 * seed - (0.1 if settings.get("embeddings") == "random" else 0.0)
    metrics = {}
    for split in splits:
        metrics |= {f"{split}/{name}": share for name in ("micro_f1", "macro_f1", "accuracy", "entity_f1", "strict_f1")}
        metrics |= {f"{split}/entity_macro": share - 0.1, f"{split}/ece": 0.02, f"{split}/loss": 1.5}
        metrics[f"speed/{split}_tokens_per_second"] = 50_000.0
    with folder:
        folder.write_card({"classes": TAGS, "scheme": "bio", "embedding_dim": 50})
        lines = [
            {"epoch": e, "step": 10 * e, "val/micro_f1": share - 0.1 / e, "val/entity_f1": share - 0.2 / e}
            | {"train/online_loss": 5.0 / e, "val/loss": 4.0 / e}
            for e in range(1, 5)
        ]
        (folder.path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        folder.finish(
            {
                "state": "finished",
                "task": "ner",
                "headline": "test/micro_f1" if "test" in splits else "val/micro_f1",
                "metrics": metrics,
                "tables": {split: tables(share) for split in splits},
                "diverged": None,
                "epochs": 4,
                "steps": 40,
                "best_epoch": 4,
                "sizes": dict.fromkeys(splits, 20),
                "config_hash": config_hash(config),
                "precision": "float32",
                "device": "cpu",
                "threads": 1,
                "seconds": 40.0,
                "seconds_per_epoch": 10.0,
                "examples_per_second": 100.0,
            }
        )


def make_tagging_study(path: Path, splits: tuple[str, ...] = ("train", "val"), **plan: Any) -> StudyView:
    cells = []
    for name, settings in VARIANTS.items():
        for seed in range(2):
            cell = f"variant-{name}_seed-{seed}"
            make_tagging_run(path / "cells" / cell, settings, seed, splits)
            cells.append({"name": cell, "values": {"variant": name}, "seed": seed, "hash": "0" * 12})
    study = {
        "version": 1,
        "name": "ner_ablation",
        "title": "Parts",
        "question": "What?",
        "task": "ner",
        "scale": "full",
    }
    study |= {"axes": {"variant": list(VARIANTS)}, "published": ["ner"], "claims": [], **plan, "cells": cells}
    write_json(path / "study.json", study)
    return StudyView.read(Study.open(path))


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> StudyView:
    return make_tagging_study(tmp_path_factory.mktemp("tagging"))


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def test_a_tagging_study_has_its_own_sections(view: StudyView) -> None:
    html = unescape(render([view]))
    for heading in ("Results on the validation split", "Beside published results", "Types of entities", "Calibration"):
        assert f"<h2>{heading}" in html
    assert "<h2>Words per second" in html
    assert "Confusion on the validation split" in html
    assert "undefined" not in re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)


def test_a_test_split_goes_before_validation(tmp_path: Path) -> None:
    tested = make_tagging_study(tmp_path, ("train", "val", "test"))
    assert measured_split(tested) == "test"
    found = tagging.section(tested)
    assert found is not None
    assert found.title == "Results on the test split"
    folded = [block.title for block in found.blocks if isinstance(block, Folded)]
    assert folded == ["Validation split", "Training split"]


def test_the_calibration_error_is_best_when_smallest_and_shown_in_percent(view: StudyView) -> None:
    table = tagging.scores_table(view, "val")
    place = [column.title for column in table.columns].index("Calibration error %")
    assert [row[place].text for row in table.rows] == ["2.00", "2.00"]


def test_types_stand_by_frequency_with_both_readings(view: StudyView) -> None:
    table = entity_types.type_table(view.variants[1], "val", ["geo", "per"], "types")
    assert [row[0] for row in texts(table)] == ["geo", "per", "all (micro)", "mean of types (macro)"]
    assert texts(table)[1][1:] == ["40", "90.50", "80.50", "85.50", "90.50", "80.50", "84.50"]
    found = entity_types.section(view)
    assert found is not None
    by_variant = found.blocks[0]
    assert isinstance(by_variant, Table)
    assert [column.title for column in by_variant.columns] == ["Variant", "geo", "per"]
    assert [cell.strong for cell in by_variant.rows[1]] == [False, True, True]


def test_published_rows_match_by_all_five_parts(view: StudyView) -> None:
    random, full = view.variants
    (row,) = [row for row in published_ner.published_rows(random, "course") if row["split"] == "test"]
    assert (row["micro_f1"], row["macro_f1"]) == (0.775, 0.544)
    (row,) = [row for row in published_ner.published_rows(full, "course") if row["split"] == "test"]
    assert (row["micro_f1"], row["macro_f1"]) == (0.849, 0.688)
    assert published_ner.published_rows(full, "entity") == []


def test_every_variant_of_the_shipped_ablation_has_a_published_row() -> None:
    from normlab.studies.plan import make_plan

    cells = make_plan("ner_ablation", scale="full", seeds=1).cells
    rows = [row for row in load_published("ner") if row["dataset"] == "gmb" and row["level"] == "course"]
    assert len(cells) == 13
    for cell in cells:
        parts = published_ner.parts_of(cell.config.model_dump())
        assert [row for row in rows if {name: row[name] for name in parts} == parts], cell.name


def test_levels_have_tables_of_their_own_and_the_protocols_are_told_apart(view: StudyView) -> None:
    found = published_ner.section(view)
    assert found is not None
    assert [block.name for block in found.blocks if isinstance(block, Table)] == ["published_course"]
    text = found.blocks[0].text  # type: ignore[union-attr]
    assert "37,206 training" in text
    assert "20 training and 20 validation" in text
    assert "compare validation columns" in text


def test_pieces_join_to_the_sentence_and_mark_what_the_other_side_lacks() -> None:
    words, gold = ["Anna", "Berg", "left", "New", "York"], ["B-per", "I-per", "O", "B-geo", "I-geo"]
    found = ["B-per", "O", "O", "B-geo", "I-geo"]
    pieces = marked_pieces(words, gold, found, {"per": "#111111"})
    assert " ".join(piece.text for piece in pieces) == " ".join(words)
    assert [(piece.text, piece.type, piece.wrong) for piece in pieces] == [
        ("Anna Berg", "per", True),
        ("left", "", False),
        ("New York", "geo", False),
    ]


def test_examples_are_of_the_leading_variant_and_escaped(view: StudyView) -> None:
    found = tagging_examples.section(view)
    assert found is not None
    assert "glove+ln+crf+dropout" in found.title
    first, rest = found.blocks
    assert isinstance(first, MarkedSentences)
    assert isinstance(rest, Folded)
    assert len(first.items) == 6
    html = render([view])
    assert "&lt;b&gt;Anna&lt;/b&gt;" in html
    assert "<b>Anna" not in html


def test_pooled_reliability_counts_the_words_of_all_seeds() -> None:
    curve = pooled(
        [[{"confidence": 0.9, "accuracy": 1.0, "count": 10}], [{"confidence": 0.98, "accuracy": 0.5, "count": 30}]]
    )
    assert curve == [{"confidence": pytest.approx(0.96), "accuracy": pytest.approx(0.625), "count": 40}]


def test_bins_of_very_few_words_make_no_point(tmp_path: Path) -> None:
    view = make_tagging_study(tmp_path)
    for cell in view.cells:
        cell.result["tables"]["val"]["reliability"][0]["count"] = 3
    found = calibration.section(view)
    assert found is not None
    assert isinstance(found.blocks[0], Figure)
    assert [len(trace.x) for trace in found.blocks[0].figure.data] == [2, 1, 1]


def test_curves_stand_against_updates_as_well(view: StudyView) -> None:
    assert list(mean_by_step(view.variants[0], "val/loss")) == [10, 20, 30, 40]
    found = tagging_curves.section(view)
    assert found is not None
    (folded,) = [block for block in found.blocks if isinstance(block, Folded)]
    axes = [block.figure.layout.xaxis.title.text for block in folded.blocks if isinstance(block, Figure)]
    assert axes == ["updates", "updates"]


def test_training_speed_is_in_words(view: StudyView) -> None:
    words = sum(map(sum, tables(0.9)["confusion"]))
    assert tagging_speed.training_speed(view.cells[0]) == pytest.approx(100.0 * words / 20)


def test_confusion_names_the_tags_of_the_files(tmp_path: Path) -> None:
    view = make_tagging_study(tmp_path)
    for cell in view.cells:
        cell.card.update(classes=["O", *"abcdefgh"], file_classes=TAGS)
    found = confusion.section(view)
    assert found is not None
    assert isinstance(found.blocks[0], Figure)
    assert found.blocks[0].figure.layout.xaxis.ticktext == tuple(TAGS)


def test_thirteen_variants_look_different() -> None:
    styles = styles_for([f"variant {number}" for number in range(13)])
    assert len({(style.color, style.dash) for style in styles.values()}) == 13
