"""A study on disk: `study.json` (what was planned) and one run folder per cell. Reads without torch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from normlab.errors import UserError
from normlab.html_table import html_table
from normlab.json_file import read_json
from normlab.runs import RunFolder, RunState
from normlab.runs.archive import is_archive, opened
from normlab.runs.cache_folders import writable_folder
from normlab.runs.schema import checked
from normlab.studies.record import StudyRecord

_LOOKS = (
    "This study was to stop once its claims are decided, after {} seeds at most. Their verdicts rest on intervals that "
    "hold over all looks; the intervals of other tables and figures do not take the looks into account."
)


def study_folder(path: Path) -> Path:
    """Return the folder of a study: the path itself, or an archive's content, unpacked into the cache."""
    return opened(path, writable_folder("archives")) if is_archive(path) else path


def _mean_text(interval: dict[str, Any] | None) -> str:
    if interval is None:
        return "–"
    if interval["low"] is None:
        return f"{interval['mean']:.4g}"
    return f"{interval['mean']:.4g} ± {(interval['high'] - interval['low']) / 2:.2g}"


@dataclass(frozen=True)
class StudyCell:
    """One training of a study, as planned and as far as it has come."""

    name: str
    values: dict[str, Any]  # axis -> value
    seed: int
    hash: str  # of its configuration, as planned
    folder: RunFolder
    _read: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def result(self) -> dict[str, Any] | None:
        """The final result, None before there is one. Read once: a result never changes."""
        if "result" not in self._read and self.folder.done:
            self._read["result"] = self.folder.result()
        return self._read.get("result")

    @property
    def state(self) -> RunState:
        """Where it stands: what its result says, else its status; waiting without a run folder."""
        if self.result is not None:
            return RunState(self.result["state"])
        if not self.folder.exists:
            return RunState.WAITING
        return RunState(self.folder.status()["state"])

    def check(self) -> None:
        """Read every file once; raise `UserError` naming one that is damaged."""
        if self.state is RunState.WAITING:
            return
        folder = self.folder
        for read in (folder.status, folder.config, folder.card, folder.environment, folder.metrics, folder.layers):
            read()

    def writer(self) -> dict[str, Any]:
        """Return {"host", "pid"} of the process that trains the cell, or was the last to; empty before the first."""
        status = self.folder.status()
        return {name: status[name] for name in ("host", "pid") if name in status}


@dataclass(frozen=True)
class Study:
    """A planned study and its cells.

    Attributes:
        axes: setting -> the values compared; the cells are their product, times the seeds.
        published: names of published tables (`normlab.studies.published`) that stand beside ours.
        claims: the study file's claims, as plain values.
        search: the file's `search` block if the cells are its trials, as plain values.
        left_out: a line for each damaged file whose run is no cell here (`readable`).
        threads: of each cell whose configuration names none; None if the plan does not say.
        clock: what curves run over, "epoch" or, for results of other programs, "step".
        notes: what a reader of the report must know of where the numbers are from.
        planned_seeds: at most, of a study that stops once its claims are decided; None for one of fixed size.
        told_folds: of results of other programs: into how many folds the data were divided, if the seeds are folds.
    """

    path: Path
    name: str
    title: str
    question: str
    task: str
    scale: str
    axes: dict[str, list[Any]]
    published: list[str]
    claims: list[dict[str, Any]]
    cells: list[StudyCell]
    search: dict[str, Any] | None = None
    left_out: list[str] = field(default_factory=list)
    threads: int | None = None
    clock: str = "epoch"
    notes: list[str] = field(default_factory=list)
    planned_seeds: int | None = None
    told_folds: int | None = None

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Read a study's folder, or its archive; raise `UserError` if it is neither."""
        folder = study_folder(Path(path))
        file = folder / "study.json"
        if not file.is_file():
            raise UserError(f"{folder}: not a study (no study.json): give what `normlab study run --out` made")
        plan = checked(read_json(file), StudyRecord, str(file), "restore it, or run the study again")
        cells = [
            StudyCell(
                cell["name"],
                cell["values"],
                cell["seed"],
                cell.get("hash", ""),
                RunFolder(folder / "cells" / cell["name"]),
            )
            for cell in plan["cells"]
        ]
        texts = {name: plan[name] for name in ("name", "title", "question", "task", "scale")}
        lists = {name: plan.get(name, []) for name in ("published", "claims")}
        return cls(
            path=folder,
            axes=plan["axes"],
            cells=cells,
            search=plan.get("search"),
            threads=plan.get("threads"),
            planned_seeds=plan.get("planned_seeds"),
            notes=[_LOOKS.format(plan["planned_seeds"])] if plan.get("planned_seeds") else [],
            **texts,
            **lists,
        )

    def readable(self) -> Self:
        """Return the study without the cells of which a file is damaged; `left_out` names those files.

        Raises: UserError naming the first one if no cell remains.
        """
        cells, left_out = [], list(self.left_out)
        for cell in self.cells:
            try:
                cell.check()
            except UserError as error:
                left_out.append(str(error))
            else:
                cells.append(cell)
        if left_out and not cells:
            raise UserError(left_out[0])
        return replace(self, cells=cells, left_out=left_out)

    def table(self) -> list[dict[str, Any]]:
        """Return a row per combination of axis values, seeds together, as plain values.

        A row has "values", "label", the counts "n", "finished", "diverged", "failed", and "metrics": the headline
        metric on each split, macro F1 and seconds, each {"mean", "low", "high", "n", "std", "level"}, or None
        before a cell has finished. Fractions are fractions, not percentages.
        """
        from normlab.studies.tables import plain_table  # imports scipy, which takes seconds

        return plain_table(self)

    def records(self) -> list[dict[str, Any]]:
        """Return a flat row per training: its axis values, "seed", "state", and the final metrics that it has."""
        return [
            {**cell.values, "seed": cell.seed, "state": str(cell.state), **(cell.result or {}).get("metrics", {})}
            for cell in self.cells
        ]

    def dataframe(self) -> Any:
        """Return `records` as a pandas DataFrame. Raises: UserError if pandas is not installed."""
        if find_spec("pandas") is None:
            raise UserError("a DataFrame needs pandas, which is not installed: pip install pandas, or use .records()")
        import pandas

        return pandas.DataFrame(self.records())

    def _repr_html_(self) -> str:
        """Return the means as a table for notebooks."""
        rows = self.table()
        metrics = [name for name in (rows[0]["metrics"] if rows else {}) if any(row["metrics"][name] for row in rows)]
        shown = [
            [row["label"], f"{row['finished']} of {row['n']}", *(_mean_text(row["metrics"][name]) for name in metrics)]
            for row in rows
        ]
        return html_table(self.title, ["variant", "finished", *metrics], shown)

    @cached_property
    def folds(self) -> int | None:
        """Into how many folds the data were divided, where seeds are folds of a cross-validation; else None.

        If cells differ in it, the smallest number: its training sets overlap least, and its tests are the widest.
        """
        if not self.task:
            return self.told_folds
        begun = [next((cell for cell in cells if cell.folder.exists), None) for _, cells in self.groups()]
        numbers: list[Any] = []
        for cell in begun:
            with suppress(UserError):  # a damaged file is told where cells are checked
                numbers += [cell.folder.config().get("folds")] if cell is not None else []
        return min((number for number in numbers if isinstance(number, int)), default=None)

    @property
    def overlap(self) -> float:
        """The ratio of test to training examples of its folds, by which intervals are corrected; 0 without folds."""
        from normlab.studies.statistics.folds import overlap_of  # its package imports scipy, which takes seconds

        return overlap_of(self.folds)

    def trained_elsewhere(self) -> list[StudyCell]:
        """Return the cells that a process is training now."""
        return [cell for cell in self.cells if cell.state is RunState.RUNNING]

    def finished(self) -> Iterator[StudyCell]:
        """Yield the cells that have a result, diverged ones included."""
        return (cell for cell in self.cells if cell.result is not None)

    def mixed_inputs(self) -> list[str]:
        """Return a sentence for each input (the data, pretrained vectors) of which cells saw different contents.

        Where files lie is no setting, so a plan cannot tell; comparisons between such cells compare the files too.
        """
        if not self.task:
            return []  # results of other programs: what they read is not known
        cards = [(cell, cell.folder.card()) for cell in self.cells if cell.state is not RunState.WAITING]
        seen: dict[str, Counter[str]] = {}
        for _, card in cards:
            data = {"data": card["fingerprint"]} if "fingerprint" in card else {}
            for name, content in {**data, **card.get("fingerprints", {})}.items():
                seen.setdefault(name, Counter())[content] += 1
        if not self._mixes_data([(cell, card["fingerprint"]) for cell, card in cards if "fingerprint" in card]):
            seen.pop("data", None)
        return [
            f"cells were trained with different {name}: "
            + ", ".join(f"{content} in {count}" for content, count in contents.items())
            for name, contents in seen.items()
            if len(contents) > 1
        ]

    def _mixes_data(self, read: list[tuple[StudyCell, str]]) -> bool:
        """Say whether cells of equal axis values, or of other `--data`, read different data.

        Settings choose what is read too (an image size, a view), so a difference that follows the axes is meant.
        """
        contents: dict[str, set[str]] = {}
        for cell, content in read:
            contents.setdefault(json.dumps(cell.values), set()).add(content)
        if any(len(fingerprints) > 1 for fingerprints in contents.values()):
            return True
        return "data" not in self.axes and len({str(cell.folder.config().get("data")) for cell, _ in read}) > 1

    def groups(self) -> list[tuple[dict[str, Any], list[StudyCell]]]:
        """Return the cells by axis values, seeds together, in the order of the plan."""
        return self._groups

    @cached_property
    def _groups(self) -> list[tuple[dict[str, Any], list[StudyCell]]]:
        groups: dict[str, tuple[dict[str, Any], list[StudyCell]]] = {}
        for cell in self.cells:
            groups.setdefault(json.dumps(cell.values), (cell.values, []))[1].append(cell)
        return list(groups.values())
