"""The report's sections: one module each, in folders by task. `registry` lists them in their order."""

from __future__ import annotations

from normlab.report.blocks import Section
from normlab.report.sections.registry import GENERAL, SEARCH, SECTIONS, modules_of
from normlab.report.view import StudyView

__all__ = ["GENERAL", "SEARCH", "SECTIONS", "sections_of"]


def sections_of(view: StudyView) -> list[Section]:
    """Return the sections of a study's task that have something to show."""
    return [section for module in modules_of(view) if (section := module.section(view)) is not None]
