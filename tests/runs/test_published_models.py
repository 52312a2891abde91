"""Published models: small, whole, found by name, and answering as the run they were made from."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
import torch

import normlab
from normlab.cli import main
from normlab.engine.api import Run, load_run
from normlab.errors import UserError
from normlab.runs import RunFolder
from normlab.runs.published import CARD, MODEL, find_model, publish_model, published_models


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("model") / "run"
    return normlab.train("image", preset="smoke", epochs=1, limit_train=64, threads=1, precision="float32", out=out)


@pytest.fixture
def published(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NORMLAB_MODELS", str(tmp_path / "models"))
    folder = tmp_path / "models" / "my-digits"
    publish_model(run.folder, folder, notes="Handwritten digits of scikit-learn (BSD).")
    return folder


def test_the_weights_are_those_of_the_run_in_half_precision(run: Run, published: Path) -> None:
    opened = load_run(published).model.state_dict()
    weights = run.model.state_dict()
    assert opened.keys() == weights.keys()
    for name, value in weights.items():
        expected = value.half().float() if value.dtype == torch.float32 else value
        assert torch.equal(opened[name], expected), name
    assert (published / MODEL).stat().st_size < 0.7 * run.folder.weights.stat().st_size


def test_it_is_found_by_its_name_and_by_its_path(published: Path) -> None:
    assert find_model("my-digits") == published / MODEL
    assert find_model(published) == published / MODEL
    assert load_run("my-digits").result == load_run(published / MODEL).result


def test_a_path_that_exists_wins_over_a_name(
    run: Run, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my-digits").symlink_to(run.path)
    assert find_model("my-digits") == Path("my-digits")
    assert load_run("my-digits").metrics == run.metrics


@pytest.mark.usefixtures("published")
def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(UserError, match=r"my-digit: no such folder, and no model of that name .*my-digits"):
        load_run("my-digit")


def test_the_card_tells_data_score_and_that_one_seed_is_one(published: Path) -> None:
    card = (published / "README.md").read_text()
    assert card.startswith("# my-digits\n")
    for part in ("trained on digits", "norm batch", "One seed, so no interval", "test accuracy", "scikit-learn (BSD)"):
        assert part in card


def test_no_path_of_this_machine_goes_along(tmp_path: Path) -> None:
    from normlab.runs.model_file import _without_paths

    values = {
        "data": str(tmp_path / "corpus"),
        "lr": 0.1,
        "notes": [str(tmp_path)],
        "skipped": {"train": [str(tmp_path)]},
    }
    assert _without_paths(values) == {"data": "corpus", "lr": 0.1}


def test_numbers_that_half_precision_cannot_hold_are_refused(run: Run, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(run.path, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    weights = load_file(folder.weights)
    name = next(name for name, value in weights.items() if value.dtype == torch.float32)
    weights[name].view(-1)[0] = 1e6
    save_file(weights, folder.weights)
    with pytest.raises(UserError, match=f"{name} has numbers that half precision cannot hold"):
        publish_model(folder, tmp_path / "out")
    assert not (tmp_path / "out" / MODEL).exists()


def test_a_folder_that_is_not_empty_is_left_alone(run: Run, published: Path) -> None:
    with pytest.raises(UserError, match="exists and is not an empty folder"):
        publish_model(run.folder, published)


def test_it_appears_whole_or_not_at_all_and_a_second_call_completes(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NORMLAB_MODELS", str(tmp_path))
    during: list[list[str]] = []

    def stop(*about: object) -> str:
        during.append([path.name for path in tmp_path.iterdir()])
        assert not published_in(tmp_path)  # nobody finds a model that is still being written
        raise KeyboardInterrupt

    (tmp_path / "mine").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr("normlab.runs.published._card", stop)
        with pytest.raises(KeyboardInterrupt):
            publish_model(run.folder, tmp_path / "mine")
    assert len(during) == 1
    assert not list((tmp_path / "mine").iterdir())
    publish_model(run.folder, tmp_path / "mine")
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [CARD, MODEL]
    assert published_in(tmp_path) == ["mine"]


def published_in(folder: Path) -> list[str]:
    return [model.name for model in published_models() if model.where == str(folder)]


def test_a_link_to_an_empty_folder_is_followed_and_what_cannot_be_replaced_is_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")

    def busy(path: Path) -> None:
        raise OSError(errno.EBUSY, "a mount point")

    monkeypatch.setattr(Path, "rmdir", busy)
    with pytest.raises(UserError, match=r"link: cannot be replaced: choose another --out"):
        publish_model(run.folder, tmp_path / "link")
    monkeypatch.undo()
    publish_model(run.folder, tmp_path / "link")
    assert load_run(tmp_path / "link").result["metrics"] == run.result["metrics"]
    assert (tmp_path / "link").is_symlink()


@pytest.mark.usefixtures("published")
def test_the_commands_list_publish_and_predict_by_name(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", str(run.path), "--out", str(tmp_path / "models" / "second")]) == 0
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    assert "my-digits" in text
    assert "second" in text
    assert "test accuracy" in text


def test_a_damaged_model_is_named_and_the_others_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "model.safetensors").write_text("junk")
    monkeypatch.setenv("NORMLAB_MODELS", str(tmp_path))
    assert main(["models"]) == 0
    told = capsys.readouterr()
    assert "spider-sql" in told.out
    assert told.err.startswith(f"normlab: not listed: {tmp_path}/bad/model.safetensors: ")
    assert len(told.err.splitlines()) == 1
    assert main(["models", "--json"]) == 0
    assert "spider-sql" in {row["name"] for row in json.loads(capsys.readouterr().out)}


def test_a_published_model_is_not_published_again(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for given, said in (
        ("spider-sql", "spider-sql: is a published model already: use it by its name, copy its folder"),
        (str(published), "is a model file already: give it to others as it is"),
        ("spider-sqll", "no model of that name (did you mean 'spider-sql'?"),
    ):
        assert main(["publish", given, "--out", str(tmp_path / "new")]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_what_ships_opens_and_fits_the_wheel() -> None:
    shipped = [model for model in published_models() if model.where == "shipped"]
    assert {model.about()["task"] for model in shipped} == {"image", "ner", "text2sql"}
    for model in shipped:
        about, text = model.about(), (model.path / MODEL).read_bytes()
        assert about["value"] > 0.5
        assert b"/work/" not in text
        assert b"/home/" not in text
    assert sum(path.stat().st_size for model in shipped for path in model.path.iterdir()) <= 32e6


def test_the_shipped_tagger_reads_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.txt").write_text("Barack Obama visited Berlin on Monday.")
    assert main(["predict", "gmb-tagger", str(tmp_path / "text.txt")]) == 0
    tags = [line.split("\t")[1] for line in capsys.readouterr().out.splitlines() if line]
    assert tags == ["B-per", "I-per", "O", "B-geo", "O", "B-tim", "O"]


def test_normlab_alone_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("normlab ") for line in lines)
