"""Running a study: planned, resumable, never mixed, robust against cells that fail or die."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from normlab.cli import main
from normlab.cli.tables import table_lines
from normlab.errors import UserError
from normlab.runs import RunFolder
from normlab.runs.atomic import write_text
from normlab.runs.lock import FolderLock
from normlab.studies import Study, run_study
from normlab.studies.local import train_cell, train_cells
from normlab.studies.plan import make_plan, shipped_studies
from normlab.studies.runner import lay_out
from normlab.studies.text_table import as_rows
from normlab.studies.threads import with_threads
from normlab.train_config import TrainConfig

TINY = """
title: A tiny comparison
question: Does it run?
task: image
base: {data: digits, n: 1, epochs: 1, limit_train: 64, batch_size: 32}
axes:
  norm: [bn, none]
scales:
  smoke: {seeds: 2}
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="module")
def study(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    out = tmp_path_factory.mktemp("out") / "study"
    return run_study(source, scale="smoke", out=out, workers=2, say=lambda line: None)


def test_every_cell_finishes_and_the_table_has_a_row_for_each_scheme(study: Study) -> None:
    assert [cell.state for cell in study.cells] == ["finished"] * 4
    text = "\n".join(table_lines(as_rows(study)))
    assert "batch" in text
    assert "none" in text
    assert "2/2" in text


def test_cells_that_share_a_process_end_as_they_do_alone(study: Study, source: Path, tmp_path: Path) -> None:
    same = {"threads": study.cells[0].folder.config()["threads"]}  # other threads would give other last digits
    together = run_study(
        source, scale="smoke", out=tmp_path / "s", workers=1, concurrent=4, say=lambda line: None, **same
    )
    assert len(together.cells) == 4
    for cell, alone in zip(together.cells, study.cells, strict=True):
        assert "val/accuracy" in cell.folder.result()["metrics"]
        assert cell.folder.result()["metrics"] == alone.folder.result()["metrics"]


def test_cells_share_a_process_on_this_machine_only(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="concurrent: 2 with the engine ray: give at least 1, and the local engine"):
        run_study(source, scale="smoke", out=tmp_path / "s", concurrent=2, engine="ray")


def test_aliases_are_canonical_in_the_plan(source: Path) -> None:
    names = [cell.name for cell in make_plan(source, scale="smoke").cells]
    assert names == ["norm-batch_seed-0", "norm-batch_seed-1", "norm-none_seed-0", "norm-none_seed-1"]


def test_a_setting_that_an_axis_would_undo_is_refused(source: Path) -> None:
    with pytest.raises(UserError, match=r"--norm: .* compares values of norm: give all of them, --axis norm=bn,none"):
        make_plan(source, scale="smoke", norm="group")
    with pytest.raises(UserError, match=r"--seed: .* give their number with --seeds"):
        make_plan(source, scale="smoke", seed=4)


def test_axes_can_be_given_other_values_and_company(source: Path) -> None:
    plan = make_plan(source, scale="smoke", seeds=1, axes={"norm": ["layer"], "batch_size": [8, 16]})
    assert [cell.name for cell in plan.cells] == [f"norm-layer_batch_size-{size}_seed-0" for size in (8, 16)]
    with pytest.raises(UserError, match=r"unknown key 'nrm'.*did you mean 'norm'"):
        make_plan(source, scale="smoke", axes={"nrm": ["layer"]})


def test_a_finished_cell_is_never_trained_again(study: Study, source: Path) -> None:
    before = {cell.name: (cell.folder.path / "result.json").stat().st_mtime_ns for cell in study.cells}
    lines: list[str] = []
    again = run_study(source, scale="smoke", out=study.path, say=lines.append)
    after = {cell.name: (cell.folder.path / "result.json").stat().st_mtime_ns for cell in again.cells}
    assert before == after
    assert lines == [f"A tiny comparison: 4 cells, 4 done, in {study.path}"]


def test_more_seeds_add_cells_and_keep_the_old_ones(study: Study, source: Path) -> None:
    plan = make_plan(source, scale="smoke", seeds=3)
    assert {cell.name for cell in study.cells} < {cell.name for cell in plan.cells}


def test_a_study_edited_after_cells_are_done_is_refused_and_says_what_changed(study: Study, source: Path) -> None:
    with pytest.raises(UserError, match=r"trained with other settings \(lr: 0.1 -> 0.5\)"):
        run_study(source, scale="smoke", out=study.path, lr=0.5)


def changed(study: Study, out: Path, cells: str, file: str, old: str, new: str) -> Study:
    """Return a copy of a study in which `file` of the cells that a pattern names says something else."""
    copied = shutil.copytree(study.path, out)
    paths = list(copied.glob(f"cells/{cells}/{file}"))
    assert paths
    for path in paths:
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    return Study.open(copied)


def test_cells_that_read_other_data_are_named_unless_the_axes_chose_them(study: Study, tmp_path: Path) -> None:
    assert study.mixed_inputs() == []
    content = study.cells[0].folder.card()["fingerprint"]
    one = changed(study, tmp_path / "seed", "norm-batch_seed-1", "card.json", content, "0ther")
    assert one.mixed_inputs() == [f"cells were trained with different data: {content} in 3, 0ther in 1"]
    scheme = changed(study, tmp_path / "scheme", "norm-none_*", "card.json", content, "0ther")
    assert scheme.mixed_inputs() == []  # as an axis over image sizes would make them
    place = changed(scheme, tmp_path / "place", "norm-none_*", "config.yaml", "data: digits", "data: cifar10")
    assert "different data" in place.mixed_inputs()[0]


def test_a_folder_of_something_else_is_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="not empty and not a study"):
        run_study(source, scale="smoke", out=tmp_path)


@pytest.mark.parametrize("writes", [0, 1])
def test_a_study_killed_while_it_is_laid_out_is_laid_out_by_the_next_call(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    plan, out = make_plan(source, scale="smoke"), tmp_path / "out"
    left: list[Path] = []

    def killed(path: Path, value: Any) -> None:
        left.append(path)
        if len(left) > writes:
            out.mkdir(exist_ok=True)
            (out / f".{path.name}.abc123.tmp").write_text("")  # SIGKILL lets nobody remove it
            raise SystemExit
        write_text(path, value)

    with monkeypatch.context() as patch:
        for name in ("write_text", "write_json"):
            patch.setattr(f"normlab.studies.runner.{name}", killed)
        with pytest.raises(SystemExit):
            lay_out(plan, out, source)
    lay_out(plan, out, source)
    assert len(Study.open(out).cells) == len(plan.cells)


def test_a_study_file_of_somebody_else_is_left_alone(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "study.yaml").write_text("title: mine\n")
    with pytest.raises(UserError, match="not empty and not a study"):
        lay_out(make_plan(source, scale="smoke"), tmp_path / "out", source)
    assert (tmp_path / "out" / "study.yaml").read_text() == "title: mine\n"


def test_a_cell_that_fails_does_not_stop_the_others(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("normlab.studies.local.train_cell", fail_on_batch_norm)
    lines: list[str] = []
    study = run_study(source, scale="smoke", seeds=1, out=tmp_path / "out", workers=1, say=lines.append)
    assert [cell.state for cell in study.cells] == ["failed", "finished"]
    assert "16 channels are too many" in "\n".join(lines)


def fail_on_batch_norm(task: str, config: TrainConfig, path: Path) -> tuple[str, str]:
    """Train as a cell does whose network cannot be built."""
    if "batch" not in path.name:
        return train_in_a_moment(task, config, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("normlab.tasks.image.task.ImageTask.build", refuse_to_build)
        return train_cell(task, config, path)


def refuse_to_build(*arguments: object) -> None:
    raise ValueError("16 channels are too many")


def test_a_worker_that_is_killed_costs_its_cell_only(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("normlab.studies.local.train_cell", die_on_batch_norm)
    lines: list[str] = []
    study = run_study(source, scale="smoke", seeds=1, out=tmp_path / "out", workers=1, say=lines.append)
    assert [cell.state for cell in study.cells] == ["waiting", "finished"]
    assert "the worker process died" in lines[1]


def die_on_batch_norm(task: str, config: object, path: Path) -> tuple[str, str]:
    if "batch" in path.name:
        os.kill(os.getpid(), signal.SIGKILL)
    return train_cell(task, config, path)  # type: ignore[arg-type]


def test_other_axes_leave_out_the_claims_that_speak_of_what_is_not_compared(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        TINY
        + "claims:\n- {says: Kept., kind: better, a: {norm: batch}, b: {norm: none}, source: me}\n"
        + "- {says: Open., kind: better, a: {norm: batch}, b: {norm: group}, source: me}\n"
    )
    lines: list[str] = []
    axes = {"norm": ["batch", "none"]}
    for _ in range(2):  # again: the same plan, nothing to train
        study = run_study(path, scale="smoke", seeds=1, axes=axes, out=tmp_path / "out", workers=1, say=lines.append)
    assert lines[0] == "left out with what it compares: Open."
    assert [claim["says"] for claim in study.claims] == ["Kept."]


def test_a_wrong_claim_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(TINY + "claims:\n- {says: x, kind: better, a: {norm: btch}, b: {norm: none}, source: me}\n")
    with pytest.raises(UserError, match=r"mine.yaml: claim 1.*btch"):
        run_study(path, scale="smoke", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unknown_study_offers_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown study 'seven_norm': did you mean 'seven_norms'"):
        make_plan("seven_norm")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("axes:", "axis:", "unknown key 'axis': did you mean 'axes'"),
        ("task: image", "task: imagination", "unknown task 'imagination'"),
        ("norm: [bn, none]", "norm: [bn, nome]", "unknown norm 'nome': did you mean 'none'"),
        ("norm: [bn, none]", "norms: [bn]", "unknown key 'norms': did you mean 'norm'"),
        ("norm: [bn, none]", "norm: [bn, batch]", "twice"),
        ("epochs: 1", "epochs: 0", "epochs"),
    ],
)
def test_a_mistake_in_a_study_file_names_file_and_fix(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(TINY.replace(old, new))
    with pytest.raises(UserError, match=r"mine.yaml|unknown") as caught:
        make_plan(path, scale="smoke")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", shipped_studies())
def test_shipped_studies_plan_at_every_scale(name: str) -> None:
    from normlab.studies.plan import StudyFile

    scales = StudyFile.from_yaml(shipped_studies()[name]).scales
    assert {"smoke", "demo", "full"} <= scales.keys()
    for scale in scales:
        assert make_plan(name, scale=scale).cells


def test_planning_imports_no_torch() -> None:
    code = (
        "import sys; from normlab.studies.plan import make_plan;"
        "assert len(make_plan('seven_norms', scale='full', seeds=5).cells) == 35;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_planning_anew_when_all_35_cells_are_done_trains_none(tmp_path: Path) -> None:
    plan = make_plan("seven_norms", scale="full", seeds=5)
    lay_out(plan, tmp_path, shipped_studies()["seven_norms"])
    for cell in plan.cells:
        with RunFolder.create(tmp_path / "cells" / cell.name, cell.config, "image") as folder:
            folder.finish({"state": "finished", "headline": "test/accuracy", "metrics": {"test/accuracy": 0.9}})
    lines: list[str] = []
    study = run_study("seven_norms", scale="full", seeds=5, out=tmp_path, say=lines.append)
    assert len(list(study.finished())) == 35
    assert "35 cells, 35 done" in lines[0]


def test_the_study_file_is_plain_json(study: Study) -> None:
    plan = json.loads((study.path / "study.json").read_text())
    assert {"title", "axes", "cells", "claims", "published", "version"} <= plan.keys()


def train_in_a_moment(task: str, config: TrainConfig, path: Path) -> tuple[str, str]:
    """Stand in for a training: a finished run, made at once."""
    with RunFolder.create(path, config, task) as folder:
        folder.finish({"state": "finished", "headline": "test/accuracy", "metrics": {"test/accuracy": 0.5}})
    return "finished", "at once"


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("normlab.studies.local.train_cell", train_in_a_moment)


def threads_of(study: Study) -> list[int | None]:
    return [cell.folder.config()["threads"] for cell in study.cells if cell.state != "waiting"]


def test_a_study_goes_on_with_the_threads_of_its_first_run(
    source: Path, tmp_path: Path, instant: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("normlab.studies.local._cores", lambda: 6)
    lines: list[str] = []
    study = run_study(source, scale="smoke", seeds=1, out=tmp_path / "s", workers=1, say=lines.append)
    assert (study.threads, threads_of(study)) == (6, [6, 6])
    assert lines[0].endswith(", 6 threads a cell")
    study = run_study(source, scale="smoke", seeds=2, out=tmp_path / "s", workers=2, say=lines.append)
    assert (study.threads, threads_of(study)) == (6, [6] * 4)


def test_a_study_planned_before_threads_were_recorded_goes_on_with_those_of_its_cells(
    source: Path, tmp_path: Path, instant: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("normlab.studies.local._cores", lambda: 6)
    study = run_study(source, scale="smoke", seeds=1, out=tmp_path / "s", workers=2, say=lambda line: None)
    plan = json.loads((study.path / "study.json").read_text())
    del plan["threads"]
    (study.path / "study.json").write_text(json.dumps(plan))
    study = run_study(source, scale="smoke", seeds=2, out=tmp_path / "s", workers=1, say=lambda line: None)
    assert threads_of(study) == [3] * 4


def test_other_threads_than_those_of_the_plan_are_refused_once_a_cell_is_begun(
    source: Path, tmp_path: Path, instant: None
) -> None:
    plan = make_plan(source, scale="smoke", seeds=1, threads=2)
    lay_out(with_threads(plan, tmp_path / "s", 1), tmp_path / "s", source)
    run_study(source, scale="smoke", seeds=1, out=tmp_path / "s", threads=1, say=lambda line: None)
    with pytest.raises(UserError, match=r"trained with 1 thread, 2 are asked for.*leave --threads out"):
        run_study(source, scale="smoke", seeds=1, out=tmp_path / "s", threads=2, say=lambda line: None)


def test_threads_as_an_axis_are_each_cells_own(tmp_path: Path, instant: None) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(TINY.replace("norm: [bn, none]", "threads: [1, 2]"))
    study = run_study(path, scale="smoke", seeds=1, out=tmp_path / "s", say=lambda line: None)
    assert (study.threads, threads_of(study)) == (None, [1, 2])


def test_cells_that_another_process_trains_are_left_to_it(source: Path, tmp_path: Path, instant: None) -> None:
    plan = make_plan(source, scale="smoke")
    out = tmp_path / "s"
    lay_out(plan, out, source)
    taken = RunFolder.create(out / "cells" / plan.cells[0].name, plan.cells[0].config, "image")
    lines: list[str] = []
    with taken:
        taken.set_status("running")
        study = run_study(source, scale="smoke", out=out, workers=1, say=lines.append)
        assert [cell.state for cell in study.cells] == ["running", *["finished"] * 3]
    assert lines[1].startswith(f"1 cell is being trained by another process (pid {os.getpid()} on ")
    assert not any("failed" in line for line in lines)


def test_a_cell_that_another_process_takes_first_is_busy_and_has_not_failed(source: Path, tmp_path: Path) -> None:
    cell = make_plan(source, scale="smoke").cells[0]
    folder = RunFolder.create(tmp_path / cell.name, cell.config, "image")
    with folder:
        assert train_cell("image", cell.config, folder.path) == (
            "busy",
            f"another process (pid {os.getpid()}) trains it",
        )
        assert train_cells("image", [cell.config], [folder.path])[0][0] == "busy"
    assert folder.status()["state"] == "created"


def test_the_command_line_tells_of_cells_that_another_process_trains(
    source: Path, tmp_path: Path, instant: None, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = make_plan(source, scale="smoke", seeds=1)
    out = tmp_path / "s"
    lay_out(plan, out, source)
    taken = RunFolder.create(out / "cells" / plan.cells[0].name, plan.cells[0].config, "image")
    command = ["study", "run", str(source), "--scale", "smoke", "--seeds", "1", "--out", str(out)]
    with taken:
        taken.set_status("running")
        assert main(command) == 1
    told = capsys.readouterr().err.splitlines()
    assert f"1 cell is being trained by another process (pid {os.getpid()})" in told[-1]
    assert not any("failed" in line for line in told)


def test_a_writer_waits_for_a_reader_that_looks_at_the_lock(tmp_path: Path) -> None:
    """`study status` takes the lock for a moment; a cell that begins just then must not be refused."""
    reader, writer = FolderLock(tmp_path / ".lock"), FolderLock(tmp_path / ".lock")
    reader.acquire(tmp_path)
    threading.Timer(0.1, reader.release).start()
    writer.acquire(tmp_path)
    writer.release()
