"""A study's archive: the same tables as from the folder, the same bytes for the same content, nothing else let in."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from synthetic_study import WAITING, make_study

from normlab.cli import main
from normlab.errors import UserError
from normlab.runs.archive import finished_cells, pack_study, read_archive, to_bytes, unpack_study
from normlab.studies.study import Study

AXES = {"norm": ["batch", "group"]}


pytestmark = pytest.mark.usefixtures("own_cache")


def accuracy(values: dict[str, Any], seed: int) -> float:
    return {"batch": 0.8, "group": 0.7}[values["norm"]] + 0.01 * seed


def one_waits(values: dict[str, Any], seed: int) -> Any:
    return WAITING if (values["norm"], seed) == ("group", 1) else accuracy(values, seed)


def test_a_table_made_from_the_archive_equals_the_one_made_from_the_folder(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", AXES, 2, accuracy)
    assert pack_study(study.path, tmp_path / "study.zip") == 4
    assert Study.open(tmp_path / "study.zip").table() == study.table()


def test_packing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", AXES, 2, accuracy)
    for name in ("a.zip", "b.zip"):
        pack_study(study.path, tmp_path / name)
    pack_study(study.path, tmp_path / "b.zip")  # once more, over itself
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_weights_and_places_of_the_machine_stay_behind(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", AXES, 1, accuracy)
    cell = study.cells[0].folder.path
    (cell / "checkpoints").mkdir()
    (cell / "checkpoints" / "model.safetensors").write_bytes(b"weights")
    config = (cell / "config.yaml").read_text(encoding="utf-8").replace("data: ''", "data: /home/ada/cifar10")
    assert "/home/ada" in config
    (cell / "config.yaml").write_text(config, encoding="utf-8")
    pack_study(study.path, tmp_path / "study.zip")
    content = read_archive(tmp_path / "study.zip")
    assert not [name for name in content if "safetensors" in name]
    assert b"data: cifar10" in content[f"cells/{cell.name}/config.yaml"]
    assert not [name for name, data in content.items() if b"/home/ada" in data]


def test_two_machines_add_their_cells_to_one_archive(tmp_path: Path) -> None:
    first = make_study(tmp_path / "first", AXES, 2, one_waits)
    second = make_study(tmp_path / "second", AXES, 2, accuracy)
    shutil.rmtree(second.path / "cells" / "norm-batch_seed-0")
    pack_study(first.path, tmp_path / "study.zip")
    assert pack_study(second.path, tmp_path / "study.zip") == 4


def test_another_result_of_the_same_cell_is_refused(tmp_path: Path) -> None:
    pack_study(make_study(tmp_path / "first", AXES, 1, accuracy).path, tmp_path / "study.zip")
    other = make_study(tmp_path / "second", AXES, 1, lambda values, seed: 0.1)
    with pytest.raises(UserError, match=r"norm-batch_seed-0 with another result"):
        pack_study(other.path, tmp_path / "study.zip")


def test_a_cell_that_is_finished_here_is_not_replaced(tmp_path: Path) -> None:
    pack_study(make_study(tmp_path / "first", AXES, 1, accuracy).path, tmp_path / "study.zip")
    other = make_study(tmp_path / "second", AXES, 1, lambda values, seed: 0.1)
    unpack_study(tmp_path / "study.zip", other.path)
    results = [cell.result for cell in Study.open(other.path).cells]
    assert [result["metrics"]["test/accuracy"] for result in results if result] == [0.1, 0.1]


def test_a_study_without_a_finished_cell_is_refused(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", AXES, 1, lambda values, seed: WAITING)
    with pytest.raises(UserError, match="no cell is finished"):
        pack_study(study.path, tmp_path / "study.zip")


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/passwd",
        "cells/../study.json",
        "cells/a/../../b",
        "cells/a/model.pkl",
        "cells/a\\b/result.json",
        "notes.txt",
    ],
)
def test_an_entry_that_no_study_has_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "study.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("study.json", "{}")
        archive.writestr(name, "x")
    with pytest.raises(UserError, match="not opened"):
        read_archive(path)


def test_an_entry_that_expands_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("normlab.runs.archive._MAX_ENTRY", 1000)
    path = tmp_path / "study.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("study.json", " " * 1001)
    with pytest.raises(UserError, match=r"study\.json.*larger"):
        read_archive(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_archive_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "study.zip"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        Study.open(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "study.zip"
    pack_study(make_study(tmp_path / "study", AXES, 1, accuracy).path, path)
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("cells/norm-batch_seed-0/result.json")
    data = bytearray(path.read_bytes())
    data[entry.header_offset + 30 + len(entry.filename) + 5] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        read_archive(path)


@pytest.mark.parametrize("name", ["study.json", "cells/norm-batch_seed-0/result.json"])
def test_an_archive_with_an_edited_entry_is_not_added_to(tmp_path: Path, name: str) -> None:
    study, path = make_study(tmp_path / "study", AXES, 1, accuracy), tmp_path / "study.zip"
    pack_study(study.path, path)
    content = read_archive(path)
    for edited, said in ((b"{", "not valid JSON"), (b"[]", "not an object")):
        path.write_bytes(to_bytes({**content, name: edited}))
        with pytest.raises(UserError, match=f"study.zip: {name}: {said}"):
            pack_study(study.path, path)


def test_an_archive_lies_beside_its_study_under_the_whole_name(tmp_path: Path) -> None:
    study = make_study(tmp_path / "lr0.1", AXES, 1, accuracy)
    assert main(["study", "pack", str(study.path)]) == 0
    assert (tmp_path / "lr0.1.zip").is_file()


def test_the_verbs_take_an_archive_for_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = make_study(tmp_path / "study", AXES, 2, accuracy)
    path = tmp_path / "kept.zip"
    assert main(["study", "pack", str(study.path), "--out", str(path)]) == 0
    assert main(["study", "status", str(path)]) == 0
    assert capsys.readouterr().out.count("finished  ") == 4
    assert main(["report", str(path), "--format", "md"]) == 0
    from_archive = capsys.readouterr().out
    assert main(["report", str(study.path), "--format", "md"]) == 0
    assert capsys.readouterr().out == from_archive


def test_a_study_goes_on_from_an_archive_without_training_its_cells_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["study", "run", "seven_norms", "--scale", "smoke", "--seeds", "1", "--threads", "1", "--workers", "1"]
    words += ["--epochs", "1", "--axis", "norm=batch"]
    assert main([*words, "--out", str(tmp_path / "first")]) == 0
    path = tmp_path / "kept.zip"
    pack_study(tmp_path / "first", path)
    before = read_archive(path)["cells/norm-batch_seed-0/result.json"]
    capsys.readouterr()
    assert main([*words, "--out", str(path)]) == 0
    assert "1 cell, 1 done" in capsys.readouterr().err
    assert (tmp_path / "kept" / "cells" / "norm-batch_seed-0" / "result.json").read_bytes() == before
    assert json.loads(before)["state"] == "finished"
    assert finished_cells(read_archive(path)) == ["norm-batch_seed-0"]
