"""How often a run of one variant beats a run of another, as a square of shares."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from normlab.report.figures.grid import TEXT_SIZE, escaped, panel_figure
from normlab.studies.statistics import probability_of_improvement

_WINS, _LOSES = "#3f97d9", "#dd7f35"


def improvement_figure(runs: Sequence[tuple[str, Sequence[float]]], *, lower_is_better: bool = False) -> go.Figure:
    """Draw the probability (%) that a run of the row beats one of the column; blue wins, orange loses.

    Args:
        runs: label and values of each variant's finished runs, best first; one without a run is left out.
    """
    sign = -1.0 if lower_is_better else 1.0
    shown = [(label, [sign * value for value in values]) for label, values in runs if values]
    shares = [
        [None if i == j else 100 * probability_of_improvement(a, b).mean for j, (_, b) in enumerate(shown)]
        for i, (_, a) in enumerate(shown)
    ]
    labels = [escaped(label) for label, _ in shown]
    positions = list(range(len(shown)))
    ticks = {"tickvals": positions, "ticks": "", "showgrid": False, "zeroline": False, "fixedrange": True}
    figure = panel_figure(
        [""],
        columns=1,
        row_height=34 * len(shown) + 10,
        max_width=78 * len(shown) + 40,
        x_title="",
        x_axis={**ticks, "ticktext": labels, "tickangle": -35, "automargin": True},
        y_axis={**ticks, "ticktext": labels, "autorange": "reversed", "automargin": True, "ticksuffix": "  "},
    )
    figure.layout.annotations = ()
    figure.add_trace(
        go.Heatmap(
            z=shares,
            zmin=0,
            zmax=100,
            colorscale=[
                [0.0, _LOSES],
                [0.5, "#dfe4ea"],
                [1.0, _WINS],
            ],
            showscale=False,
            xgap=2,
            ygap=2,
            text=[["" if share is None else f"{share:.0f}" for share in row] for row in shares],
            texttemplate="%{text}",
            textfont={"size": TEXT_SIZE},
            customdata=[[f"{a} beats {b}" for b in labels] for a in labels],
            hovertemplate="%{customdata}: %{z:.0f} % of the pairs of runs<extra></extra>",
        )
    )
    return figure
