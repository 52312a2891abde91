"""From the verdicts of single rows to the official table: by level, by component, by database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from normlab.plurals import plural
from normlab.tasks.text2sql.evaluation.match import COMPONENTS, Hardness, PartialScore

LEVELS = ("easy", "medium", "hard", "extra", "all")


@dataclass
class RowScore:
    """The verdicts on one prediction.

    Attributes:
        place: where gold was read, `file:line`.
        skipped: why the row is not scored at all, or "".
        unread: why the official parser cannot read gold, which SQLite runs; only `executed_sound` is judged then.
        hardness: level of gold.
        parsed: whether the official parser accepts the prediction.
        exact: exact match; `partial` by component.
        executed, executed_sound: same result, by the official rules and order-insensitive; None where it is unknown.
        not_executed: why no query could be run on a database that was asked for, or "".
        suite, suite_kept: same result on the database and on all its mutated copies, DISTINCT dropped from both queries
            and kept; None where no copies were asked for. `without_distinct`: on the database alone, DISTINCT dropped.
        copies, copies_left_out: copies on which gold was run, and those of them that could not judge.
        empty: both results are empty, so that agreeing says little.
        timed_out: the prediction missed its deadline.
        aborted: why the official script would stop at this row, or ""; what it never judged counts as wrong.
        error: why the prediction does not parse or run.
    """

    place: str
    db_id: str
    gold: str
    predicted: str
    skipped: str = ""
    unread: str = ""
    hardness: Hardness | None = None
    parsed: bool = False
    exact: bool = False
    partial: dict[str, PartialScore] = field(default_factory=dict)
    executed: bool | None = None
    executed_sound: bool | None = None
    not_executed: str = ""
    suite: bool | None = None
    suite_kept: bool | None = None
    without_distinct: bool | None = None
    copies: int = 0
    copies_left_out: int = 0
    empty: bool = False
    timed_out: bool = False
    aborted: str = ""
    error: str = ""


@dataclass(frozen=True)
class ComponentScore:
    """Accuracy over rows whose prediction has the component, recall over rows whose gold has it, and F1.

    Where both are 0 the official script prints F1 = 1; so does this.
    """

    accuracy: float
    recall: float
    f1: float


@dataclass(frozen=True)
class LevelScore:
    """Fractions over the rows of one level; execution is None where no row was executed.

    `empty_matches` are rows that match order-insensitively because both results are empty; the test suite's two are
    None where no copies were asked for.
    """

    count: int
    exact_match: float
    execution: float | None
    execution_sound: float | None
    empty_matches: int
    partial: dict[str, ComponentScore]
    test_suite: float | None = None
    test_suite_keep_distinct: float | None = None


@dataclass(frozen=True)
class Scores:
    """All numbers of one evaluation; `scores["exact_match"]` reads like `scores.exact_match`.

    Attributes:
        levels: level name, `all` last -> `LevelScore`.
        databases: db_id -> `LevelScore`.
        rows: every row with its verdicts.
        unread: rows whose gold the official parser cannot read; they count in `execution_sound` alone.
        skipped: rows that could not be scored; `aborts`: rows at which the official script would stop;
            both count as nothing and as wrong respectively.
        notes: what a reader should know, one line each.
        copies: what was seen on mutated copies (`test_suite.on_copies`), plain JSON; None where none were asked for.
    """

    levels: dict[str, LevelScore]
    databases: dict[str, LevelScore]
    rows: list[RowScore]
    notes: list[str]
    copies: Mapping[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        try:
            return self.levels[name] if name in self.levels else getattr(self, name)
        except AttributeError:
            raise KeyError(name) from None

    @property
    def count(self) -> int:
        """Rows whose gold the official parser reads."""
        return self.levels["all"].count

    @property
    def exact_match(self) -> float:
        """Exact match over all scored rows, as a fraction."""
        return self.levels["all"].exact_match

    @property
    def execution(self) -> float | None:
        """Execution accuracy as the official script counts it."""
        return self.levels["all"].execution

    @property
    def execution_sound(self) -> float | None:
        """Execution accuracy by bags of rows."""
        return self.levels["all"].execution_sound

    @property
    def test_suite(self) -> float | None:
        """Execution accuracy on the databases and all their mutated copies, DISTINCT dropped from both queries."""
        return self.levels["all"].test_suite

    @property
    def test_suite_keep_distinct(self) -> float | None:
        """The same, of the queries as they stand."""
        return self.levels["all"].test_suite_keep_distinct

    @property
    def empty_matches(self) -> int:
        """Rows that match order-insensitively because both results are empty."""
        return self.levels["all"].empty_matches

    @property
    def valid(self) -> float:
        """Share of predictions that the official parser accepts."""
        scored = [row for row in self.rows if not row.skipped and not row.unread]
        return sum(row.parsed for row in scored) / max(len(scored), 1)

    @property
    def skipped(self) -> list[RowScore]:
        """Rows whose gold could not be used."""
        return [row for row in self.rows if row.skipped]

    @property
    def unread(self) -> list[RowScore]:
        """Rows of which only order-insensitive execution is scored."""
        return [row for row in self.rows if row.unread]

    @property
    def aborts(self) -> list[RowScore]:
        """Rows at which the official script would stop; they count as wrong."""
        return [row for row in self.rows if row.aborted]

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers, without the rows, ready for JSON."""
        return {
            "count": self.count,
            "exact_match": self.exact_match,
            "execution": self.execution,
            "execution_sound": self.execution_sound,
            "test_suite": self.test_suite,
            "test_suite_keep_distinct": self.test_suite_keep_distinct,
            "copies": self.copies,
            "empty_matches": self.empty_matches,
            "valid": self.valid,
            "timeouts": sum(row.timed_out for row in self.rows),
            "levels": {name: asdict(level) for name, level in self.levels.items()},
            "databases": {name: asdict(level) for name, level in self.databases.items()},
            "skipped": [f"{row.place}: {row.skipped}" for row in self.skipped],
            "executed_only": [f"{row.place}: {row.unread}" for row in self.unread],
            "aborts": [f"{row.place}: {row.aborted}" for row in self.aborts],
            "not_executed": [f"{row.place}: {row.not_executed}" for row in self.rows if row.not_executed],
            "notes": self.notes,
        }


def summarise(rows: Sequence[RowScore], notes: Iterable[str] = (), copies: Mapping[str, Any] | None = None) -> Scores:
    """Aggregate rows into the official table and its relatives; `copies` and `notes` as in `Scores`."""
    scored = [row for row in rows if not row.skipped]
    levels = {level: _level([row for row in scored if level in (row.hardness, "all")]) for level in LEVELS}
    names = sorted({row.db_id for row in scored})
    databases = {name: _level([row for row in scored if row.db_id == name]) for name in names}
    return Scores(levels, databases, list(rows), [*notes, *_notes(rows)], copies)


def as_text(scores: Scores) -> str:
    """Return the table of the official script, with order-insensitive execution accuracy and every row left out."""
    level_scores = [scores.levels[level] for level in LEVELS]
    lines = [_line("", LEVELS), _line("count", [level.count for level in level_scores])]
    if scores.execution is not None:
        lines.append(_line("execution", [level.execution or 0.0 for level in level_scores]))
    if scores.execution_sound is not None:
        lines.append(_line("order-insensitive", [level.execution_sound or 0.0 for level in level_scores]))
    if scores.test_suite is not None:
        lines.append(_line("test suite", [level.test_suite or 0.0 for level in level_scores]))
        kept = [level.test_suite_keep_distinct or 0.0 for level in level_scores]
        lines.append(_line("  keep distinct", kept))
    if scores.count or not scores.unread:
        lines.append(_line("exact match", [level.exact_match for level in level_scores]))
    for measure in ("accuracy", "recall", "f1") if scores.count or not scores.unread else ():
        lines.append(f"partial matching {measure}")
        for name in COMPONENTS:
            lines.append(_line(name, [getattr(level.partial[name], measure) for level in level_scores]))
    return "\n".join(
        [
            *lines,
            *scores.notes,
            *_listed(
                [f"only executed: {row.place}: gold is outside the official SQL: {row.unread}" for row in scores.unread]
            ),
            *_listed([f"left out: {row.place}: {row.skipped}" for row in scores.skipped]),
        ]
    )


def _listed(rows: list[str]) -> list[str]:
    more = f"{rows[0].partition(':')[0]}: {len(rows) - _LISTED} more, which --json lists" if len(rows) > _LISTED else ""
    return [*rows[:_LISTED], *filter(None, [more])]


_LISTED = 200


def _level(rows: Sequence[RowScore]) -> LevelScore:
    read = [row for row in rows if not row.unread]
    return LevelScore(
        count=len(read),
        exact_match=_mean([row.exact for row in read]),
        execution=_mean_if_any([row.executed for row in rows]),
        execution_sound=_mean_if_any([row.executed_sound for row in rows]),
        empty_matches=sum(row.empty and bool(row.executed_sound) for row in rows),
        partial={name: _component([row.partial[name] for row in read]) for name in COMPONENTS},
        test_suite=_mean_if_any([row.suite for row in rows]),
        test_suite_keep_distinct=_mean_if_any([row.suite_kept for row in rows]),
    )


def _component(scores: Sequence[PartialScore]) -> ComponentScore:
    if not scores:
        return ComponentScore(0.0, 0.0, 0.0)
    accuracy = _mean([score.correct for score in scores if score.predicted])
    recall = _mean([score.correct for score in scores if score.gold])
    f1 = 2 * accuracy * recall / (accuracy + recall) if accuracy or recall else 1.0
    return ComponentScore(accuracy, recall, f1)


def _mean(verdicts: Sequence[bool]) -> float:
    return sum(verdicts) / len(verdicts) if verdicts else 0.0


def _mean_if_any(verdicts: Sequence[bool | None]) -> float | None:
    asked = [verdict for verdict in verdicts if verdict is not None]
    return _mean(asked) if asked else None


def _notes(rows: Sequence[RowScore]) -> list[str]:
    """One line for each kind of trouble, with the first place where it was met."""
    kinds = {
        "not scored": [(row, row.skipped) for row in rows if row.skipped],
        "have gold outside the official SQL and count in order-insensitive execution alone": [
            (row, row.unread) for row in rows if row.unread
        ],
        "not executed": [(row, row.not_executed) for row in rows if row.not_executed],
        "would stop the official script": [(row, row.aborted) for row in rows if row.aborted],
        "past the deadline": [(row, row.error) for row in rows if row.timed_out],
    }
    return [
        f"{plural(len(problems), 'row')} {kind}, first {problems[0][0].place}: {problems[0][1]}"
        for kind, problems in kinds.items()
        if problems
    ]


def _line(name: str, cells: Sequence[Any]) -> str:
    shown = [f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells]
    return "".join(f"{cell:<20} " for cell in [name, *shown]).rstrip()
