"""Studies -> one HTML file that needs no network.

Plotly's script, the style and every number are inside the file. A content security policy names the scripts
by their hashes, so a title or a class name out of a data set can never run as code, and nothing can be
fetched.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import plotly.io
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from normlab.report.blocks import VERDICTS, Figure
from normlab.report.sections import sections_of
from normlab.report.sections.shared.side_by_side import section as side_by_side
from normlab.report.view import StudyView
from normlab.runs.atomic import write_text
from normlab.runs.environment import package_version
from normlab.studies.sources import collect_studies
from normlab.studies.study import Study

_PACKED_FROM = 30_000  # characters; smaller figures are readable as they are, and gain little


def build_report(paths: Sequence[Path | str], out: Path | str) -> Path:
    """Write the report of study folders and run folders, in any mixture and state, and return its path.

    Of several runs, those with a damaged file are left out, and the report names them.
    Raises: UserError for a path that holds neither, or if no run can be read.
    """
    return write_report(collect_studies([Path(path) for path in paths]), out)


def write_report(studies: Sequence[Study], out: Path | str) -> Path:
    """Write the report of studies and return its path."""
    html = render([StudyView.read(study) for study in studies])
    target = Path(out)
    write_text(target, html)
    return target


def render(views: Sequence[StudyView]) -> str:
    """Return the report of studies that have been read."""
    chapters: list[dict[str, Any]] = [
        {"view": view, "prefix": f"s{index}", "sections": sections_of(view)} for index, view in enumerate(views)
    ]
    for index, view in enumerate(views[1:], start=1):  # each further study beside the first
        if view.study.task == views[0].study.task:
            chapters[index]["sections"].insert(0, side_by_side(views[0], view))
    scripts = [_one_newline(get_plotlyjs()), _asset("page.js")]
    return (
        _templates()
        .get_template("page.html")
        .render(
            title=" · ".join(view.study.title for view in views),
            chapters=chapters,
            style=Markup(_asset("page.css")),
            scripts=[Markup(script) for script in scripts],
            policy=_policy(scripts),
            version=package_version("normlab") or "",
            made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )
    )


def figure_script(block: Figure) -> Markup:
    """Return the script element of a figure: its JSON, in which no `<` can close the element.

    A large one is deflated, to about a third: a report of many variants must stay small enough to mail.
    """
    text = plotly.io.to_json(block.figure, validate=False, remove_uids=True, engine="json").replace("<", "\\u003c")
    if len(text) <= _PACKED_FROM:
        return Markup(f'<script type="application/json">{text}</script>')
    packed = base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    return Markup(f'<script type="application/json" data-packed>{packed}</script>')


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("normlab.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure_script"] = figure_script
    environment.globals["dash_array"] = _DASH_ARRAYS.get
    environment.globals["verdicts"] = VERDICTS
    return environment


# SVG's form of plotly's dashes, for the samples in legends and tables.
_DASH_ARRAYS: dict[str, Any] = {
    "solid": "none",
    "dash": "6 3",
    "dot": "2 3",
    "dashdot": "6 3 2 3",
    "longdash": "10 3",
    "longdashdot": "10 3 2 3",
}


def _policy(scripts: Sequence[str]) -> str:
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"


def _asset(name: str) -> str:
    return _one_newline((Path(__file__).parent / "templates" / name).read_text(encoding="utf-8"))


def _one_newline(text: str) -> str:
    """Return text as a browser reads it, so that its hash is the one that the browser computes."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
