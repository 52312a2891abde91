"""Evaluations after training: what training wrote stays, other data are measured, unfinished runs say so."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from normlab.cli import main
from normlab.data.image.images import load_images
from normlab.engine import evaluation
from normlab.engine.api import load_run, train
from normlab.engine.loop import Training
from normlab.errors import UserError

Files = dict[str, bytes]
NER: dict[str, Any] = {"embeddings": "random", "layer_norm": "none", "hidden": 8, "char_hidden": 4, "threads": 1}
SENTENCES = [("Anna B-per", "sings O", ". O"), ("in O", "Paris B-geo", "now O"), ("Bob B-per", "left O")]


@pytest.fixture(scope="module")
def image_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evaluation") / "run"
    train("image", out=out, preset="smoke", epochs=1, limit_train=200, threads=1)
    return out


@pytest.fixture
def run(image_run: Path, tmp_path: Path) -> Path:
    """A copy to write to."""
    return Path(shutil.copytree(image_run, tmp_path / "run"))


def written_by_training(run: Path) -> Files:
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.is_file() and "evaluations" not in path.parts and path.name != ".lock"
    }


def images_by_class(folder: Path, names: dict[int, str], count: int = 40) -> Path:
    """Write test digits as PNG files into a folder of each class."""
    image = pytest.importorskip("PIL.Image")
    digits = load_images("digits")
    for number, (pixels, label) in enumerate(zip(digits.images["test"], digits.labels["test"], strict=True)):
        if number < count and int(label) in names:
            place = folder / names[int(label)]
            place.mkdir(parents=True, exist_ok=True)
            image.fromarray(pixels.transpose(1, 2, 0)).save(place / f"{number}.png")
    return folder


def sentences(path: Path, lines: list[tuple[str, ...]], repeats: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join("\n".join(sentence) for sentence in lines * repeats) + "\n")
    return path


@pytest.mark.parametrize("split", ["test", "val"])
def test_an_evaluation_leaves_what_training_wrote(run: Path, split: str) -> None:
    before = written_by_training(run)
    found = load_run(run, device="cpu").evaluate(split)
    assert written_by_training(run) == before
    assert found["out"] == str(run / "evaluations" / split)
    kept = json.loads((run / "evaluations" / split / "evaluation.json").read_text())
    assert kept["metrics"] == found["metrics"]
    assert (run / "evaluations" / split / "predictions.csv").read_bytes() == before[f"predictions/{split}.csv"]


def test_an_evaluation_goes_where_out_says(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--out", str(tmp_path / "mine"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["out"] == str(tmp_path / "mine")
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["evaluation.json", "predictions.csv"]
    assert not (run / "evaluations").exists()
    with pytest.raises(UserError, match="holds a run"):
        load_run(run).evaluate("test", out=run)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_run_that_may_only_be_read_is_measured(
    run: Path, number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def refuse(place: Path, *rest: object) -> None:
        if run in place.parents:
            raise OSError(number, "no", str(place))
        written.append(place)

    written: list[Path] = []
    monkeypatch.setattr("normlab.engine.run.write_evaluation", refuse)
    assert main(["evaluate", str(run)]) == 0
    captured = capsys.readouterr()
    assert "accuracy" in captured.out
    assert "nothing is kept without --out" in captured.err
    assert main(["evaluate", str(run), "--out", str(tmp_path / "elsewhere")]) == 0
    assert written == [tmp_path / "elsewhere"]


def test_a_full_disk_is_no_read_only_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("normlab.engine.run.write_evaluation", full)
    with pytest.raises(OSError, match="No space left"):
        load_run(run).evaluate("test")


def test_other_images_of_the_same_classes_are_measured_whole(run: Path, tmp_path: Path) -> None:
    digits = load_images("digits")
    folder = images_by_class(tmp_path / "new", dict(enumerate(digits.classes)))
    found = load_run(run).evaluate("test", data=str(folder))
    assert sum(map(sum, found["tables"]["confusion"])) == 40
    assert "other data than the run's" in found["notes"][0]
    assert Path(found["out"]).name.startswith("test_")
    assert not (run / "evaluations" / "test").exists()


def test_labels_go_by_the_name_of_the_class(run: Path, tmp_path: Path) -> None:
    """A folder with some of the classes numbers them otherwise than the model."""
    digits = load_images("digits")
    names = {number: digits.classes[number] for number in (3, 7)}
    found = load_run(run).evaluate("test", data=str(images_by_class(tmp_path / "new", names, count=100)))
    counts = np.array(found["tables"]["confusion"]).sum(1)
    expected = np.bincount(digits.labels["test"][:100], minlength=10)
    assert counts.tolist() == [int(count) if number in (3, 7) else 0 for number, count in enumerate(expected)]
    assert any("no image of" in note for note in found["notes"])


def test_a_class_that_the_model_does_not_know_is_named(run: Path, tmp_path: Path) -> None:
    folder = images_by_class(tmp_path / "new", {3: "zebra", 7: "7"}, count=100)
    with pytest.raises(UserError, match="does not know the classes 'zebra'"):
        load_run(run).evaluate("test", data=str(folder))
    assert not (run / "evaluations").exists()


def test_other_images_have_only_their_own_splits(run: Path, tmp_path: Path) -> None:
    digits = load_images("digits")
    names = dict(enumerate(digits.classes))
    for split in ("train", "test"):
        images_by_class(tmp_path / "new" / split, names, count=60)
    assert load_run(run).evaluate("test", data=str(tmp_path / "new"))["metrics"]
    with pytest.raises(UserError, match="has no val images of its own"):
        load_run(run).evaluate("val", data=str(tmp_path / "new"))


def test_test_images_drawn_from_changed_data_are_not_measured(tmp_path: Path) -> None:
    """They were drawn from all images: of the folder as it is now, some of them were trained on."""
    digits = load_images("digits")
    names = {number: digits.classes[number] for number in (3, 7)}
    folder = images_by_class(tmp_path / "photos", names, count=200)
    run = train("image", out=tmp_path / "run", preset="smoke", epochs=1, data=str(folder), threads=1, batch_size=8)
    assert run.evaluate("test")["notes"] == []
    images_by_class(folder, names, count=230)
    with pytest.raises(UserError, match="drawn from images that training may have seen"):
        run.evaluate("test")
    assert run.evaluate("test", data=str(folder))["notes"]  # named by the user: the whole folder


def test_a_test_folder_added_after_training_is_measured(tmp_path: Path) -> None:
    digits = load_images("digits")
    names = {number: digits.classes[number] for number in (3, 7)}
    for split in ("train", "val"):
        images_by_class(tmp_path / "photos" / split, names, count=150)
    data = str(tmp_path / "photos")
    run = train("image", out=tmp_path / "run", preset="smoke", epochs=1, data=data, threads=1, batch_size=8)
    images_by_class(tmp_path / "photos" / "test", names, count=100)
    found = run.evaluate("test")
    assert np.array(found["tables"]["confusion"]).sum() == sum(digits.labels["test"][:100] == 3) + sum(
        digits.labels["test"][:100] == 7
    )
    assert "has changed since training" in found["notes"][0]


@pytest.fixture
def tagger(tmp_path: Path) -> Path:
    sentences(tmp_path / "data" / "train.txt", SENTENCES, repeats=8)
    sentences(tmp_path / "data" / "dev.txt", SENTENCES)
    return train("ner", out=tmp_path / "run", data=str(tmp_path / "data"), epochs=1, **NER).path


def test_another_tagged_file_is_measured(tagger: Path, tmp_path: Path) -> None:
    other = sentences(tmp_path / "other.txt", [("Mary B-per", "sings O"), ("Rome B-geo",)])
    found = load_run(tagger).evaluate("test", data=str(other))
    assert np.array(found["tables"]["confusion"]).sum() == 3
    assert any("of the words are unknown to the model" in note for note in found["notes"])


def test_a_test_file_added_after_training_is_measured(tagger: Path, tmp_path: Path) -> None:
    sentences(tmp_path / "data" / "test.txt", SENTENCES[:2])
    found = load_run(tagger).evaluate("test")
    assert np.array(found["tables"]["confusion"]).sum() == 6
    assert "has changed since training" in found["notes"][0]


def test_a_validation_part_of_changed_data_is_not_guessed(tmp_path: Path) -> None:
    """It was cut from the training file: which of the sentences there now were trained on, nobody knows."""
    file = sentences(tmp_path / "all.txt", SENTENCES, repeats=8)
    run = train("ner", out=tmp_path / "run", data=str(file), epochs=1, **NER)
    sentences(file, SENTENCES, repeats=9)
    with pytest.raises(UserError, match="has no val file beside it"):
        run.evaluate("val")


def test_a_tag_that_the_model_does_not_know_is_named_with_its_line(tagger: Path, tmp_path: Path) -> None:
    other = sentences(tmp_path / "other.txt", [("Mary B-person", "sings O")])
    with pytest.raises(UserError, match=r"other\.txt:1.*unknown tag 'B-person': did you mean 'B-per'"):
        load_run(tagger).evaluate("test", data=str(other))


def interrupted(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    real = Training.train_steps

    def stopped(self: Training) -> object:
        if self.counters.epoch == 1:
            raise KeyboardInterrupt
        return real(self)

    monkeypatch.setattr(Training, "train_steps", stopped)
    with pytest.raises(KeyboardInterrupt):
        train("image", out=path, preset="smoke", epochs=3, limit_train=100, threads=1)
    monkeypatch.undo()
    return path


def test_a_run_that_is_not_over_is_not_measured_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = interrupted(tmp_path / "run", monkeypatch)
    assert main(["evaluate", str(run)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "training is not over (state: interrupted, 1 epoch done)" in captured.err
    assert f"normlab resume {run}" in captured.err
    assert main(["evaluate", str(run), "--unfinished"]) == 0
    captured = capsys.readouterr()
    assert "training is not over (state: interrupted): these are the weights of the best of 1 epoch" in captured.err
    assert (run / "evaluations" / "test_epoch-1" / "evaluation.json").is_file()


def test_a_prediction_of_a_run_that_is_not_over_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = interrupted(tmp_path / "run", monkeypatch)
    pixels = tmp_path / "one.csv"
    pixels.write_text(",".join(["0"] * 3072) + "\n")
    assert main(["predict", str(run), str(pixels), "--out", str(tmp_path / "out.csv")]) == 0
    assert "training is not over (state: interrupted)" in capsys.readouterr().err


def test_a_diverged_run_says_whose_weights_are_measured(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps({**result, "state": "diverged"}))
    notes = load_run(run).evaluate("test")["notes"]
    assert notes == ["the run is diverged: these are the weights of the best of 1 epoch"]


def test_a_name_per_question(run: Path) -> None:
    folder = load_run(run).folder
    fingerprint = folder.card()["fingerprint"]
    one = evaluation.Measured("test", {}, {}, {}, fingerprint, [])
    assert evaluation.default_target(folder, one, {}).name == "test"
    assert evaluation.default_target(folder, one, {"beam_size": 4}).name == "test_beam_size-4"
