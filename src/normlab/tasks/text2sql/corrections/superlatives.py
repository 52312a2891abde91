"""The most and the least: which column "oldest", "cheapest" or "highest wage" sorts by, which way, and how many rows.

A word such as "oldest" names a quality; columns that measure it are known by words of their names and by holding
dates. One that is not certain is left to the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from normlab.data.text.word_forms import stem, words_of
from normlab.tasks.text2sql.corrections.evidence import Evidence
from normlab.tasks.text2sql.corrections.qualities import (
    BIRTH,
    EARNINGS,
    GENERAL,
    PAY,
    QUALITIES,
    SCORES,
    START,
    TIMES,
)
from normlab.tasks.text2sql.linking.linker import PARTIAL, STEM

_MOST_ROWS = 100


@dataclass(frozen=True)
class Superlative:
    """Where it stands in the question, the column that it sorts by, whether downward, how many rows are wanted."""

    place: int
    column: int
    downward: bool
    rows: int


def superlative_of(evidence: Evidence, tables: Sequence[int]) -> Superlative | None:
    """Return the one superlative of a question, over columns of some tables; None for none, several, or a doubt."""
    found = [one for place in range(len(evidence.words)) if (one := _at(evidence, place, tables))]
    return found[0] if len(found) == 1 else None


def _at(evidence: Evidence, place: int, tables: Sequence[int]) -> Superlative | None:
    words = evidence.words
    said = words[place]
    previous, following = words[place - 1] if place else "", words[place + 1] if place + 1 < len(words) else ""
    if evidence.linked.cell_links[place].any() and said not in GENERAL:
        return None
    if following == "first" or (previous == "at" and said in ("least", "most")):  # a whole list; a bound
        return None
    picked: tuple[int, bool] | None = None
    if said in TIMES and (said not in ("recent", "recently") or previous == "most"):
        picked = _by_time(evidence, place, tables)
    elif said in ("first", "last", "latest") and (own := _own_day(evidence, place, tables)) is not None:
        picked = own, said != "first"
    elif said in ("first", "last") and (not following or following in "?." or following == "of"):
        picked = _by_verb(evidence, place, tables, downward=said == "last")
    elif said in QUALITIES and (said != "expensive" or previous in ("most", "least")):
        lexicon, downward = QUALITIES[said]
        downward = downward != (previous == "least")
        picked = _one(_named_after(evidence, place, tables) or measuring(evidence, tables, lexicon), downward)
    elif said in ("most", "least") and says_earned(evidence, place):
        picked = _one(measuring(evidence, tables, f"{PAY} {EARNINGS}"), said == "most")
    elif said in ("best", "worst"):
        scores = {*measuring(evidence, tables, SCORES)}
        picked = _one([c for c in _named_after(evidence, place, tables) if c in scores], said == "best")
    elif said in ("paid", "earning", "earner") and previous in (
        "best",
        "highest",
        "most",
        "lowest",
        "worst",
        "least",
        "top",
    ):
        picked = _one(measuring(evidence, tables, PAY), previous not in ("lowest", "worst", "least"))
    if picked is None and said in GENERAL and following not in ("recent", "expensive", "common", "of", "number"):
        picked = _one(_named_after(evidence, place, tables), GENERAL[said])
    return Superlative(place, *picked, rows=_rows(evidence, place)) if picked else None


def says_earned(evidence: Evidence, place: int) -> bool:
    """Tell whether "earned the" stands before a place."""
    before = evidence.words[max(0, place - 2) : place]
    return bool({*before} & _EARNED) and before[-1] in ("the", *_EARNED)


_EARNED = frozenset(("earned", "earns", "earn", "earning", "grossed", "paid"))


def _one(columns: Sequence[int], downward: bool) -> tuple[int, bool] | None:
    return (columns[0], downward) if len(columns) == 1 else None


def _named_after(evidence: Evidence, place: int, tables: Sequence[int]) -> list[int]:
    """The number column that the words behind a superlative name, or those after "by" or "in terms of"."""
    words = evidence.words
    ways = [range(place + 1, min(place + 4, len(words)))]
    ways += [range(at + 1, min(at + 4, len(words))) for at in range(place, len(words)) if words[at] in ("by", "terms")]
    for places in ways:
        for kind in (STEM, PARTIAL):
            for at in (at for at in places if not evidence.tables_at([at])):
                if words[at] in ("of", "in", "for", "on", "that", "is", "are", "?") and at > places[0]:
                    break
                columns = [
                    c
                    for c in evidence.columns_at([at], kind)
                    if evidence.schema.columns[c].table in tables and is_number(evidence, c)
                ]
                if len(columns) == 1:
                    return columns
    return []


def is_number(evidence: Evidence, column: int) -> bool:
    """Tell whether a column measures: a number or a date, no key, code or yes and no."""
    last = words_of(evidence.schema.columns[column].natural)[-1:]
    if evidence.is_key(column) or evidence.contents.flags(column) or last in (["id"], ["code"], ["number"]):
        return False
    return evidence.schema.columns[column].type == "number" or evidence.contents.is_date(column)


def measuring(evidence: Evidence, tables: Sequence[int], lexicon: str) -> list[int]:
    """Return number columns of some tables with a word of a lexicon in their names."""
    words = set(lexicon.split())
    columns = [c for table in tables for c in evidence.schema.columns_of(table) if is_number(evidence, c)]
    found = [c for c in columns if set(words_of(evidence.schema.columns[c].natural)) & words]
    subject = [c for c in found if evidence.schema.columns[c].table in _subject_tables(evidence)]
    return subject if len(found) > 1 else found


def _subject_tables(evidence: Evidence) -> tuple[int, ...]:
    return evidence.wanted.tables if evidence.wanted else ()


def _by_time(evidence: Evidence, place: int, tables: Sequence[int]) -> tuple[int, bool] | None:
    """Age, or a day or year: of birth or foundation for who is old, any for what is recent."""
    said = evidence.words[place]
    named = [c for c in _named_after(evidence, place, tables) if is_time(evidence, c) or is_age(evidence, c)]
    subject = [t for t in evidence.tables_at(range(place, min(place + 3, len(evidence.words)))) if t in tables]
    among = [c for table in (subject or tables) for c in evidence.schema.columns_of(table)]
    later = TIMES[said]
    if said in ("oldest", "youngest", "eldest"):
        ages = [c for c in among if is_age(evidence, c)]
        if ages:
            return _one(ages, said != "youngest")
        births = [c for c in among if is_time(evidence, c) and _words(evidence, c) & BIRTH]
        if births:
            return _one(births, later)
        starts = [c for c in among if is_time(evidence, c) and _words(evidence, c) & (START | {"year"})]
        return _one(starts, later)
    times = named or [
        c
        for c in among
        if is_time(evidence, c) and not _words(evidence, c) & (BIRTH | {"end", "due", "until", "ended"})
    ]
    if len(times) > 1:
        named_as_table = [c for c in times if _is_own_day(evidence, c)]
        times = named_as_table if len(named_as_table) == 1 else times
        starts = [c for c in times if _words(evidence, c) & (START | {"start", "begin"})]
        times = starts if len(starts) == 1 else times
    return _one(times, later)


def _own_day(evidence: Evidence, place: int, tables: Sequence[int]) -> int | None:
    """The one day of the rows that the next word names: "the last appointment"."""
    named = evidence.tables_at([place + 1] if place + 1 < len(evidence.words) else [])
    if len(named) != 1 or named[0] not in tables or evidence.words[place - 1 : place] != ("the",):
        return None
    columns = evidence.schema.columns_of(named[0])
    days = [c for c in columns if evidence.contents.is_date(c) and not _words(evidence, c) & BIRTH]
    return days[0] if len(days) == 1 else None


def _is_own_day(evidence: Evidence, column: int) -> bool:
    """Whether a column of days is called as its table, `order_date` of orders, or just `date`."""
    table = words_of(evidence.schema.tables[evidence.schema.columns[column].table].natural)
    rest = {stem(word) for word in words_of(evidence.schema.columns[column].natural)} - {*map(stem, table)}
    return rest <= {"dat", "day", "tim"}


def _by_verb(evidence: Evidence, place: int, tables: Sequence[int], *, downward: bool) -> tuple[int, bool] | None:
    """ "opened first", "joined last": the day or year that the verb names."""
    near = range(max(0, place - 2), place)
    times = [
        c
        for c in evidence.columns_at(near, PARTIAL)
        if evidence.schema.columns[c].table in tables and is_time(evidence, c)
    ]
    return _one(times, downward)


def _words(evidence: Evidence, column: int) -> set[str]:
    return set(words_of(evidence.schema.columns[column].natural))


def is_age(evidence: Evidence, column: int) -> bool:
    """Tell whether a column holds ages."""
    return evidence.schema.columns[column].type == "number" and "age" in _words(evidence, column)


def is_time(evidence: Evidence, column: int) -> bool:
    """Tell whether a column holds days or years."""
    one = evidence.schema.columns[column]
    if one.type == "number" and not evidence.is_key(column) and evidence.contents.is_year(column):
        return True
    return evidence.contents.is_date(column)


def _rows(evidence: Evidence, place: int) -> int:
    """A number right before the superlative, or after "top"."""
    for at in (place - 1, place - 2, place + 1 if evidence.words[place] == "top" else -1):
        number = evidence.numbers.get(at, "")
        if (
            number.isdigit()
            and 1 < int(number) <= _MOST_ROWS
            and (at != place - 2 or evidence.words[place - 1] in ("most", "least", "highest"))
        ):
            return int(number)
    return 1
