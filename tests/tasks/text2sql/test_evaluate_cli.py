"""`normlab evaluate` on files of SQL, and beside the user's own copy of the official script."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from normlab.cli import main
from normlab.cli.sql_scores import official_of_run, refuse_of_other_task
from normlab.data.sql.toy import write_toy
from normlab.errors import UserError
from normlab.tasks.text2sql.config import SETTINGS

GOLD = [
    "SELECT Name FROM Student\tschool",
    "SELECT Age FROM Student\tschool",
    "SELECT count(*) FROM Pet\tschool",
    "SELECT City FROM Student WHERE Age > 1\tschool",
]
PREDICTED = ["SELECT Name FROM Student", "SELECT City FROM Student", "SELECT count(*) FROM Pet", "SELECT 1"]

# Counts equal lines as exact matches and prints the table as Spider's script does; {shift} is added to what it says.
SCRIPT = """
import argparse, os, sys
parser = argparse.ArgumentParser()
for name in ("gold", "pred", "db", "table", "etype"):
    parser.add_argument("--" + name)
options = parser.parse_args()
assert sorted(os.listdir(options.db)) == ["school"], os.listdir(options.db)
gold = [line.split("\\t")[0] for line in open(options.gold).read().splitlines()]
found = open(options.pred).read().splitlines()
assert len(gold) == len(found)
share = sum(a == b for a, b in zip(gold, found)) / len(gold) + {shift}
levels = ["easy", "medium", "hard", "extra", "all"]
row = lambda name, cells: "%-20s " % name + " ".join("%-20s" % cell for cell in cells)
print(row("", levels))
print(row("count", [len(gold), 0, 0, 0, len(gold)]))
print("=====================   EXECUTION ACCURACY     =====================")
print(row("execution", ["%.3f" % share, "0.000", "0.000", "0.000", "%.3f" % share]))
print("====================== EXACT MATCHING ACCURACY =====================")
print(row("exact match", ["%.3f" % share, "0.000", "0.000", "0.000", "%.3f" % share]))
"""


def write_files(folder: Path, gold: list[str], predicted: list[str], shift: float = 0.0) -> dict[str, Path]:
    files = {"gold": folder / "gold.sql", "predicted": folder / "predicted.sql", "script": folder / "evaluation.py"}
    for name, lines in (("gold", gold), ("predicted", predicted)):
        files[name].write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    files["script"].write_text(SCRIPT.replace("{shift}", str(shift)), encoding="utf-8")
    return files


def evaluate(
    school_folder: Path,
    files: Mapping[str, Path],
    capsys: pytest.CaptureFixture[str],
    *more: str,
    official: bool = True,
) -> tuple[int, Any]:
    arguments = ["evaluate", "--gold", str(files["gold"]), "--predicted", str(files["predicted"])]
    arguments += ["--tables", str(school_folder / "tables.json"), "--databases", str(school_folder / "database")]
    arguments += ["--official", str(files["script"])] if official else []
    code = main([*arguments, *more])
    said = capsys.readouterr()
    return code, json.loads(said.out) if "--json" in more and code == 0 else said.out + said.err


def test_a_file_of_predictions_is_scored(
    school_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = write_files(tmp_path, GOLD, PREDICTED)
    code, text = evaluate(school_folder, files, capsys, official=False)
    assert code == 0
    rows = {line[:20].strip(): line[20:].split() for line in text.splitlines()}
    assert rows["exact match"] == ["0.500", "0.000", "0.000", "0.000", "0.500"]
    assert rows["order-insensitive"][-1] == "0.500"


def test_a_row_whose_gold_does_not_parse_is_named_and_the_rest_is_scored(
    school_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = write_files(tmp_path, [*GOLD, "SELECT FROM WHERE\tschool", "SELECT 1\tnowhere"], [*PREDICTED, "x", "x"])
    code, found = evaluate(school_folder, files, capsys, "--json", official=False)
    assert (code, found["count"], found["exact_match"]) == (0, 4, 0.5)
    assert "gold.sql:5: gold does not parse" in found["skipped"][0]
    assert "gold.sql:6: unknown database 'nowhere'" in found["skipped"][1]


def test_the_official_scripts_numbers_stand_beside_ours(
    school_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = evaluate(school_folder, write_files(tmp_path, GOLD, PREDICTED), capsys)
    assert code == 0
    rows = {line[:22].strip(): line[22:].split() for line in text.splitlines()}
    assert rows["exact match, normlab"] == rows["exact match, script"] == ["0.500", "0.000", "0.000", "0.000", "0.500"]
    assert "the script's numbers and normlab's are the same" in text
    assert "differs" not in text


def test_numbers_that_differ_are_named_by_level(
    school_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = evaluate(school_folder, write_files(tmp_path, GOLD, PREDICTED, shift=0.001), capsys, "--json")
    assert code == 0
    assert found["official"]["same"] is False
    assert "exact match, all: 0.500 here, 0.501 by the script" in found["official"]["differences"]


def test_rows_at_which_the_script_would_stop_are_left_out_or_replaced(
    school_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow = "SELECT name age FROM Student"  # parses as two columns, returns one: an IndexError there
    gold = ["SELECT Age FROM Student\tschool", "SELECT FROM WHERE\tschool", "SELECT Name FROM Student\tschool"]
    files = write_files(tmp_path, gold, [narrow, "x", "SELECT Name FROM Student"])
    code, found = evaluate(school_folder, files, capsys, "--json")
    assert code == 0
    assert found["official"]["count"]["all"] == 2
    assert ["row 2: gold does not parse" in line for line in found["official"]["left_out"]] == [True]
    assert len(found["official"]["replaced"]) == 1
    written = (tmp_path / "official" / "predicted.sql").read_text().splitlines()
    assert written == ["(no prediction)", "SELECT Name FROM Student"]
    assert found["official"]["same"] is True


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("import time; time.sleep(600)", "did not end within 1 s"),
        ("raise ValueError('bad')", "ValueError: bad"),
        ("print('hello')", "printed no table"),
    ],
)
def test_a_script_that_hangs_fails_or_prints_nothing_is_one_line(
    school_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], script: str, problem: str
) -> None:
    files = write_files(tmp_path, GOLD, PREDICTED)
    files["script"].write_text(script, encoding="utf-8")
    seconds = "1" if "sleep" in script else "600"
    code, text = evaluate(school_folder, files, capsys, "--seconds", seconds)
    assert code == 2
    assert problem in text
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "give a run folder, or --gold, --predicted and --tables"),
        (["--gold", "a"], "--predicted is missing"),
        (["--gold", "a", "--predicted", "b"], "--tables is missing"),
        (["run", "--gold", "a", "--predicted", "b", "--tables", "c"], "score either a run or a file"),
        (["--gold", "/no/gold", "--predicted", "b", "--tables", "c"], "no file at /no/gold"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *arguments]) == 2
    assert problem in capsys.readouterr().err


def options(**changes: Any) -> argparse.Namespace:
    base = {"data": None, "split": "test", "tables": None, "databases": None, "python": "python3", "seconds": 60.0}
    base |= {"copies": 0, "seed": None}
    return argparse.Namespace(**{**base, **changes})


def test_a_runs_predictions_go_through_the_script_with_gold_from_its_data(tmp_path: Path) -> None:
    toy = write_toy(tmp_path / "toy")
    config = SETTINGS.make("smoke", {"data": str(toy.root)}, "test")
    quoted = ['"' + row.query.replace('"', '""') + '"' for row in toy.val]
    script = tmp_path / "evaluation.py"
    script.write_text(SCRIPT.replace("{shift}", "0").replace('["school"]', "sorted(os.listdir(options.db))"))
    run: Any = SimpleNamespace(task=SimpleNamespace(name="text2sql"), config=config, path=tmp_path / "run")
    found, text = official_of_run(
        run, options(official=script), {"prediction": np.array(quoted)}, str(tmp_path / "out")
    )
    assert found["exact_match"]["all"] == found["ours"]["exact_match"] == 1.0
    assert found["count"]["all"] == len(toy.val)
    assert "exact match, script" in text
    assert len((tmp_path / "out" / "official" / "gold.sql").read_text().splitlines()) == len(toy.val)


def test_a_run_of_another_task_is_refused(tmp_path: Path) -> None:
    run: Any = SimpleNamespace(task=SimpleNamespace(name="ner"), path=tmp_path)
    with pytest.raises(UserError, match="a run of ner"):
        refuse_of_other_task(run, options(official=tmp_path / "evaluation.py"))
