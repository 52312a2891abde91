"""The image assignment's commands: train_cifar, test_cifar and infer, as its marker calls them."""

from __future__ import annotations

import csv
import errno
import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from normlab.cli import main
from normlab.data.image.images import load_images
from normlab.engine.api import load_run
from normlab.errors import WriteError
from normlab.runs import RunFolder

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["--scale", "smoke", "--epochs", "1", "--limit_train", "64", "--threads", "1", "--json"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("course") / "gn.safetensors"
    words = ["--normalization", "gn", "--data_dir", "digits", "--output_file", str(path), "--n", "1"]
    assert main(["course", "train_cifar", *words, *QUICK]) == 0
    return path


@pytest.fixture(scope="module")
def test_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images, 3,072 integers a row, without header."""
    path = tmp_path_factory.mktemp("csv") / "test.csv"
    pixels = load_images("digits").images["test"][:12].reshape(12, -1)
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in pixels.tolist()))
    return path


def fails(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    capsys.readouterr()
    assert main(["course", *map(str, words)]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("normlab: ")
    return line


def training(path: Path, *words: object) -> list[str]:
    flags = ["--normalization", "bn", "--data_dir", "digits", "--output_file", path, *words]
    return ["course", "train_cifar", *map(str, flags), *QUICK]


def test_training_follows_the_published_protocol(tmp_path: Path) -> None:
    from normlab.apps.course.cifar import training_settings

    config = training_settings("inbuilt", "cifar10", n=None, scale=None, further={})
    assert (config.norm, config.n, config.epochs, config.batch_size) == ("torch_batch", 2, 100, 128)
    assert (config.optimizer, config.lr, config.crop, config.flip) == ("sgd", 0.1, True, True)
    assert config.validation == 0.2  # of 50,000: 10,000


@pytest.mark.parametrize(
    ("published", "scheme"),
    [
        ("bn", "batch"),
        ("in", "instance"),
        ("bin", "batch_instance"),
        ("ln", "layer"),
        ("gn", "group"),
        ("nn", "none"),
        ("inbuilt", "torch_batch"),
        ("torch_bn", "torch_batch"),
    ],
)
def test_each_published_name_is_a_scheme(published: str, scheme: str) -> None:
    from normlab.apps.course.cifar import NORMALIZATIONS, training_settings

    assert published in NORMALIZATIONS
    assert training_settings(published, "digits", n=3, scale="smoke", further={}).norm == scheme


def test_training_leaves_one_model_file_and_a_run_folder_beside_it(model: Path) -> None:
    run = load_run(model)
    assert (run.config.norm, run.config.n, run.config.data) == ("group", 1, "digits")  # type: ignore[attr-defined]
    folder = RunFolder.open(f"{model}.run")
    assert folder.done
    assert folder.metrics()


def test_the_output_is_one_class_number_a_line_in_the_order_of_the_input(
    model: Path, test_file: Path, tmp_path: Path
) -> None:
    out, native, named = tmp_path / "out.txt", tmp_path / "native.txt", tmp_path / "named.csv"
    words = ["--model_file", model, "--normalization", "gn", "--n", 1, "--test_data_file", test_file]
    assert main(["course", "test_cifar", *map(str, words), "--output_file", str(out)]) == 0
    assert main(["predict", f"{model}.run", str(test_file), "--out", str(native), "--format", "course"]) == 0
    assert out.read_bytes() == native.read_bytes()
    assert main(["predict", str(model), str(test_file), "--out", str(named)]) == 0
    with named.open(newline="") as file:
        assert [row["class"] for row in csv.DictReader(file)] == out.read_text().splitlines()


@pytest.mark.parametrize("dash", ["-", "--"])
def test_infer_takes_one_dash_or_two(
    model: Path, test_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], dash: str
) -> None:
    out, other = tmp_path / "out.txt", tmp_path / "other.txt"
    words = [f"{dash}model_file", model, f"{dash}test_data_file", test_file, f"{dash}output_file", out, f"{dash}n", 1]
    assert main(["course", "infer", *map(str, words)]) == 0
    assert capsys.readouterr().out == f"12 images predicted in {out}\n"
    files = ["--model-file", model, f"--test-data-file={test_file}", "--output_file", other]
    assert main(["course", "test_cifar", *map(str, files), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"out": str(other), "records": 12}
    assert out.read_bytes() == other.read_bytes()


def test_a_model_of_another_kind_than_the_flags_say_is_refused(
    model: Path, test_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--model_file", model, "--test_data_file", test_file, "--output_file", tmp_path / "out"]
    line = fails(capsys, "test_cifar", *files, "--normalization", "bn")
    assert line.endswith(f"--normalization bn: the model in {model} has gn: give that, or leave it out")
    assert "--n 2: the model" in fails(capsys, "test_cifar", *files, "--n", 2)
    assert "an image classifier" in fails(capsys, "infer", *files, "--model_type", "lstm_lstm")
    assert "an image classifier, where a tagger is wanted" in fails(capsys, "test_ner", *files)
    assert not (tmp_path / "out").exists()


def test_wrong_flags_are_one_line_with_the_nearest(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "did you mean '--model_file'" in fails(capsys, "infer", "-model_fil", model)
    assert "unknown --normalization 'xn'" in fails(capsys, *training(tmp_path / "m", "--normalization", "xn")[1:])
    assert "--n" in fails(capsys, *training(tmp_path / "m", "--n", "two")[1:])
    assert "--n 0: give 1 or more" in fails(capsys, *training(tmp_path / "m", "--n", 0)[1:])
    assert "--norm" in fails(capsys, *training(tmp_path / "m", "--norm", "gn")[1:])  # --normalization says it
    assert "required" in fails(capsys, "train_cifar", "--normalization", "gn")
    assert "did you mean 'train_cifar'" in fails(capsys, "train_cifr")


def test_what_cannot_work_is_refused_before_training(
    test_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "m.safetensors"
    assert "--r 25: digits has 10 classes" in fails(capsys, *training(out, "--r", 25)[1:])
    assert "is a folder, where a file is wanted" in fails(capsys, *training(tmp_path)[1:])
    assert "is a file, so" in fails(capsys, *training(test_file / "m.safetensors")[1:])
    assert "no such file or folder" in fails(capsys, *training(out, "--data_dir", tmp_path / "gone")[1:])
    assert not list(tmp_path.iterdir())


def test_an_interrupted_training_goes_on_with_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from normlab.engine.loop import Training

    real = Training.run_epoch

    def stopped(self: Training) -> object:
        if self.counters.epoch == 1:
            raise KeyboardInterrupt
        return real(self)

    flags = ["--normalization", "bn", "--data_dir", "digits", "--n", "1", "--scale", "smoke"]
    flags += ["--limit_train", "64", "--threads", "1", "--json"]
    assert main(["course", "train_cifar", *flags, "--output_file", str(tmp_path / "whole")]) == 0
    monkeypatch.setattr(Training, "run_epoch", stopped)
    assert main(["course", "train_cifar", *flags, "--output_file", str(tmp_path / "halves")]) == 1
    assert "go on with the same command" in capsys.readouterr().err
    files = ["-model_file", tmp_path / "halves.run", "-test_data_file", "a.csv", "-output_file", tmp_path / "out"]
    assert "training is not over" in fails(capsys, "infer", *files)
    assert not (tmp_path / "halves").exists()
    monkeypatch.undo()
    assert main(["course", "train_cifar", *flags, "--output_file", str(tmp_path / "halves")]) == 0
    weights = [load_run(tmp_path / name).model.state_dict() for name in ("whole", "halves")]
    assert all(np.array_equal(weights[0][name].numpy(), weights[1][name].numpy()) for name in weights[0])
    assert not (tmp_path / "halves.run-2").exists()


def test_training_again_leaves_the_first_run_folder_alone(tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    for seed in ("0", "1"):
        assert main(training(out, "--n", 1, "--seed", seed)) == 0
    assert RunFolder.open(f"{out}.run").config()["seed"] == 0
    assert RunFolder.open(f"{out}.run-2").config()["seed"] == 1
    assert load_run(out).config.seed == 1


def test_a_run_folder_of_ones_own_is_not_written_over(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, own = tmp_path / "m.safetensors", tmp_path / "own"
    assert main(training(out, "--n", 1, "--run_dir", own)) == 0
    assert RunFolder.open(own).done
    assert not (tmp_path / "m.safetensors.run").exists()
    line = fails(capsys, *training(tmp_path / "other", "--n", 1, "--run_dir", own)[1:])
    assert line.endswith("choose another --run_dir")


def test_a_full_disk_after_training_tells_how_to_write_the_model_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from normlab.runs import model_file

    def full(path: Path) -> None:
        raise WriteError(OSError(errno.ENOSPC, "No space left on device"), path)

    out = tmp_path / "m.safetensors"
    monkeypatch.setattr(model_file, "atomic_binary", full)
    assert main(training(out, "--n", 1)) == 1
    assert f", then run `normlab course save_model {out}.run --output_file {out}`" in capsys.readouterr().err
    monkeypatch.undo()
    assert main(["course", "save_model", f"{out}.run", "--output_file", str(out)]) == 0


def test_a_diverged_training_leaves_no_model(tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    assert main(training(out, "--normalization", "nn", "--n", 1, "--lr", "1e30")) == 1
    assert not out.exists()


def test_a_run_of_the_native_verb_becomes_a_model_file(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "again.safetensors"
    assert main(["course", "save_model", f"{model}.run", "--output_file", str(out)]) == 0
    assert out.read_bytes() == model.read_bytes()


def test_twenty_five_classes_of_images_of_any_size(tmp_path: Path) -> None:
    """The second assignment: r = 25, rotation up to 20 degrees, both flips, Adam with a cosine schedule."""
    image = pytest.importorskip("PIL.Image")
    draw = np.random.default_rng(0)
    for kind in range(25):
        folder = tmp_path / "birds" / "train" / f"bird{kind:02}"
        folder.mkdir(parents=True)
        for number in range(3):
            height, width = draw.integers(20, 60, 2)
            pixels = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
            image.fromarray(pixels).save(folder / f"{number}.png")
    for name in ("b.png", "a.png", "c.png"):
        (tmp_path / "new").mkdir(exist_ok=True)
        image.fromarray(draw.integers(0, 256, (33, 47, 3), dtype=np.uint8)).save(tmp_path / "new" / name)

    out, written = tmp_path / "birds.safetensors", tmp_path / "out.txt"
    words = ["--normalization", "bin", "--data_dir", tmp_path / "birds", "--output_file", out, "--n", 1, "--r", 25]
    recipe = ["--batch_size", 32, "--image_size", 24, "--rotation", 20, "--flip", "true", "--vertical_flip", "true"]
    recipe += ["--optimizer", "adam", "--lr", 1e-4, "--schedule", "cosine", "--epochs", 1, "--threads", 1]
    assert main(["course", "train_cifar", *map(str, words + recipe), "--json"]) == 0
    run = load_run(out)
    assert len(run.folder.card()["classes"]) == 25
    assert run.config.model_dump().items() >= {"image_size": 24, "rotation": 20.0, "vertical_flip": True}.items()

    files = ["-model_file", out, "-test_data_file", tmp_path / "new", "-output_file", written]
    assert main(["course", "infer", *map(str, files)]) == 0
    predicted = [record["index"] for record in run.predict(tmp_path / "new")]  # by path: a, b, c
    assert written.read_text() == "".join(f"{index}\n" for index in predicted)


def test_the_marker_can_call_the_scripts(model: Path, test_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    words = ["--model_file", model, "--normalization", "gn", "--n", "1", "--test_data_file", test_file]
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "course" / "test_cifar.py", *words, "--output_file", out],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(out.read_text().splitlines()) == 12


@pytest.mark.parametrize("name", ["train_cifar", "test_cifar", "train_ner", "test_ner", "infer"])
def test_there_is_a_script_of_each_published_name(name: str) -> None:
    script = (ROOT / "examples" / "course" / f"{name}.py").read_text(encoding="utf-8")
    assert f'main(["course", "{name}", *sys.argv[1:]])' in script


def test_the_generated_folder_has_twenty_five_classes_of_pictures_of_any_size(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed: pip install 'normlab[parquet]'")
    draws = runpy.run_path(str(ROOT / "examples" / "course" / "make_shapes.py"))["main"]
    for name in ("first", "second"):
        draws(tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*.png"))
    assert len({file.parent for file in files if file.parts[0] == "train"}) == 25
    assert len(files) == 25 * 30
    assert len({image.open(tmp_path / "first" / file).size for file in files[:50]}) > 20
    assert all((tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes() for file in files)
