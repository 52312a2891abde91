"""`normlab tag` on people's own text: places, formats, refusals. The shipped tagger tags."""

from __future__ import annotations

import csv
import io
import json
import runpy
import sys
from pathlib import Path

import pytest
from rich.text import Text as RichText

from normlab.apps.tag.formats import FORMATS
from normlab.apps.tag.passages import LONGEST, tagged
from normlab.apps.tag.sources import Line
from normlab.cli import main
from normlab.engine.api import Run, load_run

TEXT = "\nMr. Brown’s wife visited Paris. SHE LEFT BERLIN ON MONDAY!\n\n\nangela merkel met john o'neill in rome 🎉.\n"


@pytest.fixture(scope="module")
def run() -> Run:
    return load_run("gmb-tagger")


@pytest.fixture(autouse=True)
def opened_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open the shipped tagger once: the command line would do so in each test."""

    def opened(path: str, *, device: str | None = None) -> Run:
        return run if path == "gmb-tagger" else load_run(path, device=device)

    monkeypatch.setattr("normlab.engine.api.load_run", opened)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "news.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def output(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["tag", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["tag", *map(str, arguments)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def test_entities_stand_where_json_lines_say(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [json.loads(line) for line in output(capsys, file).splitlines()]
    lines = TEXT.split("\n")
    assert [(record["line"], record["sentence"]) for record in records] == [(2, 1), (2, 2), (5, 3)]
    for record in records:
        line = lines[record["line"] - 1]
        assert record["text"] == line[record["start"] : record["end"]]
        for entity in record["entities"]:
            assert entity["text"] == line[entity["start"] : entity["end"]]
            assert 0 < entity["probability"] <= 1
    found = [entity["text"] for record in records for entity in record["entities"]]
    assert {"Paris", "BERLIN", "MONDAY", "angela merkel", "john o'neill", "rome"} <= set(found)


def test_places_count_from_the_beginning_of_a_text_that_is_given_itself(capsys: pytest.CaptureFixture[str]) -> None:
    text = "He left Paris.\r\n\nShe left Berlin."
    records = [json.loads(line) for line in output(capsys, text).splitlines()]
    assert [(e["text"], text[e["start"] : e["end"]]) for r in records for e in r["entities"]] == [
        ("Paris", "Paris"),
        ("Berlin", "Berlin"),
    ]
    assert [text[record["start"] : record["end"]] for record in records] == ["He left Paris.", "She left Berlin."]


def test_every_format_says_the_same(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = [
        (e["text"], e["type"])
        for r in map(json.loads, output(capsys, file, "--json").splitlines())
        for e in r["entities"]
    ]
    rows = list(csv.DictReader(io.StringIO(output(capsys, file, "--format", "csv"))))
    assert [(row["text"], row["type"]) for row in rows] == wanted
    pages = [json.loads(line) for line in output(capsys, file, "--format", "spacy").splitlines()]
    assert [(p["text"][e["start"] : e["end"]], e["label"].lower()) for p in pages for e in p["ents"]] == wanted
    assert [page["title"] for page in pages] == [f"{file}:2", f"{file}:5"]
    text = output(capsys, file, "--format", "text")
    unmarked = text
    for name, kind in wanted:
        assert f"[{name} {kind}]" in text
        unmarked = unmarked.replace(f"[{name} {kind}]", name)
    assert unmarked == TEXT
    sentences = output(capsys, file, "--format", "conll").removesuffix("\n\n").split("\n\n")
    tags = [line.split("\t")[1] for sentence in sentences for line in sentence.splitlines()]
    assert len(sentences) == 3
    assert sum(tag.startswith("B-") for tag in tags) == len(wanted)


@pytest.mark.parametrize(
    ("suffix", "begins"), [(".csv", "line,"), (".txt", "\n"), (".conll", "Mr.\t"), (".jsonl", "{"), (".x", "{")]
)
def test_the_suffix_of_the_output_names_its_format(
    suffix: str, begins: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"out{suffix}"
    assert f"in 3 sentences: {out}" in output(capsys, file, "--out", out)
    assert out.read_text(encoding="utf-8").startswith(begins)


def test_a_pipe_is_read(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from normlab.data.text import standard_input

    for arguments in ([], ["-"]):
        standard_input._copy.cache_clear()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"He left Paris.\n")))
        assert main(["tag", *arguments, "--threads", "1"]) == 0
        assert '"Paris"' in capfd.readouterr().out
    standard_input._copy.cache_clear()


@pytest.mark.parametrize("width", [80, 200])
def test_a_terminal_shows_coloured_text_at_its_width(
    width: int, run: Run, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    file.write_text("He left Paris for Berlin and Rome. " * 5)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    shown = output(capsys, file)
    assert "\x1b[" in shown
    plain = RichText.from_ansi(shown).plain
    lines = [Line(1, 0, file.read_text())]
    assert plain.split() == "\n".join(FORMATS["text"](tagged(run, lines), "")).split()
    assert max(map(len, plain.splitlines())) <= width
    assert len(plain.splitlines()) > 200 // width


def test_letters_are_read_as_written_if_asked(capsys: pytest.CaptureFixture[str]) -> None:
    text = "SHE VISITED PARIS ON A MONDAY IN MAY"
    names = [
        [e["text"] for e in json.loads(output(capsys, text, "--case", case))["entities"]]
        for case in ("auto", "written")
    ]
    assert names[0] == ["PARIS", "MONDAY", "MAY"]
    assert names[1] != names[0]


def test_python_and_the_command_line_agree(capsys: pytest.CaptureFixture[str]) -> None:
    text = "OBAMA VISITED PARIS."
    (record,) = load_run("gmb-tagger").predict([text])
    assert [s["characters"] for s in record["spans"]] == [
        [e["start"], e["end"]] for e in json.loads(output(capsys, text))["entities"]
    ]
    assert record["characters"] == [0, len(text)]


def test_words_that_are_given_are_read_as_written() -> None:
    run = load_run("gmb-tagger")
    (plain,), (given,) = run.predict(["OBAMA VISITED PARIS"]), run.predict([["OBAMA", "VISITED", "PARIS"]])
    assert plain["tags"] != given["tags"]
    (asked,) = load_run("gmb-tagger", input_case="restored").predict([["OBAMA", "VISITED", "PARIS"]])
    assert asked["tags"] == plain["tags"]


def test_lines_are_read_no_further_ahead_than_a_chunk(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("normlab.tasks.ner.tagging._CHUNK", 500)
    taken = 0

    def lines():
        nonlocal taken
        for number in range(1, 40_000):
            taken = number
            yield Line(2 * number, 0, "It rains . " * 10)

    passage = next(tagged(run, lines()))
    assert passage.line.number == 2
    assert taken <= 500 // 30 + 1


@pytest.mark.parametrize("text", ["", "  \n\t "])
def test_text_without_a_word_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing to tag" in refusal(capsys, text)
    (tmp_path / "empty.txt").write_text(text)
    assert str(tmp_path / "empty.txt") in refusal(capsys, tmp_path / "empty.txt")


def test_what_is_no_running_text_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photo.txt").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    assert "photo.txt" in refusal(capsys, tmp_path / "photo.txt")
    (tmp_path / "latin.txt").write_bytes(b"Caf\xe9 in Paris.\n")
    assert "latin.txt:1: not utf-8" in refusal(capsys, tmp_path / "latin.txt")
    assert "Caf" in output(capsys, tmp_path / "latin.txt", "--encoding", "cp1252")
    (tmp_path / "words.jsonl").write_text('{"tokens": ["a"]}\n')
    assert "normlab predict" in refusal(capsys, tmp_path / "words.jsonl")
    for name, rows in (("conll.txt", "Ann NNP O\nleft VBD O\n. . O\n"), ("conllu.txt", "1\tAnn\n2\tleft\n3\t.\n")):
        (tmp_path / name).write_text(rows)
        assert "columns, not running text: `normlab predict`" in refusal(capsys, tmp_path / name)
    (tmp_path / "list.txt").write_text("1. Ann left\n2. Bob came\n3. Eve stayed\n")
    assert "Bob" in output(capsys, tmp_path / "list.txt")
    assert "is a folder" in refusal(capsys, tmp_path)
    assert "no such file" in refusal(capsys, tmp_path / "missing.txt")
    assert "no such file" in refusal(capsys, "missing.txt")
    assert "/dev/zero" in refusal(capsys, "/dev/zero")
    (tmp_path / "endless.txt").write_text("\nfew words.\n" + "word " * (LONGEST + 1))
    assert "line 3" in refusal(capsys, tmp_path / "endless.txt", "--out", tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--format", "jsnl"], "jsonl"),
        (["--model", "cifar10-batch"], "is a model of image"),
        (["--model", "gmb-taggr"], "gmb-tagger"),
        (["--case", "upper"], "input_case"),
        (["--threads", "0"], "threads"),
        (["--encoding", "utf-99"], "utf-99"),
        (["--out", "."], "is a folder"),
    ],
)
def test_wrong_flags_are_one_line(flags: list[str], said: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in refusal(capsys, file, *flags)


def test_the_page_shows_what_the_tagger_says() -> None:
    tool = runpy.run_path(str(Path(__file__).resolve().parents[2] / "tools" / "tag_examples.py"))
    assert f"{tool['BEGIN']}\n{tool['table']()}\n\n{tool['END']}" in tool["PAGE"].read_text(encoding="utf-8")
    assert len(tool["SENTENCES"]) == 20


def test_every_format_is_a_choice_of_the_command_line() -> None:
    from normlab.cli.tag import _FORMATS

    assert tuple(FORMATS) == _FORMATS


def test_an_empty_standard_input_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from normlab.data.text import standard_input

    standard_input._copy.cache_clear()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert main(["tag", "-"]) == 2
    assert capsys.readouterr().err.startswith("normlab: standard input is empty")
    standard_input._copy.cache_clear()
