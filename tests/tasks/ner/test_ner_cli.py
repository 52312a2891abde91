"""The tagging task from the command line: train, resume, evaluate, predict files of every kind, run a study."""

from __future__ import annotations

import io
import json
import tracemalloc
from pathlib import Path

import pytest

from normlab.cli import main
from normlab.data.tagging.sentences import Sentence
from normlab.engine.api import Run, load_run
from normlab.errors import UserError
from normlab.studies.plan import make_plan
from normlab.tasks.ner.generated import generated_sentences

FLAGS = ["--epochs", "1", "--hidden", "8", "--threads", "1", "--json"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ner") / "run"
    assert main(["train", "ner", "--scale", "smoke", "--out", str(out), *FLAGS]) == 0
    return out


@pytest.fixture(scope="module")
def run(path: Path) -> Run:
    return load_run(path)


@pytest.fixture
def columns(tmp_path: Path) -> Path:
    file = tmp_path / "in.txt"
    rows = (
        "".join(f"{w} {t}\n" for w, t in zip(s.words, s.tags or (), strict=True)) for s in generated_sentences("test")
    )
    file.write_text("\n".join(rows))
    return file


def test_a_smoke_run_measures_every_split(path: Path) -> None:
    result = json.loads((path / "result.json").read_text())
    names = {"accuracy", "micro_f1", "macro_f1", "token_accuracy", "entity_f1", "strict_f1", "ece", "loss"}
    assert {f"{split}/{name}" for split in ("train", "val", "test") for name in names} <= result["metrics"].keys()
    assert result["headline"] == "test/micro_f1"
    assert {"confusion", "entities", "reliability", "worst"} <= result["tables"]["test"].keys()
    assert result["metrics"]["test/micro_f1"] > 0.5


def test_evaluate_repeats_the_numbers_of_training(run: Run) -> None:
    assert run.evaluate("val")["metrics"]["val/loss"] == pytest.approx(run.result["metrics"]["val/loss"], rel=1e-6)


def test_a_run_without_test_file_leads_with_validation(columns: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    flags = ["--embeddings", "random", "--out", str(out), *FLAGS]
    assert main(["train", "ner", "--scale", "smoke", "--data", str(columns), *flags]) == 0
    result = json.loads((out / "result.json").read_text())
    assert result["headline"] == "val/micro_f1"
    assert not [name for name in result["metrics"] if name.startswith("test/")]


@pytest.mark.parametrize("updates", ["dense", "lazy"])
def test_a_resumed_run_ends_in_the_same_bits(updates: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from normlab.engine.loop import Training

    flags = ["--scale", "smoke", *FLAGS, "--epochs", "2", "--hidden", "4", "--limit-train", "64"]
    flags += ["--embedding-updates", updates, "--clip-norm", "1"]
    assert main(["train", "ner", *flags, "--out", str(tmp_path / "whole")]) == 0
    real = Training.run_epoch

    def stopped(self: Training) -> object:
        if self.counters.epoch == 1:
            raise KeyboardInterrupt
        return real(self)

    monkeypatch.setattr(Training, "run_epoch", stopped)
    main(["train", "ner", *flags, "--out", str(tmp_path / "halves")])
    monkeypatch.undo()
    assert main(["resume", str(tmp_path / "halves"), "--json"]) == 0
    whole, halves = (tmp_path / name / "checkpoints/model.safetensors" for name in ("whole", "halves"))
    assert whole.read_bytes() == halves.read_bytes()


def strip_tags(raw: bytes) -> list[bytes]:
    return [
        line.rstrip(b"\r\n").rpartition(b" ")[0] + line[len(line.rstrip(b"\r\n")) :] for line in raw.splitlines(True)
    ]


@pytest.mark.parametrize("form", ["auto", "columns"])
def test_a_column_file_comes_back_with_new_tags_and_every_other_byte(
    path: Path, columns: Path, form: str, tmp_path: Path
) -> None:
    raw = b"\n\r\n" + columns.read_bytes().replace(b"\n", b"\r\n").rstrip(b"\r\n") + b"\r\n\r\n\r\nParis O"
    columns.write_bytes(raw)
    out = tmp_path / "out.txt"
    assert main(["predict", str(path), str(columns), "--out", str(out), "--format", form]) == 0
    assert strip_tags(out.read_bytes()) == strip_tags(raw)
    tags = {line.split()[-1] for line in out.read_text().splitlines() if line.strip()}
    assert {"O", "B-per", "I-per"} <= tags


def test_tags_do_not_depend_on_the_old_last_column(run: Run, columns: Path, tmp_path: Path) -> None:
    dummy = tmp_path / "dummy.txt"
    dummy.write_text("".join(f"{line.split()[0]} _\n" if line.strip() else "\n" for line in columns.open()))
    one, other = ([record["tags"] for record in run.predict(file)] for file in (columns, dummy))
    assert one == other


def test_words_without_tags_get_a_column(path: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "words.txt", tmp_path / "out.txt"
    source.write_text("Anna\nvisited\nParis\non\nFriday\n.\n")
    assert main(["predict", str(path), str(source), "--out", str(out)]) == 0
    assert [line.split()[0] for line in out.read_text().splitlines()] == source.read_text().split()
    assert all(len(line.split()) == 2 for line in out.read_text().splitlines())


def test_standard_input_is_read_as_a_file_is(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "Mr. Brown visited Cairo on Friday.\n"
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    assert main(["predict", str(path), str(tmp_path / "text.txt"), "--json"]) == 0
    wanted = capsys.readouterr().out
    assert "Cairo" in wanted
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    for extra in (["--json"], ["--json", "--out", str(tmp_path / "out.jsonl")]):  # its content is kept
        assert main(["predict", str(path), "-", *extra]) == 0
        assert extra == ["--json"] or (tmp_path / "out.jsonl").read_text(encoding="utf-8").count("Cairo")
        printed = capsys.readouterr().out
        assert extra != ["--json"] or printed == wanted


def test_text_becomes_json_lines_with_spans_that_point_into_it(path: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "text.txt", tmp_path / "out.jsonl"
    text = 'Mr. Brown visited Cairo on Friday. "He left," John Smith said.\n\nThe Acme Corp closed.\n'
    source.write_text(text)
    assert main(["predict", str(path), str(source), "--out", str(out)]) == 0
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [record["line"] for record in records] == [1, 1, 3]
    spans = [(record, span) for record in records for span in record["spans"]]
    assert len(spans) >= 3
    for record, span in spans:
        first, last = span["characters"]
        assert text.splitlines()[record["line"] - 1][first:last].split() == span["text"].split()
        assert 0 <= span["probability"] <= min(record["probabilities"][span["start"] : span["end"]]) + 1e-4


def test_python_values_are_tagged_too(run: Run) -> None:
    records = list(run.predict(["Anna Berg left Paris.", ["John", "Smith"]]))
    assert [len(record["tags"]) for record in records] == [5, 2]


def test_tags_of_a_sentence_do_not_depend_on_the_sentences_around_it(run: Run) -> None:
    sentences = [s.words for s in generated_sentences("test")][:60]
    together = [record["tags"] for record in run.predict(sentences)]
    alone = [next(iter(run.predict([words])))["tags"] for words in sentences[::7]]
    assert together[::7] == alone


def test_memory_does_not_grow_with_the_text(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from normlab.tasks.ner import tagging

    def all_outside(model: object, sentences: list[Sentence], *rest: object) -> list[tagging.Tagged]:
        return [tagging.Tagged(["O"] * len(s), [1.0] * len(s), []) for s in sentences]

    monkeypatch.setattr(tagging, "_CHUNK", 500)
    monkeypatch.setattr(tagging, "_tag", all_outside)  # the network's share is a chunk's, whatever the file
    source = tmp_path / "text.txt"

    def peak(lines: int) -> int:
        source.write_text("Anna visited Paris on Friday .\n" * lines)
        tracemalloc.start()
        assert sum(1 for _ in run.predict(source)) == lines
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(1000)
    # What other threads of the process allocate meanwhile counts too, but it does not come back at each pass.
    assert min(peak(8000) for _ in range(3)) < 1.3 * peak(1000)


@pytest.mark.parametrize(
    ("content", "hint"),
    [(b"", "empty"), (b"a\0b\n", "NUL byte"), (b"Paris O\n" * 20 + b"Lima\n", ":21: sentence 1: 1 space-separated")],
)
def test_a_bad_file_is_named_and_nothing_is_written(run: Run, content: bytes, hint: str, tmp_path: Path) -> None:
    source = tmp_path / "bad.txt"
    source.write_bytes(content)
    with pytest.raises(UserError, match=hint):
        run.predict_to(source, tmp_path / "out.txt")
    assert not (tmp_path / "out.txt").exists()


TABLE = [("Anna", "NNP", "x"), ("visited", "VBD", "x"), ("Paris", "NNP", "x"), (".", ".", "x")]


def tags_of(out: Path, delimiter: str = " ") -> list[str]:
    lines = out.read_text(encoding="utf-8").splitlines()
    return [line.split(delimiter)[-1] for line in lines if line.split(delimiter)[0] in {row[0] for row in TABLE}]


@pytest.mark.parametrize(
    "comment", ["# sent_id = s-1", "# text = Anna visited Paris .", "# a b c", "-DOCSTART- -X- O O"]
)
def test_comments_come_back_byte_for_byte_and_change_no_tag(run: Run, comment: str, tmp_path: Path) -> None:
    rows = "".join(f"{word} {pos} {chunk} _\n" for word, pos, chunk in TABLE)
    plain, commented, out = tmp_path / "plain.txt", tmp_path / "commented.txt", tmp_path / "out.txt"
    plain.write_text(f"{rows}\n{rows}")
    commented.write_text(f"{comment}\n{rows}\n{comment}\n{rows}")
    run.predict_to(plain, out)
    tags = tags_of(out)
    assert len(tags) == 2 * len(TABLE)
    run.predict_to(commented, out)
    assert tags_of(out) == tags
    assert [line for line in out.read_text().splitlines() if line == comment] == [comment] * 2
    assert strip_tags(out.read_bytes().replace(comment.encode(), b"")) == strip_tags(
        commented.read_bytes().replace(comment.encode(), b"")
    )


@pytest.mark.parametrize("last", ["_", "O", "SpaceAfter=No"])
def test_conllu_is_tagged_by_the_words_of_its_second_column(run: Run, last: str, tmp_path: Path) -> None:
    rows = "".join(f"{n}\t{word}\t{pos}\t{last}\n" for n, (word, pos, _) in enumerate(TABLE, start=1))
    source, out = tmp_path / "in.conllu", tmp_path / "out.conllu"
    source.write_text(f"# sent_id = 1\n1-2\tx\t_\t_\n{rows}\n{rows}")
    run.predict_to(source, out)
    (plain,) = run.predict([[row[0] for row in TABLE]])
    lines = [line for line in out.read_text().splitlines() if line[:1].isdigit() and not line.startswith("1-2")]
    assert [line.split("\t")[-1] for line in lines] == plain["tags"] * 2
    assert {len(line.split("\t")) for line in lines} == {5 if last == "SpaceAfter=No" else 4}
    assert out.read_text().splitlines()[:2] == ["# sent_id = 1", "1-2\tx\t_\t_"]


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_file_comes_back_in_its_own_encoding(run: Run, coding: str, tmp_path: Path) -> None:
    source, out = tmp_path / "in.txt", tmp_path / "out.txt"
    rows = "".join(f"{word} _\r\n" for word, _, _ in TABLE)
    source.write_bytes(rows.encode(coding))
    run.predict_to(source, out)
    (plain,) = run.predict([[row[0] for row in TABLE]])
    expected = "".join(f"{row[0]} {tag}\r\n" for row, tag in zip(TABLE, plain["tags"], strict=True))
    assert out.read_bytes() == expected.encode(coding)


def test_a_hyphen_stands_for_standard_input(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from normlab.data.text import standard_input

    out = tmp_path / "out.txt"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Anna _\nleft _\n")))
    standard_input._copy.cache_clear()
    assert "columns word tag" in run.read_as(Path("-"))
    assert run.predict_to(Path("-"), out) == 1
    assert [line.split()[0] for line in out.read_text().splitlines()] == ["Anna", "left"]
    standard_input._copy.cache_clear()


def test_a_word_with_a_line_end_stays_in_its_line_of_columns(run: Run, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.txt"
    source.write_text(json.dumps({"tokens": ["a\nb", "c\td"]}))
    run.predict_to(source, out, "columns")
    assert [line.split("\t")[0] for line in out.read_text().splitlines()] == ["a b", "c d", ""]


def test_what_looks_wrong_in_a_file_to_be_tagged_is_said(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("Anna _\n\nleft _\n\nRome _\n\n")
    assert "3 of 3 sentences have one word" in run.read_as(source)


def test_an_unknown_form_offers_the_nearest(run: Run, columns: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'columns'"):
        run.predict_to(columns, tmp_path / "out.txt", "column")


@pytest.mark.parametrize("scale", ["smoke", "demo", "full"])
def test_the_studies_plan_at_every_scale(scale: str) -> None:
    ablation = make_plan("ner_ablation", scale=scale, seeds=1)
    assert len({cell.hash for cell in ablation.cells}) == 13
    assert len(make_plan("ner_norms", scale=scale, seeds=1).cells) == 4


def test_the_gmb_corpus_round_trips(run: Run, shared_data: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "dev.txt", tmp_path / "out.txt"
    source.write_bytes(b"".join((shared_data / "gmb/dev.txt").read_bytes().splitlines(True)[:3000]))
    run.predict_to(source, out)
    assert strip_tags(out.read_bytes()) == strip_tags(source.read_bytes())
