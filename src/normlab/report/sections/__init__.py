"""The report's sections: one module each with a pure function `section(view) -> Section | None`.

A task lists the sections that it wants, in order; a task that lists none gets the general ones. A section
that has nothing to say for a study returns None. To add one: a module here, and its name in a list below.
"""

from __future__ import annotations

from importlib import import_module

from normlab.report.blocks import Section
from normlab.report.view import StudyView

GENERAL = [
    "shared.summary",
    "shared.progress",
    "shared.all_metrics",
    "shared.rankings",
    "shared.claims",
    "shared.loss_curves",
    "shared.timing",
    "shared.configuration",
    "shared.environment",
]

# A search has many trials of each variant: its own findings stand for the tables and figures of all of them.
SEARCH = ["search.findings", "shared.claims", "search.best_curves", "shared.configuration", "shared.environment"]

SECTIONS: dict[str, list[str]] = {
    "image": [
        "shared.summary",
        "shared.progress",
        "image.results",
        "shared.rankings",
        "image.recommendation",
        "shared.claims",
        "image.published",
        "image.error_curves",
        "image.percentiles",
        "image.dead_channels",
        "image.gates",
        "image.weights",
        "shared.confusion",
        "image.batch_size",
        "image.own_batch_norm",
        "shared.timing",
        "shared.configuration",
        "shared.environment",
    ],
    "ner": [
        "shared.summary",
        "shared.progress",
        "ner.scores",
        "shared.rankings",
        "shared.claims",
        "ner.published",
        "ner.entity_types",
        "ner.examples",
        "ner.curves",
        "ner.calibration",
        "shared.confusion",
        "ner.speed",
        "shared.timing",
        "shared.configuration",
        "shared.environment",
    ],
    "text2sql": [
        "shared.summary",
        "shared.progress",
        "text2sql.scores",
        "shared.rankings",
        "shared.claims",
        "text2sql.published",
        "text2sql.breakdown",
        "text2sql.examples",
        "text2sql.curves",
        "shared.timing",
        "shared.configuration",
        "shared.environment",
    ],
}


def sections_of(view: StudyView) -> list[Section]:
    """Return the sections of a study's task that have something to say."""
    names = SEARCH if view.study.search else SECTIONS.get(view.study.task, GENERAL)
    modules = (import_module(f"{__name__}.{name}") for name in names)
    return [section for module in modules if (section := module.section(view)) is not None]
