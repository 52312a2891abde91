"""How text-to-SQL models learn: training and validation loss, and exact match while it is cheap to measure."""

from __future__ import annotations

from dataclasses import replace

from normlab.report.blocks import Section
from normlab.report.sections.shared import loss_curves
from normlab.report.view import StudyView

_HELP = (
    "One line per variant: the mean over its seeds; the band runs from the lowest to the highest seed. Loss is -log "
    "p(all actions of the query) in nats, averaged over questions. The training loss is taken as the weights moved, "
    "with dropout, hidden tables and label smoothing, the validation loss without any of them: training may well lie"
    " above validation. Exact match by epoch is greedy, on a fixed sample of the validation questions."
)


def section(view: StudyView) -> Section | None:
    """Show the general curves with what these losses are."""
    general = loss_curves.section(view)
    return None if general is None else replace(general, help=_HELP)
