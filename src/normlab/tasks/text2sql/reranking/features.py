"""What speaks for and against each hypothesis of a question: numbers that need no query to be run.

They say how probable the model finds it, what of the question it leaves out, what it names that no word stands for, and
where its keywords and the question's words contradict each other ("at least" without a comparison, an average that
nobody asked for). A decoder that writes one action after the other weighs each by itself; these look at the whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from normlab.data.sql.schema import Schema
from normlab.tasks.text2sql.linking.linker import PARTIAL, STEM, Linked
from normlab.tasks.text2sql.linking.stop_words import STOP_WORDS
from normlab.tasks.text2sql.model.decoding import Answer


class Cue(NamedTuple):
    """Words that ask for something, and the keywords by which a query does it."""

    asked: re.Pattern[str]
    written: frozenset[str]


def _cue(asked: str, written: str) -> Cue:
    return Cue(re.compile(rf"\b(?:{asked})\b"), frozenset(written.split()))


_COMPARED = "> < >= <="
CUES = {
    "count": _cue("how many|number of|count|total number", "count"),
    "average": _cue("average|mean|avg", "avg"),
    "sum": _cue("total|sum|overall", "sum"),
    "maximum": _cue(r"max\w*|most|highest|largest|biggest|oldest|longest|greatest|latest|top", "max"),
    "minimum": _cue(r"min\w*|least|fewest|lowest|smallest|youngest|shortest|earliest", "min"),
    "superlative": _cue(r"\w+est|most|least|top|max\w*|min\w*", "order max min"),
    "order": _cue(r"order\w*|sort\w*|descending|ascending|alphabet\w*|rank\w*|list\w* .* by", "order"),
    "group": _cue("each|every|per|by", "group"),
    "distinct": _cue("distinct|different|unique", "distinct"),
    "negation": _cue(r"not|no|never|without|except|neither|\w+n't", "not except !="),
    "alternative": _cue("or|either", "or union"),
    "both": _cue("both|and also|as well as", "intersect"),
    "limit of a group": _cue("more than|at least|less than|fewer|multiple|several|greater", f"having {_COMPARED}"),
    "part of a text": _cue(r"contain\w*|start\w*|begin\w*|end\w*|substring|prefix|include\w*", "like"),
    "between": _cue("between", "between"),
    "comparison": _cue("above|below|over|than|after|before", _COMPARED),
}
_OF_THE_QUERY = (
    "log probability",
    "most probable",
    "tens of actions",
    "named columns left out",
    "named tables left out",
    "values left out",
    "columns without a word",
    "columns with part of a name",
    "tables without a word",
    "tables",
    "values whose column is left out",
    "nested queries",
    "where",
)
NAMES = (*_OF_THE_QUERY, *(f"{cue}: {case}" for cue in CUES for case in ("asked alone", "written alone")))
_SAID = frozenset({"cell", "quoted", "number", "date"})  # kinds of values that a query rarely leaves out
_MOST_VALUES = 3


def features(linked: Linked, schema: Schema, answers: Sequence[Answer]) -> np.ndarray:
    """Return a row of numbers for each hypothesis, (answers, len(NAMES)).

    Args:
        linked: the question and what its words name in the schema.
        schema: what the hypotheses' actions name.
        answers: the hypotheses, with their actions.
    """
    question = linked.question.lower()
    asked = [bool(cue.asked.search(question)) for cue in CUES.values()]
    most = max((answer.log_prob for answer in answers), default=0.0)
    rows = []
    for answer in answers:
        own = [answer.log_prob, float(answer.log_prob == most), len(answer.actions) / 10]
        rows.append([*own, *_coverage(linked, schema, answer), *_keywords(answer, asked)])
    return np.array(rows, dtype=float).reshape(len(answers), len(NAMES))


def _coverage(linked: Linked, schema: Schema, answer: Answer) -> list[float]:
    """What the question names and the query leaves out, and the other way round."""
    tables, columns = np.zeros(len(schema.tables), dtype=bool), np.zeros(len(schema.columns), dtype=bool)
    for kind, what in answer.actions:
        if kind == "table":
            tables[int(what)] = True
        elif kind == "column":
            columns[int(what)] = True
    columns[0] = False  # `*`
    owners = {schema.columns[number].table for number in columns.nonzero()[0]}
    names_table, names_column = linked.table_links >= STEM, linked.column_links[:, 1:] >= STEM
    says_table, says_column = names_table.any(1), names_column.any(1)
    met = (names_table & tables).any(1) | (names_column & columns[1:]).any(1)
    content = np.array([word not in STOP_WORDS for word in linked.words], dtype=bool)
    of_column, of_table = linked.column_links.max(0, initial=0), linked.table_links.max(0, initial=0)
    without_cell = columns & ~linked.cell_links.any(0)
    values = {str(what) for kind, what in answer.actions if kind == "value"}
    return [
        float((content & says_column & ~says_table & ~met).sum()),
        float((content & says_table & ~met).sum()),
        float(min(_values_left_out(linked, values), _MOST_VALUES)),
        float((without_cell & (of_column < PARTIAL)).sum()),
        float((without_cell & (of_column == PARTIAL)).sum()),
        float(sum(of_table[number] < STEM and number not in owners for number in tables.nonzero()[0])),
        float(tables.sum()),
        float(sum(v.sql in values and bool(v.columns) and not columns[[*v.columns]].any() for v in linked.values)),
    ]


def _values_left_out(linked: Linked, used: set[str]) -> int:
    """How many values of the question stand in no words of a value that the query names."""
    spans = [(value.start, value.end) for value in linked.values if value.sql in used]
    return sum(
        value.kind in _SAID
        and value.end > value.start
        and value.sql not in used
        and not any(start < value.end and value.start < end for start, end in spans)
        for value in linked.values
    )


def _keywords(answer: Answer, asked: Sequence[bool]) -> list[float]:
    words = [str(what) for kind, what in answer.actions if kind == "word"]
    written = [not cue.written.isdisjoint(words) for cue in CUES.values()]
    contradictions = [float(case) for a, w in zip(asked, written, strict=True) for case in (a and not w, w and not a)]
    return [float(words.count("select") - 1), float("where" in words), *contradictions]
