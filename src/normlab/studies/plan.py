"""A study: one question, asked of every combination of some settings under the same seeds.

A study file is YAML: `title`, `question`, `task`, `base` (settings of every cell), `axes` (setting -> values),
`variants` (name -> settings, one more axis), `by_value` (settings that come with a value of an axis), `seeds`, `scales`
(name -> preset, seeds, further settings), `published` and `claims`; with `search`, the cells are the trials of a
search. A plan is that file resolved for one scale: a list of cells, each a full configuration with a hash.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from normlab.acting import refuse_ignored
from normlab.config import Config, config_hash, option
from normlab.errors import UserError, did_you_mean
from normlab.reading import as_path
from normlab.studies.axes import (
    MOST_CELLS,
    VARIANT,
    ByValue,
    cell_name,
    combinations,
    read_axes,
    refuse_seed,
    refuse_undone,
    refuse_undone_base,
    refuse_undone_variants,
    refuse_wrong_values,
    settings_of,
)
from normlab.studies.published import published_tables
from normlab.studies.search_settings import TRIAL, Search, read_search
from normlab.tasks import task_settings
from normlab.train_config import TaskSettings, TrainConfig


class Scale(Config):
    """How a study shrinks or grows: a preset of its task, a number of seeds, and changes."""

    preset: str | None = option(None, "the task's preset that cells start from")
    seeds: int | None = option(None, "number of paired seeds, instead of the study's", ge=1)
    base: dict[str, Any] = option({}, "settings of every cell at this scale")
    axes: dict[str, list[Any]] = option({}, "axes that replace the study's at this scale")
    by_value: ByValue = option({}, "replaces the study's at this scale, axis by axis")
    search: dict[str, Any] = option({}, "changes to the study's search at this scale")


class StudyFile(Config):
    """What a study's YAML may say."""

    title: str = option(help="one line for people")
    question: str = option(help="what the study answers, in a sentence or two")
    task: str = option(help="which task it trains")
    base: dict[str, Any] = option({}, "settings of every cell")
    axes: dict[str, list[Any]] = option({}, "setting -> the values to compare; their product makes the cells")
    variants: dict[str, dict[str, Any]] = option({}, "name -> settings: an axis for what is no product of settings")
    by_value: ByValue = option(
        {}, "axis -> value -> settings of the cells with that value, as a rate of each norm's own"
    )
    seeds: int = option(1, "number of paired seeds: 0, 1, ...", ge=1)
    scales: dict[str, Scale] = option({}, "smoke, demo, full: how big")
    published: list[str] = option([], "tables of published results to print beside ours")
    claims: list[dict[str, Any]] = option([], "statements that the report answers with a verdict")
    search: dict[str, Any] = option({}, "settings to search for each combination of the axes, under one budget")


@dataclass(frozen=True)
class Cell:
    """One training of a study."""

    name: str  # also its folder's name
    values: dict[str, Any]  # axis -> value
    seed: int
    config: TrainConfig

    @property
    def hash(self) -> str:
        """The configuration's hash: a finished cell of another hash is another experiment."""
        return config_hash(self.config)


@dataclass(frozen=True)
class Plan:
    """A study file resolved for one scale."""

    name: str
    file: StudyFile
    scale: str
    axes: dict[str, list[Any]]
    cells: list[Cell] = field(repr=False)
    search: Search | None = None  # then the cells are its trials
    threads: int | None = None  # of each cell; None: not decided yet, or the cells differ


def shipped_studies() -> dict[str, Path]:
    """Return the studies that come with the package: name -> file."""
    folder = Path(str(resources.files("normlab.studies") / "shipped"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_study(path_or_name: str | Path) -> Path:
    """Return the file of a study given by path or by the name of a shipped one."""
    path = as_path(path_or_name, "the study")
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        return path
    shipped = shipped_studies()
    if str(path_or_name) not in shipped:
        raise UserError(
            f"unknown study '{path_or_name}': {did_you_mean(str(path_or_name), shipped)}; or give a .yaml file"
        )
    return shipped[str(path_or_name)]


def make_plan(
    path_or_name: str | Path,
    *,
    scale: str = "demo",
    seeds: int | None = None,
    axes: Mapping[str, list[Any]] | None = None,
    **changes: Any,
) -> Plan:
    """Resolve a study into cells.

    Args:
        seeds: paired seeds; default: the folds of a cross-validation, of which a seed is one, else the study's number.
        axes: values that replace those of the study's axes, or make further ones.
        changes: settings that override those of every cell.
    Raises: UserError naming the file and the wrong key, value or scale, or a change that an axis would undo.
    """
    path = find_study(path_or_name)
    study = StudyFile.from_yaml(path)
    _refuse_unknown_tables(study, path)
    chosen = _choose_scale(study, scale, path)
    settings = _settings(study, path)
    asked = axes or {}
    axes = read_axes({**study.axes, **chosen.axes}, study.variants, asked, str(path))
    by_value = {**study.by_value, **chosen.by_value}
    refuse_wrong_values(by_value, [study.axes, chosen.axes, {VARIANT: list(study.variants)}], str(path))
    refuse_undone_variants(study.variants, axes, str(path))
    refuse_undone_base("base", study.base, study.axes, str(path))
    refuse_undone_base(f"scales: {scale}: base", chosen.base, {**study.axes, **chosen.axes}, str(path))
    refuse_undone(changes, axes, study.variants, str(path))
    blocks = {
        "base": study.base,
        f"scales: {scale}: base": chosen.base,
        **{f"variants: {name}": values for name, values in study.variants.items()},
        **{f"by_value: {axis}: {value}": own for axis, of in by_value.items() for value, own in of.items()},
    }
    for key, block in blocks.items():
        refuse_seed(block, f"{path}: {key}")
    base = {**settings.preset(chosen.preset or scale, str(path)), **study.base, **chosen.base, **changes}
    count = seeds if seeds is not None else base.get("folds") or chosen.seeds or study.seeds
    if count < 1:
        raise UserError(f"--seeds {count}: a study has at least 1")
    search = None
    if study.search:
        search = read_search(
            {**study.search, **chosen.search},
            settings.config_class,
            base,
            str(path),
            axes=axes,
            variants=study.variants,
            claims=study.claims,
            seeds=count,
            most=MOST_CELLS,
        )
        for key, block in (("base", study.base), (f"scales: {scale}: base", chosen.base)):
            for name in set(block) & set(search.settings):
                raise UserError(f"{path}: {key}: {name} is what the search tries: drop one of the two")
        for name in set(changes) & set(search.settings):
            raise UserError(f"--{name.replace('_', '-')}: {path} searches for {name}: change its grid or space instead")
        axes, base = {**axes, **search.axes()}, {**base, **search.fixed()}
    by_value = _by_canonical_value(settings.config_class, base, by_value, str(path))
    cells = []
    for values, seed in combinations(axes, count, str(path)):
        of_cell = {**base, **study.variants.get(str(values.get(VARIANT)), {})}
        cell = _make_cell(settings.config_class, of_cell, values, seed, str(path))
        if own := settings_of(values, cell.values, by_value):
            cell = _make_cell(settings.config_class, {**of_cell, **own, **changes}, values, seed, str(path))
        cells.append(cell)
    refuse_ignored([cell.config for cell in cells], [*changes, *(name for name in asked if name != VARIANT)])
    _refuse_duplicates(cells, path)
    return Plan(path.stem, study, scale, axes, cells, search)


def in_pairs(cells: list[Cell]) -> list[Cell]:
    """Order cells by seed, so that a study cut short has complete pairs rather than complete schemes."""
    return sorted(cells, key=lambda cell: cell.seed)


def _settings(study: StudyFile, path: Path) -> TaskSettings:
    try:
        return task_settings(study.task)
    except UserError as error:
        raise UserError(f"{path}: task: {error}") from None


def _refuse_unknown_tables(study: StudyFile, path: Path) -> None:
    for name in study.published:
        if name not in published_tables():
            raise UserError(f"{path}: published: unknown table '{name}': {did_you_mean(name, published_tables())}")


def _choose_scale(study: StudyFile, scale: str, path: Path) -> Scale:
    if scale in study.scales:
        return study.scales[scale]
    if study.scales:
        raise UserError(f"{path}: unknown scale '{scale}': {did_you_mean(scale, study.scales)}")
    return Scale()


def _by_canonical_value(
    config_class: type[TrainConfig], base: Mapping[str, Any], by_value: ByValue, where: str
) -> ByValue:
    """Return `by_value` with its keys as configurations have them: `bn` of a file is `batch` after `--axis`."""
    chosen: ByValue = {}
    for axis, of in by_value.items():
        for value, own in of.items():
            key = value
            if axis != VARIANT:
                with suppress(UserError):  # a value that needs another setting beside it stays as it is written
                    parsed = getattr(config_class.parse({**base, axis: value}, where), axis)
                    key = value if isinstance(parsed, list | tuple) else parsed
            named = chosen.setdefault(axis, {})
            named[key] = {**named.get(key, {}), **own}
    return chosen


def _make_cell(
    config_class: type[TrainConfig], base: Mapping[str, Any], values: Mapping[str, Any], seed: int, where: str
) -> Cell:
    settings = {axis: value for axis, value in values.items() if axis not in (VARIANT, TRIAL)}
    config = config_class.parse({**base, **settings, "seed": seed}, where)
    canonical = {axis: getattr(config, axis) if axis in settings else value for axis, value in values.items()}
    return Cell(cell_name(canonical, seed, where), canonical, seed, config)


def _refuse_duplicates(cells: list[Cell], path: Path) -> None:
    """Two spellings of one value (`bn`, `batch`) would make one folder of two cells."""
    names: set[str] = set()
    for cell in cells:
        if cell.name in names:
            raise UserError(f"{path}: axes name the cell {cell.name} twice: remove one of the two spellings")
        names.add(cell.name)
