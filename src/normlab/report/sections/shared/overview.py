"""The headline metric in one figure: a dot with its interval per variant, published results beside it as rings."""

from __future__ import annotations

from normlab.metrics import is_fraction, title_of
from normlab.report.blocks import Figure, Key, Section
from normlab.report.figures.comparison import dots_figure
from normlab.report.palette import Style
from normlab.report.published import Published
from normlab.report.sections.registry import offered
from normlab.report.view import StudyView

_HELP = (
    "A dot is the mean over a variant's finished seeds, its bar the 95 % interval; one seed has no interval. Rings, "
    "where there are any, are results that others published for the same kind of network; hover a ring for its "
    "source. Their protocols differ from this study's, so a ring is a point of reference. A triangle at the left edge "
    "is a published value below the axis."
)


def section(view: StudyView) -> Section | None:
    """Show the figure once two variants, or a variant and a published result, can be compared."""
    metric = view.headline
    ours = [(variant.label, variant.style, variant.interval(metric)) for variant in view.variants]
    published: Published = {
        label: values
        for values_of in offered(view, "published_values")
        for label, values in values_of(view, metric).items()
    }
    measured = sum(interval is not None for _, _, interval in ours)
    if not measured or measured + any(published.values()) < 2:
        return None
    title = title_of(metric)
    keys = [Key("ours", Style("#3a6ea5", "dot-mark")), Key("published", Style("#8a929c", "ring"))]
    figure = Figure(
        "overview",
        f"{title[0].upper()}{title[1:]}{', ours and published' if any(published.values()) else ' by variant'}",
        dots_figure(ours, published, title, percent=is_fraction(metric)),
        keys if any(published.values()) else [],
    )
    return Section("overview", "Overview", [figure], help=_HELP)
