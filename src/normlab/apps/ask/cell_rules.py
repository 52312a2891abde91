"""What a database's cells make of a reading: blank ones are left out, texts that are numbers are read as numbers.

A query that adds texts, or compares them with a number by size, returns rows all the same, and wrong ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from normlab.apps.ask.answer import Reading
from normlab.apps.ask.blanks import without_blanks
from normlab.apps.ask.numbers_in_text import Use, sizes_used, with_numbers
from normlab.data.sql.sqlite import QueryError, QueryResult
from normlab.data.sql.text_numbers import NumberColumns, odd_text

Run = Callable[..., QueryResult]
_FEW = 200  # rows that tell whether a column holds texts


@dataclass(frozen=True)
class Checked:
    """A query after the cells were looked at.

    Attributes:
        sql: the query to be run.
        notes: a line for each thing that a reader should know of it.
        wrong: why its rows would be wrong, "" if nothing speaks against it; of: the table and column that say so.
    """

    sql: str
    notes: tuple[str, ...] = ()
    wrong: str = ""
    of: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Looked:
    """Readings after the cells were looked at.

    Attributes:
        readings: best first; those that the cells speak against last, if another one is better.
        notes: of the first one.
        wrong: why even that must not be run, "" if nothing speaks against it.
        passed_over: whether another one stood first.
    """

    readings: list[Reading]
    notes: tuple[str, ...] = ()
    wrong: str = ""
    passed_over: bool = False


class CellRules:
    """The rules over one database.

    Args:
        path: the SQLite file; it is only read.
        run: runs a query on it, with a limit of rows and of seconds.
    """

    def __init__(self, path: Path, run: Run) -> None:
        self._run = run
        self._numbers = NumberColumns(path)

    def look_at(self, readings: Sequence[Reading], named: Callable[[str, str], bool]) -> Looked:
        """Return what becomes of readings, best first; a user's own example stays as it is.

        Args:
            named: (table, column) -> whether the question names it. Who asks for the average of a column of texts gets
                no answer about another column; one that the model chose by mistake is passed over.
        Raises: UserError if the file cannot be opened.
        """
        checked = [Checked(one.sql) if one.by_example else self.check(one.sql) for one in readings]
        pairs = [(replace(one, sql=after.sql), after) for one, after in zip(readings, checked, strict=True)]
        before = checked[0]
        if before.wrong and not named(*before.of):
            pairs.sort(key=lambda pair: bool(pair[1].wrong))
        first = pairs[0][1]
        notes = first.notes
        passed_over = bool(before.wrong) and not first.wrong
        if passed_over:
            notes = (f"a better-ranked reading is passed over ({before.wrong}): {before.sql}", *notes)
        return Looked([one for one, _ in pairs], notes, first.wrong, passed_over)

    def check(self, sql: str) -> Checked:
        """Return what becomes of a query. Raises: UserError if the file cannot be opened."""
        wrong, of = self._wrong(sql)
        if wrong:
            return Checked(sql, wrong=wrong, of=of)
        text, blank = without_blanks(sql, self._has_blanks)
        text, uses = with_numbers(text, self._numbers.form)
        notes = [f"rows without {blank} are left out"] if blank else []
        if uses:
            notes.append(f"texts are read as numbers: {', '.join(dict.fromkeys(map(self._read_as, uses)))}")
        return Checked(text, (*notes, *self._sorted_as_texts(text)))

    def _has_blanks(self, table: str, column: str) -> bool:
        try:
            found = self._run(f"SELECT 1 FROM {table} WHERE {column} IS NULL", limit=1, seconds=1.0)
        except QueryError:
            return False
        return bool(found.rows)

    def _read_as(self, use: Use) -> str:
        form = self._numbers.form(use.table, use.column)
        assert form is not None
        told = [f"such as '{form.example}'"] if form.example else []
        told += [f"'{text}' as no value" for text in form.blanks if text.strip()]
        return f"{use.table}.{use.column}" + (f" ({', '.join(told)})" if told else "")

    def _wrong(self, sql: str) -> tuple[str, tuple[str, str]]:
        for use in sizes_used(sql):
            if (use.how == "added" or use.number) and self._numbers.form(use.table, use.column) is None:
                cells = self._numbers.cells(use.table, use.column, _FEW)
                texts = [cell for cell in cells if isinstance(cell, str)]
                if 2 * len(texts) > len(cells):
                    odd = odd_text(cells) or texts[0]
                    done = "added or averaged" if use.how == "added" else f"compared with {use.number}"
                    why = f"{use.table}.{use.column} holds texts such as '{odd[:40]}', which cannot be {done}"
                    return why, (use.table, use.column)
        return "", ("", "")

    def _sorted_as_texts(self, sql: str) -> Iterator[str]:
        """A line for each column that is sorted letter by letter though most of its cells are numbers."""
        for use in sizes_used(sql):
            if use.how == "sorted" and (odd := odd_text(self._numbers.cells(use.table, use.column, _FEW))):
                yield f"{use.table}.{use.column} is sorted letter by letter: '{odd[:40]}' is no number of one form"
