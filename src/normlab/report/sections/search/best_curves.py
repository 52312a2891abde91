"""The curves of the best trial of each scheme in a search: what its settings look like over the epochs."""

from __future__ import annotations

from normlab.metrics import is_fraction, title_of
from normlab.report.blocks import Figure, Key, Section
from normlab.report.figures.curves import as_it_is, as_percent, curves_figure
from normlab.report.sections.search.findings import styled_schemes
from normlab.report.view import StudyView, Variant
from normlab.studies.search.findings import search_of


def section(view: StudyView) -> Section | None:
    """Draw the objective and the training loss of the best trials; None before one has a score."""
    objective = search_of(view.study).objective
    by_name = {cell.name: cell for cell in view.cells}
    best = [
        Variant(scheme.values, label, style, [by_name[cell.name] for cell in scheme.best.cells])
        for scheme, label, style in styled_schemes(view.study)
        if scheme.best
    ]
    if not best:
        return None
    percent = is_fraction(objective)
    panels = [
        (f"{title_of(objective)}{' (%)' if percent else ''}", objective, as_percent if percent else as_it_is),
        ("training loss", "train/online_loss", as_it_is),
    ]
    figure = curves_figure(best, panels, share_y=False)
    keys = [Key(variant.label, variant.style) for variant in best]
    return Section("best-curves", "Curves of the best trials", [Figure("best_curves", "By epoch", figure, keys)])
