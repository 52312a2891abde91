"""One figure of a study's report as a plotly object, for notebooks and papers."""

from __future__ import annotations

import plotly.graph_objects as go

from normlab.errors import UserError, did_you_mean
from normlab.report.blocks import Figure
from normlab.report.sections import sections_of
from normlab.report.view import StudyView
from normlab.studies.study import Study


def figure(study: Study, name: str) -> go.Figure:
    """Return a figure of the report by the name of its section ("curves": the section's first), or by its own.

    Raises: UserError with the names that the study's report has.
    """
    figures = _figures(study)
    for (section, own), found in figures.items():
        if name in (own, f"{section}/{own}", section):
            return found
    names = figure_names(study)
    sections = dict.fromkeys(each.partition("/")[0] for each in names)
    raise UserError(f"figure '{name}': {did_you_mean(name, [*sections, *names])}")


def figure_names(study: Study) -> list[str]:
    """Return the names of the figures of a study's report, "SECTION/FIGURE"."""
    return [f"{section}/{own}" for section, own in _figures(study)]


def _figures(study: Study) -> dict[tuple[str, str], go.Figure]:
    return {
        (section.slug, block.name): block.figure
        for section in sections_of(StudyView.read(study))
        for block in section.blocks
        if isinstance(block, Figure)
    }
