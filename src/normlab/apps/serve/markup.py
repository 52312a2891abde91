"""Values -> HTML: bars, tables, cards, notes. Pure functions; whatever comes from a user is escaped here.

The classes that start with `nl-` are styled in `page.css`.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from normlab.plurals import plural

LONGEST_CELL = 200  # characters shown of a table's cell
# Gradio fills templates with what it is given, and both signs mean something there.
_TEMPLATE_SIGNS = str.maketrans({"{": "&#123;", "}": "&#125;", "$": "&#36;"})


def escaped(value: object) -> str:
    """Return text that shows as it is, and is nothing else, inside an element or a quoted attribute."""
    return html.escape(str(value)).translate(_TEMPLATE_SIGNS)


def percent(share: float) -> str:
    """Return a probability as people read it: what a model gives is never quite certain, only rounded to 0 or 1."""
    if share >= 0.9995:
        return "> 99.9 %"
    if share < 0.0005:
        return "< 0.1 %"
    return f"{100 * share:.1f} %"


def bars(shares: Mapping[str, float], *, most: int = 5) -> str:
    """Return the largest of some probabilities as bars, largest first."""
    best = sorted(shares.items(), key=lambda item: -item[1])[:most]
    lines = (
        f'<div class="nl-bar"><span>{escaped(name)}</span><span class="nl-track">'
        f'<span style="width:{100 * share:.1f}%"></span></span><b>{percent(share)}</b></div>'
        for name, share in best
    )
    return "".join(lines)


def cards(contents: Iterable[str]) -> str:
    """Return boxes side by side, as many in a line as the window has room for."""
    return f'<div class="nl-cards">{"".join(f"<section>{content}</section>" for content in contents)}</div>'


def table(columns: Sequence[object], rows: Iterable[Sequence[str]], *, caption: str = "", kind: str = "") -> str:
    """Return a table that scrolls sideways where it is too wide; `rows` are HTML already, `kind` is a further class."""
    head = "".join(f'<th scope="col">{escaped(column)}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    title = f"<caption>{escaped(caption)}</caption>" if caption else ""
    inside = f"{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="nl-scroll {kind}" tabindex="0"><table>{inside}</table></div>'


def value_cell(value: Any) -> str:
    """Return a value out of a database as a cell: NULL is marked, bytes are counted, long text is cut."""
    if value is None:
        return '<span class="nl-soft">NULL</span>'
    text = plural(len(value), "byte") if isinstance(value, bytes) else str(value)
    return escaped(text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…")


def heading(text: str, remark: str = "") -> str:
    """Return a heading with a remark below it."""
    return f"<h3>{escaped(text)}</h3>" + (f'<p class="nl-soft">{escaped(remark)}</p>' if remark else "")


def notes(lines: Iterable[str]) -> str:
    """Return remarks, one a line; "" for none."""
    items = "".join(f"<li>{escaped(line)}</li>" for line in lines)
    return f'<ul class="nl-notes">{items}</ul>' if items else ""


def mistake(line: str) -> str:
    """Return the one line that says what is wrong and what helps."""
    return f'<p class="nl-mistake" role="alert">{escaped(line)}</p>'
