"""Columns of texts that are numbers: '1,200', '$900', '5 %', 'n/a' among them, or plain '12' in a column of texts.

SQLite orders and compares texts letter by letter ('7' after '12') and adds '1,200' as 1 and '$900' as 0. A column of
which each cell reads as a number, in one form, gets the SQL expression of that number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from normlab.data.sql.kept_open import bounded_rows, kept_open, reading
from normlab.data.sql.schema import Schema
from normlab.data.sql.sqlite_schema import quoted
from normlab.data.text.word_forms import words_of

_LOOKED_AT = 50_000
"""Rows of a column, its first ones, each of which must hold a number or no value."""
_BLANKS = frozenset(("", "-", "--", "\u2013", "\u2014", "n/a", "#n/a", "na", "n.a.", "nan", "null", "none", "nil", "?"))
"""What people write where there is no number."""
_MOST_BLANKS = 8
_UNIT = r"(?:[$\u20ac\u00a3\u00a5\u20b9]|USD|EUR|GBP|CHF|JPY)"
_WHOLE = r"(?:0|[1-9]\d{0,14})"  # 007 and numbers of 16 digits are names of something
_AMOUNT = r"\s*[+-]?(?P<before>{unit}?)\s?(?P<number>[+-]?(?:{number}))\s?(?P<after>(?:%|{unit})?)\s*"
_GROUPS = r"[1-9]\d{{0,2}}(?:(?P<by>[{by} \u00a0\u202f])\d{{3}})(?:(?P=by)\d{{3}})*"
_POINT = re.compile(_AMOUNT.format(unit=_UNIT, number=rf"{_WHOLE}(?:\.\d+)?|{_GROUPS.format(by=',')}(?:\.\d+)?|\.\d+"))
_COMMA = re.compile(_AMOUNT.format(unit=_UNIT, number=rf"{_WHOLE}(?:,\d+)?|{_GROUPS.format(by='.')}(?:,\d+)?"))


@dataclass(frozen=True)
class NumberForm:
    """How a column's texts are read as numbers.

    Attributes:
        sql: the number, an integer, a float or NULL; {c} stands for the column.
        plain: whether the texts are nothing but digits, signs and points.
        example: a cell that is not plain, "" where all are.
        blanks: the cells that stand for no value, as they are spelled.
    """

    sql: str
    plain: bool = True
    example: str = ""
    blanks: tuple[str, ...] = ()

    def number_of(self, column: str) -> str:
        """Return SQL for the number that a column holds."""
        return self.sql.replace("{c}", column)


def number_form(cells: Sequence[object]) -> NumberForm | None:
    """Return the form of a column's cells without its NULLs; None if there is no text, or one that is no number.

    1,200 is twelve hundred, unless other cells, such as 1,5 or 1.200,50, tell that the comma parts decimals. Amounts
    in two currencies, or percentages beside plain numbers, are in no one form.
    """
    stored = [str(cell) for cell in cells if isinstance(cell, int | float)]
    texts = dict.fromkeys(cell for cell in cells if isinstance(cell, str))
    blanks = tuple(text for text in texts if text.strip().lower() in _BLANKS)
    numbers = [*(text for text in texts if text.strip().lower() not in _BLANKS), *stored]
    if not texts or not numbers or len(blanks) > _MOST_BLANKS or any(isinstance(cell, bytes) for cell in cells):
        return None
    for pattern, point in ((_POINT, "."), (_COMMA, ",")):
        matches = [match for match in map(pattern.fullmatch, numbers) if match]
        if len(matches) == len(numbers):
            return _form_of(matches, point, blanks)
    return None


def odd_text(cells: Sequence[object]) -> str:
    """Return a text of a column whose cells are mostly numbers, in no one form; "" for any other column."""
    texts = [cell for cell in cells if isinstance(cell, str) and cell.strip().lower() not in _BLANKS]
    odd = [text for text in texts if not _POINT.fullmatch(text)]
    return odd[0] if odd and 2 * len(odd) < len(texts) else ""


def _form_of(matches: list[re.Match[str]], point: str, blanks: tuple[str, ...]) -> NumberForm | None:
    units = {match["before"] + match["after"] for match in matches}
    if len(units - {""}) > 1 or ("%" in units and len(units) > 1):
        return None
    sql = "{c}"
    for blank in blanks:
        sql = f"nullif({sql}, {_text(blank)})"
    marks = {match["before"] for match in matches} | {match["by"] or "" for match in matches}
    for mark in sorted(marks - {""}):
        sql = f"replace({sql}, {_text(mark)}, '')"
    decimals = any(point in match["number"] for match in matches)
    if decimals and point == ",":
        sql = f"replace({sql}, ',', '.')"
    odd = [match.group() for match in matches if match["number"] != match.group() or match["by"] or point == ","]
    sql = f"CAST({sql} AS {'REAL' if decimals else 'INTEGER'})"
    return NumberForm(sql, plain=not odd, example=odd[0] if odd else "", blanks=blanks)


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def typed_by_cells(path: Path, schema: Schema) -> Schema:
    """Return a schema in which columns of texts that are numbers are of the type "number".

    A program that reads files without types, such as `sqlite3`'s .import, makes texts of all columns. Keys, codes and
    columns of few different numbers, which are mostly names of something, keep their type.

    Raises: `UserError` if the file cannot be opened.
    """
    numbers = NumberColumns(path)
    keys = {*schema.primary_keys, *(column for pair in schema.foreign_keys for column in pair)}
    columns = list(schema.columns)
    with kept_open(path):
        for number, column in enumerate(columns):
            if column.type not in ("text", "others") or column.table < 0 or number in keys:
                continue
            if _NAMES & {*words_of(column.natural)[-1:]}:
                continue
            cells = numbers.cells(schema.tables[column.table].name, column.name, _FEW_ROWS)
            if len(cells) >= _FEW_DIFFERENT and number_form(cells) is not None:
                columns[number] = replace(column, type="number")
    return replace(schema, columns=tuple(columns))


_NAMES = frozenset(("id", "code", "zip", "postcode", "phone", "fax", "mobile", "isbn", "ean", "ssn", "yn", "section"))
"""Last words of columns whose numbers are names."""
_FEW_ROWS = 200
_FEW_DIFFERENT = 3


class NumberColumns:
    """Columns of one database; each is looked at once.

    Args:
        path: the SQLite file; it is only read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cells: dict[tuple[str, str, int], list[object]] = {}
        self._forms: dict[tuple[str, str], NumberForm | None] = {}

    def form(self, table: str, column: str) -> NumberForm | None:
        """Return the form of a column's numbers, None for a column of anything but texts that are numbers.

        Raises: `UserError` if the file cannot be opened.
        """
        name = table.lower(), column.lower()
        if name not in self._forms:
            # Ten cells tell of most columns that they are texts.
            few = number_form(self.cells(table, column, 10))
            self._forms[name] = few and number_form(self.cells(table, column))
        return self._forms[name]

    def cells(self, table: str, column: str, rows: int = _LOOKED_AT) -> list[object]:
        """Return the different cells of a column's first rows but NULL; none where they cannot be read in a second."""
        key = table.lower(), column.lower(), rows
        if key not in self._cells:
            self._cells[key] = self._read(table, column, rows)
        return self._cells[key]

    def _read(self, table: str, column: str, rows: int) -> list[object]:
        first = f"SELECT t.{quoted(column)} AS c FROM {quoted(table)} AS t LIMIT {rows}"
        with reading(self._path) as connection:
            found = bounded_rows(connection, f"SELECT DISTINCT c FROM ({first}) WHERE c IS NOT NULL")
        return [cell for (cell,) in found or ()]
