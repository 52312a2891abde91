"""A run folder as bytes: whole, in the right order, and never outside its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from normlab.runs import parcel
from normlab.runs.parcel import pack, unpack


def fill(folder: Path) -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    for name in ("config.yaml", "metrics.jsonl", "result.json", "checkpoints/last.safetensors", "checkpoints/model"):
        (folder / name).write_bytes(name.encode())
    return folder


def test_what_is_packed_is_unpacked(tmp_path: Path) -> None:
    source = fill(tmp_path / "source")
    unpack(pack(source), tmp_path / "target")
    assert pack(tmp_path / "target") == pack(source)


def test_locks_and_temporary_files_stay_behind(tmp_path: Path) -> None:
    source = fill(tmp_path / "source")
    (source / ".lock").write_text("17")
    (source / ".config.yaml.x1.tmp").write_text("half")
    assert not {".lock", ".config.yaml.x1.tmp"} & pack(source).keys()


def test_the_checkpoint_is_read_first_and_written_late_and_the_result_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = pack(fill(tmp_path / "source"))
    assert next(iter(packed)) == "checkpoints/last.safetensors"
    written: list[str] = []
    monkeypatch.setattr(parcel, "write_bytes", lambda path, content: written.append(path.name))
    unpack(packed, tmp_path / "target")
    assert written[-2:] == ["last.safetensors", "result.json"]


@pytest.mark.parametrize("name", ["../escape", "/etc/escape", "checkpoints/../../escape"])
def test_a_name_that_leads_outside_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leads out"):
        unpack({name: b"x"}, tmp_path / "run")
    assert not (tmp_path / "run").exists()
