"""The report's sections: one module each with a pure function `section(view) -> Section | None`.

A task lists the sections that it wants, in order; a task that lists none gets the general ones. A section
that has nothing to say for a study returns None. To add one: a module here, and its name in a list below.
"""

from __future__ import annotations

from importlib import import_module

from normlab.report.blocks import Section
from normlab.report.view import StudyView

GENERAL = [
    "summary",
    "progress",
    "all_metrics",
    "rankings",
    "claims",
    "loss_curves",
    "timing",
    "configuration",
    "environment",
]

# A search has many trials of each variant: its own findings stand for the tables and figures of all of them.
SEARCH = ["search", "claims", "best_curves", "configuration", "environment"]

SECTIONS: dict[str, list[str]] = {
    "image": [
        "summary",
        "progress",
        "results",
        "rankings",
        "recommendation",
        "claims",
        "published",
        "error_curves",
        "percentiles",
        "dead_channels",
        "gates",
        "weights",
        "confusion",
        "batch_size",
        "own_batch_norm",
        "timing",
        "configuration",
        "environment",
    ],
    "ner": [
        "summary",
        "progress",
        "tagging",
        "rankings",
        "claims",
        "published_ner",
        "entity_types",
        "tagging_examples",
        "tagging_curves",
        "calibration",
        "confusion",
        "tagging_speed",
        "timing",
        "configuration",
        "environment",
    ],
    "text2sql": [
        "summary",
        "progress",
        "sql_results",
        "rankings",
        "claims",
        "published_sql",
        "sql_breakdown",
        "sql_examples",
        "sql_curves",
        "timing",
        "configuration",
        "environment",
    ],
}


def sections_of(view: StudyView) -> list[Section]:
    """Return the sections of a study's task that have something to say."""
    names = SEARCH if view.study.search else SECTIONS.get(view.study.task, GENERAL)
    modules = (import_module(f"{__name__}.{name}") for name in names)
    return [section for module in modules if (section := module.section(view)) is not None]
