"""A study read once: what every section and figure starts from.

`StudyView` is a snapshot of the folder: results, curves and configurations as plain values, with a name, a
colour and a dash for each variant. Sections are pure functions of it, so none of them touches the disk.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import Any

from normlab.metrics import has_direction, split_of
from normlab.report.numbers import finite
from normlab.report.palette import DASHES, Style, name_of, styles_for
from normlab.runs import RunFolder, RunState, flat_layers
from normlab.studies.foreign.curves import Curves
from normlab.studies.rankings import rank_combinations
from normlab.studies.statistics import Interval, Ranking, mean_interval
from normlab.studies.study import Study, StudyCell

MeanCurve = tuple[list[int], list[float], list[float], list[float]]
"""Epochs, then the mean, the smallest and the largest value over the seeds at each."""

_BARE = {"run", "variant"}  # axes whose values name themselves
_KEPT_POINTS = 1000  # a longer curve, of another program, is put together each time: memory is for the records
_LOOKED_AT = 200  # records: other programs log some metrics at some steps only


@dataclass(frozen=True)
class CellView:
    """One training: where it stands, what it was asked for, what came of it."""

    name: str
    values: dict[str, Any]
    seed: int
    state: RunState
    status: dict[str, Any]
    config: dict[str, Any]
    card: dict[str, Any]
    environment: dict[str, Any]
    epochs: Sequence[dict[str, Any]]
    result: dict[str, Any]

    @property
    def trained(self) -> bool:
        """True if it came to its end without diverging."""
        return self.state is RunState.FINISHED

    def metric(self, name: str) -> float | None:
        """Return a final metric ("test/accuracy") or another number of the result ("seconds")."""
        return finite(self.result.get("metrics", {}).get(name, self.result.get(name)))

    def curve(self, name: str) -> dict[float, float]:
        """Return epoch -> value, without what is missing or not finite."""
        if isinstance(self.epochs, Curves):
            return dict(self.epochs.over_time(name))
        pairs = ((record["epoch"], finite(record.get(name))) for record in self.epochs)
        return {epoch: value for epoch, value in pairs if value is not None}

    def points(self, name: str) -> Iterable[tuple[float, float]]:
        """Return the curve as pairs in the order of the epochs; of another program one by one, for they may be many."""
        return self.epochs.over_time(name) if isinstance(self.epochs, Curves) else sorted(self.curve(name).items())


@dataclass(frozen=True)
class Variant:
    """One combination of axis values with its seeds, as it is named and drawn.

    Attributes:
        values: axis -> value, of all axes of the study.
        named: those of `values` that the label is made of: axes with one value in the whole study are left out.
        overlap: of the training sets, where seeds are folds (`studies.statistics.folds`).
    """

    values: dict[str, Any]
    label: str
    style: Style
    cells: list[CellView]
    named: dict[str, Any] = field(default_factory=dict)
    overlap: float = 0.0
    _by_seed: dict[str, dict[int, float]] = field(default_factory=dict, repr=False, compare=False)
    _mean_curves: dict[str, MeanCurve] = field(default_factory=dict, repr=False, compare=False)

    @property
    def norm(self) -> str | None:
        """The scheme, if the study's cells have one."""
        return next((norm for cell in self.cells if (norm := cell.config.get("norm"))), self.values.get("norm"))

    @property
    def batch_size(self) -> int | None:
        """Examples per step, if the cells say so."""
        configured = (size for cell in self.cells if (size := cell.config.get("batch_size")))
        size = self.values.get("batch_size") or next(configured, None)
        return size if isinstance(size, int) else None

    @property
    def trained(self) -> list[CellView]:
        """The seeds that count in a mean."""
        return [cell for cell in self.cells if cell.trained]

    def by_seed(self, metric: str) -> dict[int, float]:
        """Return seed -> final value over the seeds that finished."""
        if metric not in self._by_seed:  # asked for by many sections, over up to 100,000 runs
            values = ((cell.seed, cell.metric(metric)) for cell in self.trained)
            self._by_seed[metric] = {seed: value for seed, value in values if value is not None}
        return self._by_seed[metric]

    def interval(self, metric: str) -> Interval | None:
        """Return the mean over the finished seeds with its interval; None if no seed has the metric."""
        values = list(self.by_seed(metric).values())
        return mean_interval(values, overlap=self.overlap) if values else None

    def count(self, state: str) -> int:
        """Return how many of its cells are in a state."""
        return sum(cell.state == state for cell in self.cells)

    def mean_curve(self, metric: str) -> MeanCurve:
        """Return epochs, mean, smallest and largest value over the seeds that reached each epoch."""
        if metric in self._mean_curves:  # a figure asks for its curves, their ranges and their ends
            return self._mean_curves[metric]
        curve = self._mean_curve(metric)
        if len(curve[0]) <= _KEPT_POINTS:
            self._mean_curves[metric] = curve
        return curve

    def _mean_curve(self, metric: str) -> MeanCurve:
        epochs: list[int] = []
        means: list[float] = []
        lows: list[float] = []
        highs: list[float] = []
        points = heapq.merge(*(cell.points(metric) for cell in self.cells), key=itemgetter(0))
        for epoch, of_epoch in groupby(points, key=itemgetter(0)):
            values = [value for _, value in of_epoch]  # in the order of the cells
            epochs.append(epoch)
            means.append(sum(values) / len(values))
            lows.append(min(values))
            highs.append(max(values))
        return epochs, means, lows, highs


@dataclass(frozen=True)
class StudyView:
    """A study with its variants in the order of the plan."""

    study: Study
    variants: list[Variant]

    @classmethod
    def read(cls, study: Study) -> StudyView:
        """Read every cell of a study once."""
        groups = [(values, [_read_cell(cell) for cell in cells]) for values, cells in study.groups()]
        return cls(study, _style_variants(groups, study.overlap))

    @cached_property
    def cells(self) -> list[CellView]:
        """All cells, in the order of the plan."""
        return [cell for variant in self.variants for cell in variant.cells]

    @property
    def headline(self) -> str:
        """The metric that decides, e.g. "test/accuracy"."""
        named = (cell.result["headline"] for cell in self.cells if "headline" in cell.result)
        return next(named, "test/accuracy")

    @property
    def seeds(self) -> list[int]:
        """The paired seeds."""
        return sorted({cell.seed for cell in self.cells})

    @cached_property
    def ranked(self) -> tuple[list[dict[str, Any]], Ranking] | None:
        """The combinations ranked within each seed; None if there are too few."""
        return rank_combinations(self.study, self.headline)

    @property
    def caution(self) -> str:
        """What a reader of a study at scale smoke must know before any number; "" at other scales."""
        if self.study.scale != "smoke":
            return ""
        return (
            "A check, not a result: the scale smoke trains for seconds on little data, to show that everything runs. "
            "Train at a larger scale (--scale demo, --scale full) before you compare numbers."
        )

    @property
    def data_name(self) -> str:
        """What it was trained on, as the runs' cards say; before any has a card: the last part of the path."""
        named = {str(cell.card["data"]) for cell in self.cells if cell.card.get("data")}
        names = named or {
            str(cell.config["data"]).rstrip("/").rsplit("/", 1)[-1] for cell in self.cells if cell.config.get("data")
        }
        return ", ".join(sorted(names))

    def metrics(self, split: str) -> list[str]:
        """Return the names of a split's final metrics, of those that name no split for "", as they first appear."""
        names: dict[str, None] = {}
        for cell in self.cells:
            names |= dict.fromkeys(name for name in cell.result.get("metrics", {}) if split_of(name) == split)
        return list(names)

    def curves(self) -> list[str]:
        """Return the names of what cells recorded over time and can be better or worse, as they first appear."""
        names: dict[str, None] = {}
        for cell in self.cells:
            for record in cell.epochs[:_LOOKED_AT]:
                names |= dict.fromkeys(record)
        return [name for name in names if has_direction(name)]

    def has_curve(self, metric: str) -> bool:
        """Say whether any cell recorded a metric per epoch."""
        return any(metric in record for cell in self.cells for record in cell.epochs[:_LOOKED_AT])


def variant_label(values: dict[str, Any]) -> str:
    """Return axis values for people: "Group norm, batch size 8"."""
    parts = [
        name_of(str(value))
        if axis == "norm"
        else str(value)
        if axis in _BARE
        else f"{axis.replace('_', ' ').replace('bn ', 'batch norm ')} {value}"
        for axis, value in values.items()
    ]
    return ", ".join(parts) or "the run"


def named_values(combinations: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return of each combination the axes that tell it from another one.

    Where no axis has two values, `norm` and `variant` name the only combination, or else all axes.
    """
    axes = list(dict.fromkeys(axis for values in combinations for axis in values))
    differing = {axis for axis in axes if len({repr(values.get(axis)) for values in combinations}) > 1}
    chosen = differing or {axis for axis in axes if axis in {"norm", "variant"}} or set(axes)
    return [{axis: value for axis, value in values.items() if axis in chosen} for values in combinations]


def _style_variants(groups: list[tuple[dict[str, Any], list[CellView]]], overlap: float) -> list[Variant]:
    """Colour goes by scheme; where several variants share one, the dash tells them apart."""
    norms = [values.get("norm") or next((cell.config.get("norm") for cell in cells), None) for values, cells in groups]
    by_norm = len(set(norms)) > 1 or any("norm" in values for values, _ in groups)
    named = named_values([values for values, _ in groups])
    labels = [variant_label(values) for values in named]
    keys = [str(norm) if norm and by_norm else label for norm, label in zip(norms, labels, strict=True)]
    styles = styles_for(keys)
    variants = []
    for index, ((values, cells), key) in enumerate(zip(groups, keys, strict=True)):
        style = styles[key]
        if keys.count(key) > 1:
            style = Style(style.color, DASHES[keys[:index].count(key) % len(DASHES)])
        variants.append(Variant(values, labels[index], style, cells, named[index], overlap))
    return variants


def _read_cell(cell: StudyCell) -> CellView:
    folder, state = cell.folder, cell.state
    exists = state is not RunState.WAITING
    return CellView(
        name=cell.name,
        values=cell.values,
        seed=cell.seed,
        state=state,
        status=folder.status() if exists else {},
        config=folder.config() if exists else {},
        card=folder.card() if exists else {},
        environment=folder.environment() if exists else {},
        epochs=_read_epochs(folder) if exists else [],
        result=cell.result or {},
    )


def _read_epochs(folder: RunFolder) -> Sequence[dict[str, Any]]:
    """Return the epochs' records, each with what was measured by layer as "layers/NAME/QUANTITY"."""
    by_layer = {record["epoch"]: flat_layers(record) for record in folder.layers()}
    records = folder.metrics()
    return [record | by_layer.get(record["epoch"], {}) for record in records] if by_layer else records
