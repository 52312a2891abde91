"""The help shows the settings that act, and flags that would do nothing or contradict each other are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from normlab.acting import missing_condition
from normlab.cli import main
from normlab.config import config_hash
from normlab.studies.plan import make_plan
from normlab.tasks import TASKS, task_settings
from normlab.tasks.image.config import ImageConfig


def help_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    return " ".join(capsys.readouterr().out.split())


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ((), ["with the preset demo", "passes over the training part [8]", "[one_cycle]", "have a side [false]"]),
        (("--preset", "quick"), ["with the preset quick", "part [16]", "have a side [true]", "[cifar10]"]),
        (("--preset=full",), ["with the preset full", "part [100]", "[multistep]"]),
        (("--scale", "smoke"), ["with the preset smoke", "part [2]"]),
    ],
)
def test_the_help_shows_what_runs_with_the_preset(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], shown: list[str]
) -> None:
    text = help_of(capsys, "train", "image", *words)
    assert [piece for piece in shown if piece not in text] == []


@pytest.mark.parametrize("task", list(TASKS))
def test_every_value_in_the_help_is_the_one_that_runs(capsys: pytest.CaptureFixture[str], task: str) -> None:
    settings = task_settings(task)
    checked = 0
    for preset in settings.presets:
        text = help_of(capsys, "train", task, "--preset", preset)
        config = settings.make(preset, {}, "test")
        for name in ("epochs", "lr", "batch_size", "schedule", "optimizer", "data"):
            field = type(config).model_fields[name]
            assert f"{' '.join(str(field.description).split())} [{getattr(config, name) or 'empty'}]" in text
            checked += 1
    assert checked == 6 * len(settings.presets)


def test_the_help_of_a_study_shows_its_cells(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(capsys, "study", "run", "seven_norms", "--scale", "full")
    assert "in seven_norms at the scale full" in text
    assert "passes over the training part [100]" in text
    assert "[compared: " in text
    assert "passes over the training part [" not in help_of(capsys, "study", "run")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("train image --preset smoke --scale demo", "--preset smoke and --scale demo"),
        ("train image --validation 1.0", "validation: must be a fraction below 1"),
        ("train image --validation 0", "validation"),
        ("train image --validation 2.5", "validation"),
        ("train ner --validation 1.0", "validation"),
        ("train image --threads 100000", "threads"),
        ("train image --threads 0", "threads"),
        ("train image --threads -1", "threads"),
        ("train image --lr inf", "lr"),
        ("train image --lr .inf", "lr: input should be a finite number"),
        ("train image --lr 0", "lr"),
        ("train image --epochs 0", "epochs"),
        ("train image --nesterov true --momentum 0", "--nesterov: does nothing with --momentum 0"),
        ("train image --warmup-epochs 9", "warmup_epochs: 9 of 8 epochs"),
        ("train image --lr-milestones [0.5,1.5] --schedule multistep", "lr_milestones"),
        ("train image --pad 32", "pad: 32 pixels around 32"),
        ("study run seven_norms --seeds 0", "--seeds 0: give 1 or more"),
        ("study plan seven_norms --seeds -3", "--seeds -3"),
        ("study plan seven_norms --seeds 1000000", "--seeds 1000000: give 1000 or fewer"),
        ("study run seven_norms --workers 0", "--workers 0: give 1 or more"),
        ("study run seven_norms --workers -2", "--workers -2"),
        ("study run seven_norms --concurrent 0", "--concurrent 0"),
        ("study run seven_norms --engine ray --cpus-per-cell 0", "--cpus-per-cell 0"),
        ("study run seven_norms --engine ray --gpus-per-cell -1", "--gpus-per-cell -1"),
        ("tune lr_grid --seeds 0", "--seeds 0"),
        ("tune lr_grid --workers 0", "--workers 0"),
        ("bench norms --threads 0", "--threads 0"),
        ("bench norms --threads 100000", "--threads 100000"),
        ("bench norms --corpus .", "--corpus: does nothing in bench norms"),
        ("bench ner --spider .", "--spider: does nothing in bench ner"),
    ],
)
def test_what_would_do_nothing_or_cannot_be_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert problem in refused(capsys, *words.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "condition"),
    [
        ("train text2sql --encoder prajjwal1/bert-tiny", "only with model bert_frozen or bert_finetuned"),
        ("train text2sql --encoder-layers 2 --model bert_frozen", "only with model bert_finetuned"),
        ("train text2sql --model bert_frozen --min-count 2", "only with model lstm or lstm_attention"),
        ("train text2sql --model lstm --attention luong", "only with model other than lstm"),
        ("train text2sql --beam-size 1 --length-penalty 1", "only with beam_size other than 1"),
        ("train image --norm batch --groups 4", "only with norm group"),
        ("train image --norm none --eps 1e-3", "only with norm other than none"),
        ("train image --norm group --norm-momentum 0.2", "only with norm batch or batch_instance or torch_batch"),
        ("train image --lr-milestones [0.5]", "--schedule one_cycle, only with schedule multistep"),
        ("train image --optimizer adam --momentum 0.8", "only with optimizer sgd or rmsprop"),
        ("train image --average-decay 0.9", "only with average ema"),
        ("train image --min-delta 0.1", "does nothing with --patience none"),
        ("train image --crop false --pad 2", "only with crop true"),
        ("train ner --columns word,tag", "does nothing with --data generated"),
        ("train ner --embeddings random --glove g.txt", "only with embeddings glove"),
        ("train ner --characters false --layer-norm words --char-dim 9", "only with characters true"),
        ("train ner --crf false --constraints true", "only with crf true"),
        ("study run lr_grid --scale smoke --lr-step 0.1", "only with schedule step"),
        ("study plan seven_norms --average-decay 0.9", "only with average ema"),
        ("study plan seven_norms --axis norm=batch,layer --axis groups=2,4", "only with norm group"),
    ],
)
def test_a_setting_that_the_others_ignore_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, condition: str
) -> None:
    monkeypatch.chdir(tmp_path)
    line = refused(capsys, *words.split())
    assert condition in line
    assert "does nothing with --" in line
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_some_cells_of_a_study_use_is_taken() -> None:
    cells = make_plan("seven_norms", scale="smoke", groups=8).cells
    assert {cell.config.groups for cell in cells if cell.values["norm"] == "group"} == {8}


def test_conditions_name_settings_and_values_that_exist() -> None:
    found = 0
    for task in TASKS:
        kind = task_settings(task).config_class
        for name in kind.model_fields:
            condition = missing_condition(kind(), name)
            if condition is not None:
                found += 1
                for value in condition.values:
                    assert type(condition).__name__ == "Unless" or kind(**{condition.setting: value})
    assert found > 10


@pytest.mark.parametrize(("data", "flip"), [("digits", False), ("cifar10", True), ("photos", True), ("./digits", True)])
def test_mirrored_images_follow_the_data(data: str, flip: bool) -> None:
    assert ImageConfig(data=data).flip is flip
    for preset in ("smoke", "demo"):
        assert task_settings("image").make(preset, {"data": data}, "test").flip is flip  # type: ignore[attr-defined]
    assert ImageConfig(data=data, flip=not flip).flip is not flip
    assert ImageConfig.parse(ImageConfig(data=data).model_dump(), "test").flip is flip


@pytest.mark.parametrize(
    ("study", "scale", "first"),
    [
        ("seven_norms", "full", "b682dc6155ef"),
        ("seven_norms", "hour", "2d9ec8d5b722"),
        ("batch_size", "full", "cd36ad44599d"),
    ],
)
def test_the_cells_of_long_studies_keep_their_hashes(study: str, scale: str, first: str) -> None:
    """Finished cells are told by their hash: another one would train weeks again."""
    assert config_hash(make_plan(study, scale=scale).cells[0].config) == first
