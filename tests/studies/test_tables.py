"""A study's table: what is counted, what is paired, what is refused."""

from __future__ import annotations

import json

import pytest
from synthetic_study import DIVERGED, FAILED, WAITING, make_study

from normlab.studies.statistics import mean_interval
from normlab.studies.study import Study
from normlab.studies.tables import axis_values, known_metrics, metric_by_seed, paired_values, study_table

ENDS = {
    ("batch", 0): 0.90, ("batch", 1): 0.92, ("batch", 2): 0.91, ("batch", 3): 0.93,
    ("none", 0): 0.80, ("none", 1): DIVERGED, ("none", 2): FAILED, ("none", 3): WAITING,
}  # fmt: skip


@pytest.fixture
def study(tmp_path):
    return make_study(tmp_path / "s", {"norm": ["batch", "none"]}, 4, lambda values, seed: ENDS[values["norm"], seed])


def test_every_cell_is_counted(study):
    batch, none = study_table(study, ["test/accuracy"])
    assert (batch.label, batch.n, batch.finished, batch.diverged, batch.failed) == ("batch", 4, 4, 0, 0)
    assert (none.n, none.finished, none.diverged, none.failed) == (4, 1, 1, 1)


def test_intervals_rest_on_finished_cells_only(study):
    batch, none = study_table(study, ["test/accuracy", "seconds", "val/loss"])
    assert batch.metrics["test/accuracy"] == mean_interval([0.90, 0.92, 0.91, 0.93])
    assert none.metrics["test/accuracy"] == mean_interval([0.80])
    assert none.metrics["seconds"].mean == 12.5
    assert none.metrics["val/loss"] is None


def test_pairs_are_of_seeds_that_finished_on_both_sides(study):
    assert paired_values(study, {"norm": "batch"}, {"norm": "none"}, "test/accuracy") == ([0.90], [0.80])
    assert metric_by_seed(study, {"norm": "none"}, "test/accuracy") == {0: 0.80}


def test_an_open_axis_is_refused_rather_than_mixed(tmp_path):
    study = make_study(tmp_path / "s", {"norm": ["batch"], "batch_size": [8, 128]}, 2, lambda values, seed: 0.5)
    with pytest.raises(ValueError, match="batch_size"):
        metric_by_seed(study, {"norm": "batch"}, "test/accuracy")
    assert [row.label for row in study_table(study, [])] == ["batch, batch_size 8", "batch, batch_size 128"]


def test_known_metrics_are_those_of_results_and_of_epochs(tmp_path):
    def record(values, seed):
        return [{"val/loss": 0.3, "features/p99": 2.0}]

    study = make_study(tmp_path / "s", {"norm": ["batch"]}, 1, lambda values, seed: 0.5, epochs=record)
    finals, epochs = known_metrics(study)
    assert {"test/accuracy", "seconds"} <= finals
    assert {"val/loss", "features/p99"} <= epochs
    assert "state" not in finals


def test_axis_values_are_spelled_as_the_cells_spell_them_each_once_in_the_order_of_the_plan(tmp_path):
    study = make_study(tmp_path / "s", {"norm": ["none", "batch"], "lr": [0.2, 0.1]}, 2, lambda values, seed: 0.5)
    plan = json.loads((study.path / "study.json").read_text())
    plan["axes"]["norm"] = ["nn", "bn"]
    (study.path / "study.json").write_text(json.dumps(plan))
    assert axis_values(Study.open(study.path)) == {"norm": ["none", "batch"], "lr": [0.2, 0.1]}


def test_a_study_gives_its_table_as_plain_values(study):
    batch, none = json.loads(json.dumps(study.table()))
    assert (batch["values"], batch["label"], batch["n"], none["diverged"]) == ({"norm": "batch"}, "batch", 4, 1)
    expected = mean_interval([ENDS["batch", seed] for seed in range(4)])
    assert batch["metrics"]["test/accuracy"]["mean"] == expected.mean
    assert (none["metrics"]["test/accuracy"]["n"], none["metrics"]["test/macro_f1"]) == (1, None)
