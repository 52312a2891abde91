"""Which sections a report has, by task and in order. To add one: a module in a folder below, and its name in a list.

A section's module has `section(view) -> Section | None`, a pure function that returns None where the study has nothing
to show. It may offer more, which other sections collect from the study's own list (`offered`), so that no section
imports another one:

- `sentences(view) -> list[str]`: what the summary says about its subject;
- `published_values(view, metric) -> dict[label, list[(source, value)]]`: published results of the same networks,
  drawn as rings beside ours in the overview.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from normlab.report.view import StudyView

_START = ["shared.summary", "shared.progress", "shared.overview"]
_END = ["shared.timing", "shared.configuration", "shared.environment"]

GENERAL = [
    *_START,
    "shared.loss_curves",
    "shared.all_metrics",
    "shared.rankings",
    "shared.steadiness",
    "shared.claims",
    *_END,
]

# A search has many trials of each variant: its own findings replace the tables and figures of single variants.
SEARCH = ["search.findings", "shared.claims", "search.best_curves", "shared.configuration", "shared.environment"]

SECTIONS: dict[str, list[str]] = {
    "image": [
        *_START,
        "image.error_curves",
        "image.results",
        "shared.rankings",
        "shared.steadiness",
        "image.recommendation",
        "shared.claims",
        "image.published",
        "image.percentiles",
        "image.dead_channels",
        "image.gates",
        "image.weights",
        "shared.confusion",
        "image.gallery",
        "image.batch_size",
        "image.own_batch_norm",
        *_END,
    ],
    "ner": [
        *_START,
        "ner.curves",
        "ner.scores",
        "shared.rankings",
        "shared.steadiness",
        "shared.claims",
        "ner.published",
        "ner.entity_types",
        "ner.examples",
        "ner.calibration",
        "shared.confusion",
        "ner.speed",
        *_END,
    ],
    "text2sql": [
        *_START,
        "text2sql.curves",
        "text2sql.scores",
        "shared.rankings",
        "shared.steadiness",
        "shared.claims",
        "text2sql.published",
        "text2sql.breakdown",
        "text2sql.examples",
        *_END,
    ],
}


def modules_of(view: StudyView) -> list[ModuleType]:
    """Return the modules of a study's sections: a search's, those of its task, or the general ones."""
    names = SEARCH if view.study.search else SECTIONS.get(view.study.task, GENERAL)
    package = __name__.rpartition(".")[0]
    return [import_module(f"{package}.{name}") for name in names]


def offered(view: StudyView, name: str) -> list[Callable[..., Any]]:
    """Return the functions of one name that the study's sections offer, in the order of the sections."""
    return [vars(module)[name] for module in modules_of(view) if name in vars(module)]
