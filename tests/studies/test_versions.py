"""Cells made by different programs are told."""

from __future__ import annotations

import json

from synthetic_study import make_study

from normlab.cli import main
from normlab.studies.versions import mixed_precisions, mixed_versions, mixed_versions_of

OLD = {"packages": {"normlab": "0.1", "torch": "2.9"}, "commit": "a"}


def test_one_version_gives_no_line():
    assert mixed_versions([OLD, OLD]) == []


def test_each_difference_gives_a_line_with_the_number_of_cells():
    new = {"packages": {"normlab": "0.2", "torch": "2.9"}, "commit": "a"}
    assert mixed_versions([OLD, OLD, new]) == [
        "cells were trained with several versions of normlab: 0.1 (2 cells), 0.2 (1 cell)"
    ]


def test_a_cell_that_does_not_say_counts_in_no_line():
    assert mixed_versions([OLD, {"packages": {}, "commit": None}]) == []


def test_precisions_that_machines_chose_differently_give_a_line():
    auto = {"precision": "auto"}
    cells = [(auto, {"precision": "bfloat16"}), (auto, {"precision": "float32"}), (auto, {"precision": "bfloat16"})]
    (line,) = mixed_precisions(cells)
    assert "several precisions: bfloat16 (2 cells), float32 (1 cell)" in line
    assert mixed_precisions(cells[::2]) == []


def test_precisions_that_were_asked_for_give_none():
    cells = [({"precision": name}, {"precision": name}) for name in ("bfloat16", "float32")]
    assert mixed_precisions(cells) == []


def test_status_warns_on_standard_error(tmp_path, capsys):
    study = make_study(tmp_path, {"norm": ["batch", "group"]}, 1, lambda values, seed: 0.5)
    path = study.cells[0].folder.path / "environment.json"
    environment = json.loads(path.read_text())
    environment["packages"]["normlab"] = "0.0.1"
    path.write_text(json.dumps(environment))
    assert len(mixed_versions_of(study)) == 1
    assert main(["study", "status", str(tmp_path), "--json"]) == 0
    out, err = capsys.readouterr()
    assert len(json.loads(out)) == 2
    assert "several versions of normlab: 0.0.1 (1 cell)" in err
