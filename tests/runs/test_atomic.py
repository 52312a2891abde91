from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from normlab.runs.atomic import atomic_folder, atomic_text, remove_folder, write_bytes, write_json, write_text


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_written_file_holds_exactly_what_was_given(tmp_path):
    write_bytes(tmp_path / "a", b"\x00\r\n")
    write_text(tmp_path / "b", "ü\r\n")
    write_json(tmp_path / "c", {"x": [1, 2]})
    assert (tmp_path / "a").read_bytes() == b"\x00\r\n"
    assert (tmp_path / "b").read_bytes() == "ü\r\n".encode()
    assert (tmp_path / "c").read_text() == '{\n "x": [\n  1,\n  2\n ]\n}\n'
    assert _names(tmp_path) == ["a", "b", "c"]


def test_folder_is_made_and_old_content_replaced(tmp_path):
    path = tmp_path / "new" / "file"
    write_text(path, "one")
    write_text(path, "two")
    assert path.read_text() == "two"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_json_cannot_hold_leaves_the_old_file(tmp_path, value):
    path = tmp_path / "f.json"
    write_json(path, 1)
    with pytest.raises((TypeError, ValueError)):
        write_json(path, {"x": value})
    assert path.read_text() == "1\n"
    assert _names(tmp_path) == ["f.json"]


def test_failure_on_the_way_to_the_disk_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "f"
    write_text(path, "old")

    def fails(handle: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="disk full"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["f"]


def test_text_appears_only_when_the_block_ends_well(tmp_path):
    path = tmp_path / "f"
    with atomic_text(path) as file:
        file.write("line\n")
        assert not path.exists()
    assert path.read_text() == "line\n"

    def interrupted() -> None:
        with atomic_text(path) as file:
            file.write("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "line\n"
    assert _names(tmp_path) == ["f"]


def test_a_name_that_is_no_text_stands_as_an_escape(tmp_path):
    name = os.fsdecode(b"k\xe4fer.png")
    with atomic_text(tmp_path / "t.csv") as file:
        file.write(f"{name},cat\n")
    assert (tmp_path / "t.csv").read_text() == "k\\udce4fer.png,cat\n"


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_files_and_folders_have_ordinary_modes(tmp_path):
    old = os.umask(0o022)
    try:
        write_text(tmp_path / "f", "")
        with atomic_folder(tmp_path / "d"):
            pass
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o755


def test_folder_appears_whole_with_its_parents(tmp_path):
    path = tmp_path / "deep" / "folder"
    with atomic_folder(path) as building:
        (building / "sub").mkdir()
        (building / "sub" / "f").write_text("x")
        assert not path.exists()
    assert (path / "sub" / "f").read_text() == "x"
    assert _names(path.parent) == ["folder"]


def test_failed_folder_leaves_nothing(tmp_path):
    def fails() -> None:
        with atomic_folder(tmp_path / "folder") as building:
            (building / "f").write_text("x")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fails()
    assert _names(tmp_path) == []


def test_existing_folder_is_kept(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").write_text("")
    with atomic_folder(tmp_path / "folder") as building:
        (building / "new").write_text("")
    assert _names(tmp_path / "folder") == ["old"]
    assert _names(tmp_path) == ["folder"]


def test_folder_is_removed_whole_and_a_missing_one_is_no_error(tmp_path):
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "folder" / "sub" / "f").write_text("")
    remove_folder(tmp_path / "folder")
    remove_folder(tmp_path / "folder")
    assert _names(tmp_path) == []


def test_existing_empty_folder_counts_as_taken(tmp_path):
    (tmp_path / "folder").mkdir()
    with atomic_folder(tmp_path / "folder") as building:
        (building / "new").write_text("")
    assert _names(tmp_path / "folder") == []


def test_importing_imports_no_torch():
    code = "import sys, normlab.runs.atomic; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
