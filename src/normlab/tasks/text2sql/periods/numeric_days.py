"""Days that a question writes in numbers, "03/15/2018" or "15.3.2018", as ISO dates, which `period.py` reads.

Whether 3/4/2018 is in March or in April is decided by the form of the database's own dates. Without one only a day that
can be nothing else is read, and with dots, where the day stands first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from normlab.data.sql.date_forms import TEXTS, DateForm

_DAY = re.compile(r"(?<![\w/.-])\d{1,4}([/.-])\d{1,2}\1\d{1,4}(?![\w/-]|\.\d)")
_ISO = re.compile(r"\d{4}-\d\d-\d\d")


def in_iso(question: str, forms: Callable[[], Collection[DateForm]]) -> tuple[str, list[str]]:
    """Return a question with its numeric days as ISO dates, and how they were written.

    Args:
        forms: returns those of the columns of dates that may be meant; called where there is such a day.
    """
    written: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        day = None if _ISO.fullmatch(match.group()) else _day(match.group(), match[1], forms())
        if day is None:
            return match.group()
        written.append(match.group())
        return day

    return _DAY.sub(replaced, question), written


def _day(text: str, sign: str, forms: Collection[DateForm]) -> str | None:
    orders = {_order(form) for form in forms if not form.rivals} & {"DMY", "MDY"}
    if sign == ".":
        orders.add("DMY")
    # Two digits may be one where the database's own form has two.
    readings = {_order(form): day for form in TEXTS if (day := form.iso(text)) is not None and len(_order(form)) == 3}
    if len(set(readings.values())) == 1:
        return next(iter(readings.values()))
    chosen = {readings[order] for order in orders if order in readings}
    return chosen.pop() if len(chosen) == 1 else None


def _order(form: DateForm) -> str:
    """DMY, MDY or YMD of a form of numbers with signs between them; anything else of another form."""
    order, signs = re.subn(r"[/.-]", "", form.kind)
    return order if signs else ""
