"""Files of queries to be scored: lines, as the official script reads them, and the predictions of BIRD's script."""

from __future__ import annotations

from pathlib import Path

from normlab.data.sql.spider import one_line
from normlab.data.text.csv_rows import decoded_lines
from normlab.errors import UserError, shortened
from normlab.json_file import read_json
from normlab.plurals import plural

_MOST = 1_000_000  # questions: each number up to the largest is a prediction, if a missing one


def read_predictions(path: Path | str) -> list[str]:
    """Return the predicted queries of a file, in the order of its questions.

    Args:
        path: one query a line, what follows a tab is ignored; or .json: a list of queries, or BIRD's object of the
            question's number -> "SQL<TAB>----- bird -----<TAB>db_id".
    Raises: `UserError` naming file and place.
    """
    file = Path(path)
    if file.suffix.lower() != ".json" or not file.exists():
        return [fields[0] for _, fields in read_lines(file)]
    values = read_json(file)
    if isinstance(values, list):
        numbered = dict(enumerate(values))
    elif isinstance(values, dict) and all(str(key).isdecimal() for key in values):
        numbered = {int(key): value for key, value in values.items()}
    else:
        raise UserError(f"{file}: holds no queries: write a list of texts, or an object of numbers and texts as BIRD's")
    if not numbered:
        raise UserError(f"{file} holds no queries: write a list of texts")
    if max(numbered) >= _MOST:
        raise UserError(f"{file}: query {shortened(max(numbered))}: number the questions from 0, below {_MOST:,}")
    for number, value in numbered.items():
        if not isinstance(value, str):
            raise UserError(f"{file}: query {number} is no text: write it in quotes")
    # A number that is missing is a prediction that is missing: the others keep their questions.
    return [
        one_line(numbered.get(number, "").partition("\t----- bird -----")[0]) for number in range(max(numbered) + 1)
    ]


def read_lines(path: Path | str) -> list[tuple[int, list[str]]]:
    """Return non-blank lines, stripped and split at tabs, with their numbers."""
    file = Path(path)
    if not file.exists():
        raise UserError(f"no file at {file}: check the path")
    pieces = (piece for line in decoded_lines(file) for piece in line.rstrip("\r\n").split("\r"))
    lines = [(number, line.strip().split("\t")) for number, line in enumerate(pieces, start=1) if line.strip()]
    if not lines:
        raise UserError(f"{file} holds no queries: write one a line")
    return lines


def line_up(gold: Path | str, predicted: Path | str, golds: int, predictions: int) -> list[str]:
    """Return a note if the two files differ in length."""
    if golds == predictions:
        return []
    return [
        f"{predicted} has {plural(predictions, 'query', 'queries')} for {golds} in {gold}: they are "
        "paired in order, as by the official script, and the rest is left out; write some text for an empty prediction"
    ]
