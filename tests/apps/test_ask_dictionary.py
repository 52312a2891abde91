"""`normlab ask` with a data dictionary beside the database, by --notes, and the first one by --describe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from normlab.apps.ask.database import Database
from normlab.cli import main
from normlab.errors import UserError


@pytest.fixture
def notes(shop: Path) -> Path:
    path = shop.with_name(f"{shop.name}.normlab.yaml")
    path.write_text("item: {synonyms: [wares], columns: {name: {values: {pen: [biro], pan: [pot]}}}}")
    return path


def test_a_dictionary_beside_the_database_makes_a_question_out_of_a_refused_one(
    shop: Path, run: Path, notes: Path, tmp_path: Path
) -> None:
    with Database(shop, run) as database:
        assert f"synonyms of {notes} are used" in database.notes
        assert "values of the dictionary that no cell has: item.name: pan" in database.notes
        links = {(link.word, link.kind, link.name) for link in database.question("How many wares are there?").links}
        assert ("wares", "table", "item") in links
        links = {(link.word, link.kind, link.name) for link in database.question("Show the biro of wares").links}
        assert ("biro", "cell", "item.name") in links
    notes.rename(tmp_path / "elsewhere.yaml")
    with Database(shop, run) as database, pytest.raises(UserError, match="no word of the question names anything"):
        database.question("How many wares are there?")
    with Database(shop, run, dictionary=tmp_path / "elsewhere.yaml", contents=False) as database:
        assert database.question("How many wares are there?", run=False).links


def test_an_unknown_name_is_one_line(shop: Path, run: Path, notes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes.write_text("items: {}")
    assert main(["ask", str(shop), "How many items are there?", "--model", str(run)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "there is no table 'items': did you mean 'item'?" in line


def test_the_first_dictionary_is_printed_or_written_once(
    shop: Path, tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", str(shop), "--describe"]) == 0
    printed = capsys.readouterr().out
    out = tmp_path / "first.yaml"
    assert main(["ask", str(shop), "--describe", "--out", str(out)]) == 0
    assert out.read_text() == printed
    assert main(["ask", str(shop), "--describe", "--out", str(out)]) == 2
    assert "exists, and may hold synonyms of yours" in capsys.readouterr().err
    asked = ["ask", str(shop), "How many items are there?", "--model", str(run), "--notes", str(out), "--json"]
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out)["sql"]


@pytest.mark.parametrize("words", [["--out", "x.yaml", "How many?"], ["--describe", "How many?"]])
def test_flags_that_exclude_each_other_are_refused(
    shop: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", str(shop), *words]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
