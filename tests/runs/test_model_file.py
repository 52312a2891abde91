"""A trained model as one file: what stands in it, and what is told of a file that is damaged or no model at all."""

from __future__ import annotations

import json
import os
import pickle
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import normlab
from normlab.cli import main
from normlab.engine.api import Run, load_run
from normlab.errors import UserError
from normlab.runs import RunFolder
from normlab.runs.model_file import ModelFile, save_model


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("model") / "run"
    return normlab.train("image", preset="smoke", epochs=1, limit_train=64, threads=1, out=out)


@pytest.fixture(scope="module")
def model(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "new folder" / "model.safetensors"
    save_model(run.folder, path)
    return path


def damaged(model: Path, tmp_path: Path, change: Callable[[bytes], bytes]) -> Path:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(change(model.read_bytes()))
    return path


def header(content: bytes) -> tuple[dict, bytes]:
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def with_header(values: dict, numbers: bytes) -> bytes:
    text = json.dumps(values).encode()
    return len(text).to_bytes(8, "little") + text + numbers


def test_it_answers_like_the_run_it_was_made_from(run: Run, model: Path) -> None:
    opened = load_run(model)
    assert opened.config == run.config
    assert opened.folder.card() == run.folder.card()
    assert opened.result == {name: value for name, value in run.result.items() if name != "tables"}
    for name, value in run.model.state_dict().items():
        assert torch.equal(opened.model.state_dict()[name], value), name


def test_any_reader_of_safetensors_opens_the_weights(run: Run, model: Path) -> None:
    tensors, trained = load_file(model), load_file(run.folder.weights)
    assert tensors.keys() == trained.keys()
    assert all(torch.equal(tensors[name], trained[name]) for name in trained)


def test_it_predicts_what_the_run_predicts(run: Run, model: Path, tmp_path: Path) -> None:
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert list(load_run(model).predict(images.numpy())) == list(run.predict(images.numpy()))


def test_the_same_run_gives_the_same_bytes(run: Run, model: Path, tmp_path: Path) -> None:
    save_model(RunFolder.open(run.path), tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == model.read_bytes()


def test_it_holds_no_paths_but_those_of_the_settings(run: Run, model: Path) -> None:
    assert str(run.path) not in model.read_bytes().decode("latin-1")


def test_predict_and_evaluate_take_it_where_a_run_folder_goes(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(model), "--json"]) == 0
    captured = capsys.readouterr()
    assert "nothing is kept without --out" in captured.err
    scores = json.loads(captured.out)["metrics"]
    assert scores["test/accuracy"] == load_run(model).result["metrics"]["test/accuracy"]


def test_a_file_cut_short_tells_both_sizes(model: Path, tmp_path: Path) -> None:
    size = model.stat().st_size
    with pytest.raises(UserError, match=f"{size - 1} bytes, expected {size}: .*copy it again"):
        ModelFile.open(damaged(model, tmp_path, lambda content: content[:-1]))
    with pytest.raises(UserError, match="100 bytes, of at least"):
        ModelFile.open(damaged(model, tmp_path, lambda content: content[:100]))


def test_a_changed_number_is_noticed(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the checksum differs"):
        ModelFile.open(damaged(model, tmp_path, lambda content: content[:-1] + bytes([content[-1] ^ 1])))


@pytest.mark.parametrize("part", ["config", "card", "result"])
def test_a_changed_setting_is_noticed(model: Path, tmp_path: Path, part: str) -> None:
    def change(content: bytes) -> bytes:
        values, numbers = header(content)
        values["__metadata__"][part] = values["__metadata__"][part].replace("0", "1")
        return with_header(values, numbers)

    with pytest.raises(UserError, match="the checksum differs"):
        ModelFile.open(damaged(model, tmp_path, change))


@pytest.mark.parametrize("part", ["config", "card", "result", "sha256"])
def test_a_missing_part_is_noticed(model: Path, tmp_path: Path, part: str) -> None:
    def change(content: bytes) -> bytes:
        values, numbers = header(content)
        del values["__metadata__"][part]
        return with_header(values, numbers)

    with pytest.raises(UserError, match=r"missing|checksum"):
        ModelFile.open(damaged(model, tmp_path, change))


@pytest.mark.parametrize("part", ["config", "card", "result"])
def test_a_part_that_is_no_object_is_one_line(model: Path, tmp_path: Path, part: str) -> None:
    opened = ModelFile.open(model)
    opened._texts[part] = "[1, 2]"
    read = {"config": opened.config, "card": opened.card, "result": opened.result}[part]
    with pytest.raises(UserError, match=rf"\({part}\): expected an object, found \[1, 2\]: the file was cut short"):
        read()


def test_a_file_of_a_newer_normlab_asks_for_an_update(model: Path, tmp_path: Path) -> None:
    def change(content: bytes) -> bytes:
        values, numbers = header(content)
        values["__metadata__"]["format_version"] = "2"
        return with_header(values, numbers)

    with pytest.raises(UserError, match=r"written by a newer normlab .*: update normlab"):
        ModelFile.open(damaged(model, tmp_path, change))


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ({"a": {"dtype": "F32", "shape": [1]}}, "no place for a tensor"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, "a tensor lies from 4 to 0"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": ["x", 4]}}, "no place for a tensor"),
        ({"a": 3}, "no place for a tensor"),
        ({"__metadata__": 3}, "no model file"),
        ([], "no model file"),
    ],
)
def test_a_header_that_makes_no_sense_is_one_line(tmp_path: Path, head: object, told: str) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(with_header(head, b"\0\0\0\0"))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=told):
        ModelFile.open(path)


def test_weights_alone_are_no_model(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "weights.safetensors")
    with pytest.raises(UserError, match="weights alone, without the settings"):
        ModelFile.open(tmp_path / "weights.safetensors")


def test_a_pickle_is_named_and_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(UserError, match=r"no model file: it holds a pickle; give the .safetensors file"):
        load_run(path)
    torch.save({"a": 1}, path)
    with pytest.raises(UserError, match="it holds a zip archive"):
        load_run(path)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\x02\0\0\0\0\0\0\0\xff\xff", b"\xff" * 64, b"\x10\0\0\0\0\0\0\0[1, 2, 3, 4, 5]  tail"]
)
def test_any_other_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"m\.safetensors"):
        load_run(tmp_path / "m.safetensors")


def test_a_missing_file_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        load_run(tmp_path / "missing.safetensors")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="named pipe"):
        ModelFile.open(tmp_path / "pipe")


def test_an_unfinished_run_is_not_saved(run: Run, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "new", run.config, "image")
    with pytest.raises(UserError, match=r"no result\.json \(state: created\)"):
        save_model(folder, tmp_path / "m.safetensors")
    assert not (tmp_path / "m.safetensors").exists()


def test_a_card_too_large_for_one_file_is_told(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from normlab.runs import model_file

    longest = int.from_bytes(run.folder.weights.read_bytes()[:8], "little") + 10
    monkeypatch.setattr(model_file, "_LONGEST_HEADER", longest)
    with pytest.raises(UserError, match="more than one file can hold"):
        save_model(run.folder, tmp_path / "m.safetensors")
    assert not (tmp_path / "m.safetensors").exists()


def test_a_diverged_run_is_not_saved(run: Run, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "new", run.config, "image")
    folder.finish({**run.result, "state": "diverged"})
    with pytest.raises(UserError, match="is diverged, so it has no model"):
        save_model(folder, tmp_path / "m.safetensors")


def test_the_file_is_for_all_whom_the_umask_allows(model: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(model.stat().st_mode) == 0o666 & ~umask
