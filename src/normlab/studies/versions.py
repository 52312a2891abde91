"""Were the cells of a study made alike? Numbers of two versions, or in two precisions, may differ for that alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from normlab.plurals import plural
from normlab.studies.study import Study

_PACKAGES = ("normlab", "torch")


def mixed_versions(environments: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each of normlab, its commit and torch of which the cells have several; none if all agree.

    Args:
        environments: what `environment.json` of the cells says; cells that do not say count in no line.
    """
    counts: dict[str, Counter[str]] = {}
    for environment in environments:
        versions = {name: environment.get("packages", {}).get(name) for name in _PACKAGES}
        for name, version in {**versions, "normlab's commit": environment.get("commit")}.items():
            if version:
                counts.setdefault(name, Counter())[str(version)] += 1
    return [
        f"cells were trained with several versions of {name}: "
        + ", ".join(f"{version} ({plural(count, 'cell')})" for version, count in versions.items())
        for name, versions in counts.items()
        if len(versions) > 1
    ]


def mixed_precisions(cells: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[str]:
    """Return a line if the machines chose several precisions for the cells; none if they agree.

    `precision: auto` is bfloat16 on one processor and float32 on another. One that was asked for is no accident.

    Args:
        cells: the configuration and the result of each.
    """
    chosen = (result.get("precision") for config, result in cells if config.get("precision", "auto") == "auto")
    counts = Counter(precision for precision in chosen if precision)
    if len(counts) < 2:
        return []
    shares = ", ".join(f"{name} ({plural(count, 'cell')})" for name, count in sorted(counts.items()))
    return [f"cells were trained in several precisions: {shares}: give --precision float32 or bfloat16 to all"]


def mixed_versions_of(study: Study) -> list[str]:
    """Return `mixed_versions` of the cells that have been started."""
    started = [cell.folder for cell in study.cells if (cell.folder.path / "environment.json").is_file()]
    return mixed_versions(folder.environment() for folder in started)


def mixed_precisions_of(study: Study) -> list[str]:
    """Return `mixed_precisions` of the cells that are done."""
    return mixed_precisions((cell.folder.config(), cell.result) for cell in study.cells if cell.result is not None)
