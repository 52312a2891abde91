"""Questions of the leading variant: linked names, gold query, predicted query, and the rows that each returns."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import Any

from normlab.plurals import plural
from normlab.report.blocks import Block, Piece, Queries, Query, Section, Text
from normlab.report.comparing import leading
from normlab.report.numbers import DASH
from normlab.report.tagged import SPLIT_NAMES, measured_split, tables_of
from normlab.report.view import StudyView

MAX_CHARACTERS = 400_000
"""Of text in all the questions of one report: about the size of a photograph."""
_SQL, _CELL, _NAMES, _BEAM, _COLUMNS = 700, 60, 12, 7, 8
_HELP = (
    "Questions from all over the split, two wrong ones for each right one, of the leading variant's first finished "
    'seed. "Right" is exact match; "right rows, other SQL" returns gold\'s rows by another query. What only one of '
    "the two queries has is marked. Linked are the tables and columns that words of the question name, and the "
    "constants that the decoder may write. The number before a hypothesis is its score: the log-probability, over a "
    "power of the length if a length penalty is set. Of long results the first rows are shown. The search looks in "
    "questions, SQL, names and rows."
)


def section(view: StudyView) -> Section | None:
    """Show the examples that the run has kept, up to a size."""
    split = measured_split(view)
    best = leading(view)
    tables = tables_of(best, split, "examples") if best else []
    if best is None or not tables or not tables[0]:
        return None
    items = fitting([query_of(entry) for entry in tables[0]])
    blocks: list[Block] = []
    if len(items) < len(tables[0]):
        blocks.append(
            Text(f"The first {len(items)} of {plural(len(tables[0]), 'kept question')}, for size.", tone="note")
        )
    blocks.append(Queries("examples", items))
    return Section("examples", f"Questions and answers, {SPLIT_NAMES[split]}: {best.label}", blocks, help=_HELP)


def query_of(entry: dict[str, Any]) -> Query:
    """Return an example of a run's tables as it is shown; parts that an older run lacks are left out."""
    gold, predicted = _cut(entry["gold"], _SQL), _cut(entry["prediction"], _SQL)
    verdict = "right" if entry["exact"] else "rows" if entry.get("executed") else "wrong"
    facts = {
        "Tables:": entry.get("linked_tables", []),
        "Columns:": entry.get("linked_columns", []),
        "Constants:": entry.get("values", []),
        "Error:": [entry["error"]] if entry.get("error") else [],
    }
    return Query(
        question=_cut(entry["question"], _SQL),
        database=str(entry["db_id"]),
        level=entry.get("hardness") or "",
        verdict=verdict,
        facts=[(name, _listed(names)) for name, names in facts.items() if names],
        gold=compared(gold, predicted),
        predicted=compared(predicted, gold),
        alternatives=[
            (f"{one['score']:.2f}", _cut(one["sql"], _SQL)) for one in entry.get("alternatives", [])[1:_BEAM]
        ],
        gold_rows=_rows(entry.get("gold_rows")),
        predicted_rows=_rows(entry.get("rows")),
    )


def compared(sql: str, other: str) -> list[Piece]:
    """Return a query in pieces, marked where the other one differs; case does not count."""
    words, others = sql.split(), other.split()
    matcher = SequenceMatcher(None, [w.lower() for w in words], [w.lower() for w in others], autojunk=False)
    pieces, position = [], 0
    for block in matcher.get_matching_blocks():
        if differing := " ".join(words[position : block.a]):
            pieces.append(Piece(differing, wrong=True))
        if same := " ".join(words[block.a : block.a + block.size]):
            pieces.append(Piece(same))
        position = block.a + block.size
    return pieces


def fitting(items: list[Query]) -> list[Query]:
    """Return the first items whose text together stays below the cap."""
    total, chosen = 0, []
    for item in items:
        total += _size(item)
        if total > MAX_CHARACTERS:
            break
        chosen.append(item)
    return chosen


def _size(item: Query) -> int:
    rows = [*(item.gold_rows or []), *(item.predicted_rows or [])]
    texts = [item.question, *(text for pair in (*item.facts, *item.alternatives) for text in pair)]
    texts += [piece.text for piece in (*item.gold, *item.predicted)] + [cell for row in rows for cell in row]
    return sum(map(len, texts))


def _rows(rows: list[list[Any]] | None) -> list[list[str]] | None:
    if rows is None:
        return None
    return [[DASH if cell is None else _cut(str(cell), _CELL) for cell in row[:_COLUMNS]] for row in rows]


def _listed(names: list[Any]) -> str:
    rest = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(_cut(str(name), _CELL * 2) for name in names[:_NAMES]) + rest


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"
