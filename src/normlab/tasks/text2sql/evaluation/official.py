"""Running the user's own copy of Spider's `evaluation.py`, for those who must show that script's numbers.

It runs as a process of its own, on copies of the databases, because it opens them for writing and commits
whatever a prediction drops. NLTK and its data are that script's affair: what it lacks is said in one line.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from normlab.data.sql.spider import find_database, one_line
from normlab.errors import UserError
from normlab.tasks.text2sql.evaluation.scores import LEVELS

NO_PREDICTION = "(no prediction)"
"""Stands for an empty prediction: it neither parses nor runs, and keeps the two files in step."""


@dataclass(frozen=True)
class OfficialScores:
    """What the script printed: the whole text, and its main rows as level -> number."""

    text: str
    count: dict[str, int]
    exact_match: dict[str, float]
    execution: dict[str, float]


def write_official_files(
    folder: Path | str, gold: Iterable[tuple[str, str]], predicted: Sequence[str]
) -> tuple[Path, Path]:
    """Write `gold.sql` (SQL<TAB>db_id) and `predicted.sql` (one query a line); return their paths.

    Args:
        gold: (SQL, db_id) in the order of `predicted`.
    Raises: ValueError if the two differ in number.
    """
    rows = list(zip(gold, predicted, strict=True))
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    gold_path, predicted_path = target / "gold.sql", target / "predicted.sql"
    _write(gold_path, "".join(f"{one_line(sql)}\t{db_id}\n" for (sql, db_id), _ in rows))
    _write(predicted_path, "".join(f"{one_line(answer) or NO_PREDICTION}\n" for _, answer in rows))
    return gold_path, predicted_path


def run_official(
    script: Path | str,
    gold: Path | str,
    predicted: Path | str,
    *,
    tables: Path | str,
    databases: Path | str,
    etype: Literal["all", "match", "exec"] = "all",
    python: str = sys.executable,
    seconds: float = 3600.0,
) -> OfficialScores:
    """Run the official script on two files and read its table.

    Args:
        script: the user's `evaluation.py`, with its `process_sql.py` beside it.
        gold, predicted: files as `write_official_files` writes them.
        databases: folder of `<db_id>/<db_id>.sqlite`; copies of those needed are used.
        python: the interpreter that has NLTK.
        seconds: the script has no deadline of its own; this one ends it.
    Raises: `UserError` if a file is missing, or the script fails or prints no table.
    """
    named: dict[str, Path | str] = {"script": script, "gold": gold, "predicted": predicted, "tables": tables}
    paths = {name: Path(path).resolve() for name, path in named.items()}
    for path in paths.values():
        if not path.is_file():
            raise UserError(f"no file at {path}: check the path")
    with tempfile.TemporaryDirectory() as scratch:
        _copy_databases(paths["gold"], Path(databases), Path(scratch))
        command = [
            python,
            str(paths["script"]),
            "--gold",
            str(paths["gold"]),
            "--pred",
            str(paths["predicted"]),
        ]
        command += ["--db", scratch, "--table", str(paths["tables"]), "--etype", etype]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            raise UserError(f"{script} did not end within {seconds:.0f} s: a prediction may never end") from None
    if done.returncode:
        raise UserError(f"{script} failed: {_reason(done.stderr)}")
    return _read_table(done.stdout, script)


def _copy_databases(gold: Path, databases: Path, scratch: Path) -> None:
    names = {line.rstrip("\n").rpartition("\t")[2].strip() for line in gold.open(encoding="utf-8") if line.strip()}
    for name in sorted(names):
        source = find_database(databases, name)
        if source is None:
            raise UserError(f"no database {databases / name / name}.sqlite: the official script needs its schema")
        (scratch / name).mkdir()
        shutil.copyfile(source, scratch / name / source.name)


def _reason(stderr: str) -> str:
    """The last line of a traceback, and the usual fix."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if re.match(r"[\w.]+(Error|Exception)\b", line)), "")
    fix = "install nltk and its punkt_tab data for that interpreter" if "nltk" in stderr else "see its traceback"
    return f"{last or (lines[-1] if lines else 'no message')}; {fix}"


def _read_table(text: str, script: Path | str) -> OfficialScores:
    lines = text.splitlines()
    header = [number for number, line in enumerate(lines) if tuple(line.split()) == LEVELS]
    if not header:
        raise UserError(f"{script} printed no table: is it Spider's evaluation.py?")
    cells: dict[str, list[str]] = {}
    for line in lines[header[-1] :]:
        match = re.match(r"(count|exact match|execution) {2,}(.*)", line)
        if match:
            cells[match[1]] = match[2].split()
    return OfficialScores(
        text,
        count={level: int(cell) for level, cell in zip(LEVELS, cells.get("count", []), strict=False)},
        exact_match=_fractions(cells.get("exact match", [])),
        execution=_fractions(cells.get("execution", [])),
    )


def _fractions(cells: list[str]) -> dict[str, float]:
    return {level: float(cell) for level, cell in zip(LEVELS, cells, strict=False)}


def _write(path: Path, text: str) -> None:
    """All or nothing: another process never sees half a file."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
