"""Text that was broken at a width: which lines are a paragraph, and that places stay those of the text."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from normlab.apps.tag.sources import Line, Source
from normlab.apps.tag.wrapped_lines import paragraphs
from normlab.cli import main

LETTER = """\
Dear colleagues,

On Monday the delegation from Norway met the foreign minister of John
Smith and of his party in Berlin. They will travel on to the city of New
York on Tuesday, where the talks with the United Nations go on.

Kind regards,
Angela Merkel
Acme Corporation
12 Long Street, Springfield
"""
HEADLINES = """\
Obama Meets Merkel in Berlin for Talks on Climate and Trade
Police Say Three Were Hurt in the Fire near the Harbour
Norway Wins
Microsoft Buys a Small Company in the North of England
"""
SENTENCES = """\
Barack Obama visited Paris with the foreign minister on Monday.
He met Angela Merkel.
They spoke about the economy of the European Union for three hours.
"""
ITEMS = "\n".join(f"- item {number} of a long list about the {'word ' * 9}and the" for number in range(4))


def grouped(text: str, mode: str = "auto") -> list[str]:
    return [line.text for line in paragraphs(Source("", None, text).lines(), mode)]


@pytest.mark.parametrize("width", [50, 60, 72, 80, 90])
def test_wrapped_text_is_joined_again(width: int) -> None:
    sentence = "The foreign minister of Norway, who came from Oslo by train, met Angela Merkel in Berlin on Monday. "
    wrapped = [textwrap.fill(sentence * count, width) for count in (1, 2, 7)]
    assert grouped("\n\n".join(wrapped)) == wrapped
    indented = [textwrap.fill(sentence * count, width, initial_indent="    ") for count in (1, 2, 7)]
    assert grouped("\n".join(indented)) == indented  # without blank lines, where each paragraph has a short end


def test_paragraphs_of_a_letter_are_joined_and_its_other_lines_are_not() -> None:
    parts = LETTER.strip().split("\n\n")
    assert grouped(LETTER) == [parts[0], parts[1], *parts[2].splitlines()]


@pytest.mark.parametrize("text", [HEADLINES, HEADLINES.upper(), SENTENCES, SENTENCES.lower(), ITEMS])
def test_lines_that_stand_for_themselves_stay_alone(text: str) -> None:
    assert grouped(text) == text.splitlines()


def test_a_mode_decides_instead_of_the_look_of_the_text() -> None:
    assert grouped(LETTER, "no") == [line for line in LETTER.splitlines() if line]
    assert grouped(HEADLINES, "yes") == [HEADLINES.strip()]
    assert grouped(ITEMS, "yes") == ITEMS.splitlines()


def test_no_line_is_lost_and_memory_is_bounded() -> None:
    texts = [f"word {number} of the text and of the whole {'x' * (number % 7)}" for number in range(1, 999)]
    lines = [Line(number, 0, text) for number, text in enumerate(texts, start=1)]
    for mode in ("auto", "yes"):
        joined = list(paragraphs(iter(lines), mode))
        assert "\n".join(line.text for line in joined) == "\n".join(line.text for line in lines)
        assert all(line.text.count("\n") < 200 for line in joined)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_an_entity_over_a_line_end_is_found_at_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line_end: str
) -> None:
    path = tmp_path / "letter.txt"
    path.write_text(LETTER, newline=line_end)
    assert main(["tag", str(path), "--format", "jsonl"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    lines = path.read_text().split("\n")  # as Python reads it: each line end is one character
    found = []
    for record in records:
        rest = "\n".join(lines[record["line"] - 1 :])
        assert record["text"] == rest[record["start"] : record["end"]]
        for entity in record["entities"]:
            assert entity["text"] == rest[entity["start"] : entity["end"]]
            found.append(entity["text"])
    assert {"John\nSmith", "New\nYork", "Berlin", "Angela Merkel"} <= {*found}

    assert main(["tag", str(path), "--format", "text"]) == 0
    marked = capsys.readouterr().out
    assert "[John\nSmith " in marked
    assert marked.count("\n") == LETTER.count("\n")
    assert main(["tag", str(path), "--wrapped", "no", "--format", "text"]) == 0
    assert "[John\nSmith " not in capsys.readouterr().out


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_places_in_a_given_text_count_from_its_beginning(capsys: pytest.CaptureFixture[str], line_end: str) -> None:
    text = LETTER.replace("\n", line_end)
    assert main(["tag", text, "--format", "jsonl"]) == 0
    entities = [one for line in capsys.readouterr().out.splitlines() for one in json.loads(line)["entities"]]
    assert f"New{line_end}York" in {entity["text"] for entity in entities}
    assert all(entity["text"] == text[entity["start"] : entity["end"]] for entity in entities)


def test_a_wrong_mode_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tag", "Obama", "--wrapped", "maybe"]) == 2
    assert "--wrapped maybe: known: auto, yes, no" in capsys.readouterr().err
