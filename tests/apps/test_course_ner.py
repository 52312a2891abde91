"""The tagging assignment's commands: train_ner and test_ner, as its marker calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from normlab.cli import main
from normlab.engine.api import load_run
from normlab.tasks.ner.generated import generated_sentences

QUICK = ["--scale", "smoke", "--epochs", "1", "--limit_train", "100", "--threads", "1", "--json"]


def columns(split: str, count: int) -> str:
    """Sentences in the course's form: lower-cased token, POS, word, tag, with a blank line before the first."""
    sentences = list(generated_sentences(split))[:count]
    blocks = (
        "".join(f"{word.lower()} NN {word} {tag}\n" for word, tag in zip(s.words, s.tags or (), strict=True))
        for s in sentences
    )
    return "\n" + "\n".join(blocks)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the course hands it out, and a test file whose tags are random."""
    folder = tmp_path_factory.mktemp("ner-gmb")
    (folder / "train.txt").write_text(columns("train", 200))
    (folder / "dev.txt").write_text(columns("val", 40))
    lines = columns("test", 20).splitlines()
    wrong = ["O", "B-per", "I-tim"]
    mixed = [f"{line.rpartition(' ')[0]} {wrong[n % 3]}" if line else "" for n, line in enumerate(lines)]
    (folder / "questions.txt").write_text("\n".join(mixed) + "\n")
    words = sorted({word.lower() for s in generated_sentences("train") for word in s.words})
    rows = ((word, [(number * 7 + place) % 11 / 10 for place in range(8)]) for number, word in enumerate(words))
    text = "".join(f"{word} {' '.join(f'{value:.1f}' for value in vector)}\n" for word, vector in rows)
    (folder / "glove.txt").write_text(text)
    return folder


def train(data: Path, out: Path, *words: object) -> int:
    flags = {
        "--initialization": "glove",
        "--char_embeddings": 1,
        "--layer_normalization": 1,
        "--crf": 1,
        "--output_file": out,
        "--data_dir": data,
        "--glove_embeddings_file": data / "glove.txt",
        "--vocabulary_output_file": f"{out}.vocab",
    }
    flags |= dict(zip(words[::2], words[1::2], strict=True))
    return main(["course", "train_ner", *(str(word) for pair in flags.items() for word in pair), *QUICK])


@pytest.fixture(scope="module")
def model(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("course") / "ner.safetensors"
    assert train(data, path) == 0
    return path


def fails(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    capsys.readouterr()
    assert main(["course", *map(str, words)]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    return line


def test_training_follows_the_published_protocol() -> None:
    from normlab.apps.course.ner import training_settings

    config = training_settings(
        "glove",
        "ner-gmb",
        char_embeddings=False,
        layer_normalization=True,
        crf=False,
        glove_embeddings_file="glove.6B.100d.txt",
        scale=None,
        further={},
    )
    assert (config.embeddings, config.glove, config.data) == ("glove", "glove.6B.100d.txt", "ner-gmb")
    assert (config.characters, config.layer_norm, config.crf) == (False, "words", False)
    assert (config.optimizer, config.lr, config.dropout, config.patience) == ("adam", 0.001, 0.5, 5)


@pytest.mark.parametrize(
    ("characters", "normalised", "setting"),
    [(True, True, "both"), (False, True, "words"), (True, False, "none"), (False, False, "none")],
)
def test_layer_normalization_is_of_every_lstm_there_is(characters: bool, normalised: bool, setting: str) -> None:
    from normlab.apps.course.ner import training_settings

    config = training_settings(
        "random",
        "generated",
        char_embeddings=characters,
        layer_normalization=normalised,
        crf=True,
        glove_embeddings_file="not-read.txt",
        scale="smoke",
        further={},
    )
    assert (config.layer_norm, config.glove, config.embeddings) == (setting, "", "random")


def test_the_output_is_the_input_with_its_last_column_replaced(model: Path, data: Path, tmp_path: Path) -> None:
    out, native = tmp_path / "out.txt", tmp_path / "native.txt"
    words = ["--model_file", model, "--char_embeddings", 1, "--layer_normalization", 1, "--crf", 1]
    words += ["--test_data_file", data / "questions.txt", "--output_file", out]
    words += ["--glove_embeddings_file", data / "glove.txt", "--vocabulary_input_file", f"{model}.vocab"]
    assert main(["course", "test_ner", *map(str, words)]) == 0
    questions, answers = ((data / "questions.txt").read_text().split("\n"), out.read_text().split("\n"))
    assert [line.rpartition(" ")[0] for line in answers] == [line.rpartition(" ")[0] for line in questions]
    classes = load_run(model).folder.card()["classes"]
    assert all(line.rpartition(" ")[2] in classes for line in answers if line)
    command = ["predict", f"{model}.run", str(data / "questions.txt"), "--out", str(native), "--format", "columns"]
    assert main(command) == 0
    assert out.read_bytes() == native.read_bytes()


def test_the_model_needs_neither_vectors_nor_vocabulary_nor_training_data(
    model: Path, data: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone" / "m.safetensors"
    alone.parent.mkdir()
    alone.write_bytes(model.read_bytes())
    (tmp_path / "in.txt").write_bytes((data / "questions.txt").read_bytes())
    hidden = data.with_name("hidden")
    data.rename(hidden)
    try:
        words = ["--model_file", alone, "--test_data_file", tmp_path / "in.txt", "--output_file", tmp_path / "out.txt"]
        assert main(["course", "test_ner", *map(str, words)]) == 0
    finally:
        hidden.rename(data)
    assert len((tmp_path / "out.txt").read_text()) > 100


def test_the_vocabulary_is_what_the_model_knows(model: Path) -> None:
    vocabulary, card = json.loads(Path(f"{model}.vocab").read_text()), load_run(model).folder.card()
    assert vocabulary == {"words": card["words"], "characters": card["characters"], "tags": card["classes"]}


def test_random_vectors_leave_the_glove_file_alone(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "random.safetensors"
    words = ["--initialization", "random", "--char_embeddings", 0, "--layer_normalization", 0, "--crf", 0]
    assert train(data, out, *words, "--glove_embeddings_file", tmp_path / "gone.txt") == 0
    config = load_run(out).config.model_dump()
    assert config.items() >= {"characters": False, "layer_norm": "none", "crf": False, "glove": ""}.items()


def test_another_model_than_the_flags_say_is_refused(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--model_file", model, "--test_data_file", data / "questions.txt", "--output_file", tmp_path / "out"]
    line = fails(capsys, "test_ner", *files, "--crf", 0)
    assert line == f"normlab: --crf 0: the model in {model} has 1: give that, or leave it out"
    assert "--char_embeddings 0" in fails(capsys, "test_ner", *files, "--char_embeddings", 0)
    assert "unknown --crf '2': known: 0, 1" in fails(capsys, "test_ner", *files, "--crf", 2)
    (tmp_path / "other.vocab").write_text('{"words": ["a"], "characters": [], "tags": []}')
    line = fails(capsys, "test_ner", *files, "--vocabulary_input_file", tmp_path / "other.vocab")
    assert f"its words are not those of {model}" in line
    assert "is a tagger: use `normlab course test_ner`" in fails(capsys, "infer", *files)
    assert "a tagger, where an image classifier is wanted" in fails(capsys, "test_cifar", *files)
    assert not (tmp_path / "out").exists()


def test_a_missing_file_is_one_line(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--model_file", model, "--test_data_file", tmp_path / "gone.txt", "--output_file", tmp_path / "out"]
    assert "gone.txt" in fails(capsys, "test_ner", *files)
    flags = ["--initialization", "glove", "--char_embeddings", 1, "--layer_normalization", 1, "--crf", 1]
    files = ["--output_file", tmp_path / "m", "--data_dir", data, "--glove_embeddings_file", tmp_path / "gone.txt"]
    assert "gone.txt" in fails(capsys, "train_ner", *flags, *files, *QUICK)
    assert not (tmp_path / "m").exists()
    assert not (tmp_path / "m.run").exists()
