"""The run folder: one writer, whole files, readable without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from normlab.errors import UserError
from normlab.runs import RunFolder, list_runs
from normlab.runs.atomic import atomic_folder, atomic_text, write_json, write_text
from normlab.tasks.image.config import ImageConfig


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", ImageConfig(), "image")


def test_config_round_trips(folder: RunFolder) -> None:
    values = RunFolder.open(folder.path).config()
    assert values.pop("task") == "image"
    assert ImageConfig.parse(values, "x") == ImageConfig()


def test_a_place_that_holds_a_run_is_refused(folder: RunFolder) -> None:
    with pytest.raises(UserError, match="holds a run"):
        RunFolder.create(folder.path, ImageConfig(), "image")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run folder"):
        RunFolder.open(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        RunFolder.open(tmp_path / "missing")


def test_a_file_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot make the run folder"):
        RunFolder.create(tmp_path / "file" / "run", ImageConfig(), "image")


def test_a_second_writer_is_refused_with_the_first_ones_pid(folder: RunFolder) -> None:
    code = (
        "import sys; from normlab.runs import RunFolder\n"
        "try:\n  RunFolder(sys.argv[1]).__enter__()\nexcept Exception as e: print(e)"
    )
    with folder:
        answer = subprocess.run([sys.executable, "-c", code, str(folder.path)], capture_output=True, text=True)
    import os

    assert f"pid {os.getpid()}" in answer.stdout


def test_the_next_writer_removes_what_a_killed_one_was_writing(folder: RunFolder) -> None:
    folder.checkpoints.mkdir()
    (folder.path / ".copies.z.tmp").mkdir()
    left = [
        folder.path / ".card.json.x.tmp",
        folder.checkpoints / ".last.safetensors.y.tmp",
        folder.path / ".copies.z.tmp" / "a",
    ]
    kept = [folder.path / "my.tmp", folder.checkpoints / ".hidden"]
    for path in (*left, *kept):
        path.write_bytes(b"half")
    RunFolder.open(folder.path).status()
    assert all(path.exists() for path in left)  # a reader may look while it is being written
    with folder:
        assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)


def test_a_run_without_result_says_how_to_finish_it(folder: RunFolder) -> None:
    with pytest.raises(UserError, match=r"no result.json.*normlab resume"):
        folder.result()


def test_a_torn_last_line_is_ignored_and_a_damaged_one_is_named(folder: RunFolder) -> None:
    folder.append_metrics({"epoch": 1, "val/loss": 2.0})
    path = folder.path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"epoch": 2, "val')
    assert [record["epoch"] for record in folder.metrics()] == [1]
    path.write_text("nonsense\n" + path.read_text())
    with pytest.raises(UserError, match=r"metrics.jsonl:1: not valid JSON"):
        folder.metrics()


def test_numbers_that_are_not_finite_become_null(folder: RunFolder) -> None:
    folder.append_metrics({"epoch": 1, "x": float("nan"), "y": float("inf")})
    assert folder.metrics() == [{"epoch": 1, "x": None, "y": None}]


def test_a_dead_writer_reads_as_interrupted(folder: RunFolder) -> None:
    with folder:
        folder.set_status("running")
        assert folder.status()["state"] == "running"
    assert folder.status()["state"] == "interrupted"


def test_runs_are_found_below_a_folder(folder: RunFolder, tmp_path: Path) -> None:
    assert [run.path for run in list_runs(tmp_path)] == [folder.path]


def test_a_failed_write_leaves_the_old_file_and_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_text(path, "old")
    with pytest.raises(ValueError):
        write_json(path, {"x": float("nan")})
    with pytest.raises(TypeError), atomic_text(path) as file:
        file.write("half")
        file.write(0)  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_slower_of_two_builders_gives_way(tmp_path: Path) -> None:
    target = tmp_path / "cache"
    with atomic_folder(target) as mine:
        (mine / "x").write_text("mine")
        with atomic_folder(target) as theirs:
            (theirs / "x").write_text("theirs")
    assert (target / "x").read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [target]


def test_reading_runs_imports_no_torch() -> None:
    code = "import sys, normlab.runs, normlab.studies.plan, normlab.cli; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_command_line_that_is_no_utf8_is_recorded_readably(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["normlab", "--data", "l\udce4uft"])
    folder = RunFolder.create(tmp_path / "run", ImageConfig(), "image")
    assert folder.environment()["command"] == "normlab --data l\\udce4uft"
