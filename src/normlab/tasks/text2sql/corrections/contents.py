"""What a database's columns hold, as far as rules need it: dates, yes and no, texts, values that are all different."""

from __future__ import annotations

from pathlib import Path

from normlab.data.sql.date_columns import DateColumns, sample
from normlab.data.sql.date_forms import DateForm
from normlab.data.sql.kept_open import reading
from normlab.data.sql.schema import Schema
from normlab.data.sql.sqlite import SQLITE_ERRORS

_YES_NO = (("yes", "no"), ("y", "n"), ("true", "false"), ("t", "f"), ("1", "0"))


class Contents:
    """Columns of one database; each is looked at once.

    Args:
        path: the SQLite file; it is only read. Whose columns are asked about says `of`.
        dates: its columns of dates, if they are known already.
    """

    def __init__(self, path: Path, dates: DateColumns | None = None) -> None:
        self._path = path
        self._dates = dates or DateColumns(path)
        self._samples: dict[tuple[str, str], list[object]] = {}
        self._flags: dict[tuple[str, str], tuple[str, str] | None] = {}
        self._schema: Schema | None = None

    def of(self, schema: Schema) -> Contents:
        """Return it for a schema of this database, or a part of one: columns are known by names, numbered as there."""
        view = Contents(self._path, self._dates)
        view._samples, view._flags, view._schema = self._samples, self._flags, schema
        return view

    def is_date(self, column: int) -> bool:
        """Tell whether the cells looked at are all dates, in one form that is known."""
        return self.date_form(column) is not None

    def date_form(self, column: int) -> DateForm | None:
        """Return the form of a column's dates, None for any other column."""
        return self._dates.form(self.schema, column) if column else None

    def odd_date(self, column: int) -> str:
        """Return a cell of a column of dates in several forms, or one that is not known; "" for any other column."""
        return self._dates.odd(self.schema, column) if column else ""

    def is_year(self, column: int) -> bool:
        """Tell whether the cells looked at are all whole numbers that look like years."""
        cells = self._cells(column)
        return bool(cells) and all(isinstance(cell, int) and 1000 <= cell <= 2100 for cell in cells)

    def flags(self, column: int) -> tuple[str, str] | None:
        """Return the SQL texts of yes and no, of a column whose cells are nothing else; None for any other."""
        name = self._name(column)
        if name not in self._flags:
            self._flags[name] = self._flags_of(column)
        return self._flags[name]

    def texts(self, column: int) -> list[str]:
        """Return the different texts of the cells looked at."""
        return list(dict.fromkeys(cell for cell in self._cells(column) if isinstance(cell, str)))

    def holds_text(self, column: int) -> bool:
        """Tell whether a cell looked at is a text, or none was seen."""
        cells = self._cells(column)
        return not cells or any(isinstance(cell, str) for cell in cells)

    def is_unique(self, column: int) -> bool:
        """Tell whether the cells looked at are all different."""
        cells = self._cells(column)
        return len(set(cells)) == len(cells)

    def newest(self, column: int) -> str | None:
        """Return the largest cell of those looked at."""
        return max((cell for cell in self._cells(column) if isinstance(cell, str)), default=None)

    @property
    def schema(self) -> Schema:
        """The schema whose columns are asked about."""
        assert self._schema is not None, "see `of`"
        return self._schema

    def _flags_of(self, column: int) -> tuple[str, str] | None:
        cells = self._cells(column)
        texts = {str(cell).lower() for cell in cells}
        for yes, no in _YES_NO:
            if texts and texts <= {yes, no} and (len(texts) == 2 or self.schema.columns[column].type == "boolean"):
                spelled = {str(cell).lower(): cell for cell in cells}
                return tuple(_constant(spelled.get(text, text), cells[0]) for text in (yes, no))  # type: ignore[return-value]
        return None

    def _cells(self, column: int) -> list[object]:
        name = self._name(column)
        if name not in self._samples:
            with reading(self._path) as connection:
                try:
                    self._samples[name] = sample(connection, self.schema, column)
                except SQLITE_ERRORS:
                    self._samples[name] = []
        return self._samples[name]

    def _name(self, column: int) -> tuple[str, str]:
        one = self.schema.columns[column]
        return self.schema.tables[one.table].name, one.name


def _constant(cell: object, like: object) -> str:
    text = str(cell).replace("'", "''")
    return f"'{text}'" if isinstance(like, str) else text
