"""The image task from the command line: train, resume, evaluate, predict, and every mistake in one line."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from normlab.cli import main
from normlab.config import is_filled_in
from normlab.data.image.images import load_images


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A smoke run of group norm on the built-in digits."""
    out = tmp_path_factory.mktemp("cli") / "run"
    assert main(["train", "image", "--scale", "smoke", "--norm", "gn", "--out", str(out), "--json"]) == 0
    return out


@pytest.fixture(scope="module")
def digits_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten test images in the course's form."""
    path = tmp_path_factory.mktemp("csv") / "digits.csv"
    pixels = load_images("digits").images["test"][:10].reshape(10, -1)
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in pixels.tolist()))
    return path


def fails(capsys: pytest.CaptureFixture[str], *words: object, code: int = 2) -> str:
    """Run a command that must fail with one line on standard error, and return the line."""
    assert main([str(word) for word in words]) == code
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("normlab: ")
    return lines[0]


def test_train_prints_the_result_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["train", "image", "--scale", "smoke", "--epochs", "1", "--out", str(tmp_path / "r"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["state"] == "finished"
    assert 0 <= result["metrics"]["test/accuracy"] <= 1
    assert {"train/macro_f1", "val/loss", "features/p99"} <= result["metrics"].keys()
    assert result["epochs"] == 1


def test_a_run_records_every_setting(run: Path) -> None:
    text = (run / "config.yaml").read_text()
    assert "norm: group" in text
    assert "task: image" in text


@pytest.mark.parametrize("form", ["csv", "jsonl", "course"])
def test_predictions_of_a_csv_come_in_order(run: Path, digits_csv: Path, form: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["predict", str(run), str(digits_csv), "--out", str(out), "--format", form]) == 0
    lines = out.read_text().splitlines()
    if form == "csv":
        rows = list(csv.DictReader(lines))
        assert len(rows) == 10
        for row in rows:
            shares = {name: float(row[name]) for name in map(str, range(10))}
            assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
            assert row["class"] == max(shares, key=shares.__getitem__)
    elif form == "jsonl":
        assert [json.loads(line)["index"] in range(10) for line in lines] == [True] * 10
    else:
        assert [int(line) in range(10) for line in lines] == [True] * 10


def test_evaluate_repeats_the_numbers_of_training(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--split", "test", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    trained = json.loads((run / "result.json").read_text())
    assert found["metrics"]["test/accuracy"] == trained["metrics"]["test/accuracy"]
    assert np.array_equal(found["tables"]["confusion"], trained["tables"]["test"]["confusion"])


def test_an_unknown_norm_offers_the_nearest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    line = fails(capsys, "train", "image", "--norm", "gruop", "--out", tmp_path / "r")
    assert "did you mean 'group'" in line
    assert not (tmp_path / "r").exists()


def test_an_unknown_flag_offers_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean '--batch-size'" in fails(capsys, "train", "image", "--batchsize", "8")


def test_an_unknown_verb_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "trian" in fails(capsys, "trian")


def test_groups_that_do_not_divide_name_those_that_do(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    line = fails(
        capsys, "train", "image", "--scale", "smoke", "--norm", "group", "--groups", "5", "--out", tmp_path / "r"
    )
    assert "16" in line
    assert "4" in line
    assert not (tmp_path / "r").exists()  # the corrected command may use the same place


def test_text_for_a_number_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "lr" in fails(capsys, "train", "image", "--lr", "fast", "--out", tmp_path / "r")


def test_a_missing_data_path_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "notes.txt").write_text("mine")
    assert str(missing) in fails(capsys, "train", "image", "--data", missing, "--out", tmp_path / "r")
    assert [path.name for path in (tmp_path / "r").iterdir()] == ["notes.txt"]


def test_a_run_without_result_says_what_to_do(capsys: pytest.CaptureFixture[str], run: Path, tmp_path: Path) -> None:
    assert "not a run folder" in fails(capsys, "evaluate", tmp_path)
    assert "no such folder" in fails(capsys, "resume", tmp_path / "nothing")


def test_a_taken_run_folder_is_refused_and_untouched(capsys: pytest.CaptureFixture[str], run: Path) -> None:
    before = (run / "result.json").read_bytes()
    assert "holds a run" in fails(capsys, "train", "image", "--scale", "smoke", "--out", run)
    assert (run / "result.json").read_bytes() == before


def bad_csv(path: Path, values: list[str]) -> Path:
    good = ["0"] * 3072
    path.write_text(",".join(good) + "\n" + ",".join(values) + "\n")
    return path


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        (["0"] * 3071, "3071"),
        (["0"] * 3073, "3073"),
        (["256"] + ["0"] * 3071, "256"),
        (["cat"] + ["0"] * 3071, "cat"),
    ],
    ids=["too few", "too many", "too large", "text"],
)
def test_a_bad_csv_row_is_named_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], run: Path, values: list[str], hint: str, tmp_path: Path
) -> None:
    source = bad_csv(tmp_path / "bad.csv", values)
    line = fails(capsys, "predict", run, source, "--out", tmp_path / "out.csv")
    assert "bad.csv" in line
    assert "2" in line
    assert hint in line
    assert not (tmp_path / "out.csv").exists()


def test_an_unreadable_image_is_named(capsys: pytest.CaptureFixture[str], run: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"not a picture")
    assert "photo.png" in fails(capsys, "predict", run, tmp_path / "photo.png", "--out", tmp_path / "o.csv")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two images, one with transparency, one broken file that comes first, and a text."""
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "photos"
    folder.mkdir()
    image.new("RGB", (20, 20), "red").save(folder / "b.png")
    image.new("RGBA", (20, 20), (0, 0, 0, 100)).save(folder / "c.png")
    (folder / "a.png").write_bytes(b"not a picture")
    (folder / "notes.txt").write_text("x")
    return folder


def test_a_folder_with_a_broken_image_is_predicted_and_it_is_listed(
    capsys: pytest.CaptureFixture[str], run: Path, photos: Path, tmp_path: Path
) -> None:
    assert main(["predict", str(run), str(photos), "--out", str(tmp_path / "out.csv")]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("not predicted: a.png: not a readable image")
    assert len(captured.err.splitlines()) == 1
    first, changed = captured.out.splitlines()
    assert first.startswith("2 predictions in ")
    assert first.endswith("input read as a folder of 3 images; left out 1 file: .txt 1 (notes.txt)")
    assert changed == "changed to be read: transparency laid over white (1 of 2)"
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert [(row["name"], bool(row["class"])) for row in rows] == [("a.png", False), ("b.png", True), ("c.png", True)]


def test_json_lines_give_the_reason_of_a_broken_image(
    capsys: pytest.CaptureFixture[str], run: Path, photos: Path, tmp_path: Path
) -> None:
    assert main(["predict", str(run), str(photos), "--out", str(tmp_path / "out.jsonl"), "--json"]) == 1
    summary = json.loads(capsys.readouterr().out)
    assert summary["records"] == 2
    assert [line.split(":")[0] for line in summary["failed"]] == ["a.png"]
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [sorted(record) for record in records[:1]] == [["error", "name"]]
    assert records[2]["changed"] == "transparency laid over white"


def test_the_form_without_names_refuses_a_broken_image(
    capsys: pytest.CaptureFixture[str], run: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.txt"
    line = fails(capsys, "predict", run, photos, "--out", out, "--format", "course")
    assert "a.png" in line
    assert not out.exists()


def test_a_folder_of_broken_images_only_is_refused(
    capsys: pytest.CaptureFixture[str], run: Path, photos: Path, tmp_path: Path
) -> None:
    for name in ("b.png", "c.png"):
        (photos / name).unlink()
    line = fails(capsys, "predict", run, photos, "--out", tmp_path / "out.csv")
    assert "none of 1 image can be read; the first is a.png: not a readable image" in line
    assert not (tmp_path / "out.csv").exists()


def test_an_array_of_another_shape_is_refused(run: Path) -> None:
    from normlab import load_run
    from normlab.errors import UserError

    assert len(list(load_run(run).predict(np.zeros((2, 3, 32, 32), np.uint8)))) == 2
    for array in (np.zeros((2, 32, 32, 3), np.uint8), np.zeros((2, 3, 32, 32), np.float32), np.zeros(5, np.uint8)):
        with pytest.raises(UserError, match=r"expected uint8 \(N, 3, 32, 32\)"):
            list(load_run(run).predict(array))


def test_what_was_found_and_left_out_is_said_before_training(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    image = pytest.importorskip("PIL.Image")
    for split, count in (("train", 4), ("val", 2)):
        for name in ("ant", "bee"):
            (tmp_path / "set" / split / name).mkdir(parents=True)
            for number in range(count):
                image.new("RGB", (32, 32), (number, 9 + number, 7 * number)).save(
                    tmp_path / "set" / split / name / f"{number}.png"
                )
    (tmp_path / "set" / "labels.csv").write_text("1")
    out = tmp_path / "run"
    data = str(tmp_path / "set")
    assert main(["train", "image", "--scale", "smoke", "--epochs", "1", "--data", data, "--out", str(out)]) == 0
    notes = json.loads((out / "card.json").read_text())["notes"]
    assert notes[0] == "set: train 8, val 4 images; 2 classes, the folders' names"
    assert notes[-1] == "set: left out 1 file: .csv 1 (labels.csv)"
    log = (out / "log.txt").read_text()
    for note in notes:
        assert note in log
    assert json.loads((out / "result.json").read_text())["headline"] == "val/accuracy"


def test_a_full_disk_is_one_line_and_loses_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import errno

    from normlab.engine import loop

    real, calls = loop.save_training, []

    def full(path: Path, *rest: object) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "save_training", full)
    line = fails(capsys, "train", "image", "--scale", "smoke", "--out", tmp_path / "r", "--json", code=1)
    assert "No space left on device" in line
    assert "normlab resume" in line
    monkeypatch.undo()
    assert main(["resume", str(tmp_path / "r"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["epochs"] == 2


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from normlab.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "assert not {'torch', 'scipy', 'plotly', 'sklearn'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    "words",
    "|train|train image|resume|evaluate|predict|study|study run|report|list|data|data get|doctor".split("|"),  # noqa: SIM905
)
def test_every_verb_explains_itself(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*words.split(), "--help"])
    assert end.value.code == 0
    assert "usage: normlab" in capsys.readouterr().out


def test_training_help_shows_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "image", "--help"])
    text = capsys.readouterr().out
    from normlab.tasks.image.config import ImageConfig

    asked = [name for name in ImageConfig.model_fields if not is_filled_in(ImageConfig, name)]
    assert {"norm", "epochs", "model"} <= set(asked)
    assert [name for name in asked if f"--{name.replace('_', '-')}" not in text] == []


@pytest.mark.parametrize("what", ["norms", "tasks", "presets", "studies", "runs"])
def test_lists_come_as_json_too(what: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", what, *([str(run.parent)] if what == "runs" else []), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_doctor_names_torch_and_cores(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    assert {"torch", "cores", "precision"} <= json.loads(capsys.readouterr().out).keys()


def test_doctor_says_which_kernels_run_and_why_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--kernels", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["policy"] in ("auto", "own", "torch", "off")
    rows = {row["operation"]: row for row in found["operations"]}
    assert {"norm", "LSTM layer", "CRF loss", "convolution", "augmentation"} <= rows.keys()
    for row in rows.values():
        assert row["on a CPU"] == "C++" or row["on a CPU"].startswith("reference (")
        assert row["on a GPU"] == "Triton" or row["on a GPU"].startswith("reference (")
    assert main(["doctor", "--kernels"]) == 0
    assert capsys.readouterr().out.startswith("operation")


def test_both_kinds_of_statistics_are_measured_on_the_same_weights(tmp_path: Path) -> None:
    small = ["--scale", "smoke", "--epochs", "1", "--limit-train", "64", "--bn-statistics", "both"]
    found = {}
    for norm in ("batch", "group"):
        assert main(["train", "image", *small, "--norm", norm, "--out", str(tmp_path / norm)]) == 0
        found[norm] = json.loads((tmp_path / norm / "result.json").read_text())["metrics"]
    assert {"test/accuracy", "test/accuracy_precise", "test/precise_loss"} <= set(found["batch"])
    assert found["batch"]["test/loss"] != found["batch"]["test/precise_loss"]
    assert "test/accuracy_precise" not in found["group"]


def test_axes_of_a_study_can_be_given_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    plan = ["study", "plan", "batch_size", "--scale", "smoke", "--json"]
    assert main([*plan, "--axis", "norm=gn,instance", "--axis", "lr-scaling=fixed", "--axis", "lr=1e-1,0.2"]) == 0
    values = [cell["values"] for cell in json.loads(capsys.readouterr().out)]
    assert len(values) == 2 * 2 * 2
    assert {cell["norm"] for cell in values} == {"group", "instance"}
    assert {cell["lr"] for cell in values} == {0.1, 0.2}
    for wrong in ("norm", "norm=", "=batch", "norm=[a"):
        assert main([*plan, "--axis", wrong]) == 2
        assert f"--axis {wrong}: give a setting and its values" in capsys.readouterr().err
    assert main([*plan, "--axis", "lr-scaling=fixed", "--axis", "lr_scaling=linear"]) == 2
    assert "--axis lr_scaling: is given twice" in capsys.readouterr().err


def test_a_claim_about_an_unknown_metric_is_one_line_and_costs_no_cell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claim = "{says: x, kind: better, a: {norm: batch}, b: {norm: none}, metric: test/acuracy, source: me}"
    base = "{data: digits, n: 1, epochs: 1, limit_train: 64, batch_size: 32}"
    study = f"title: T\nquestion: Q?\ntask: image\nbase: {base}\naxes: {{norm: [batch, none]}}\nclaims: [{claim}]\n"
    (tmp_path / "s.yaml").write_text(study)
    run = ["study", "run", str(tmp_path / "s.yaml"), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main(run) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "claim 1" in line]
    assert len(lines) == 1
    assert "unknown metric 'test/acuracy': did you mean 'test/accuracy'?" in lines[0]
    (tmp_path / "s.yaml").write_text(study.replace("acuracy", "accuracy"))
    assert main(run) == 0
    assert "2 done" in (said := capsys.readouterr().err)
    assert "claim 1" not in said


def test_a_verb_runs_in_a_thread_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Only a main thread may set what a signal does."""
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main(["list", "norms"])))
    thread.start()
    thread.join()
    assert codes == [0]
    assert "batch_instance" in capsys.readouterr().out
