"""The main table of a study as Markdown, for a README, and as LaTeX, for a paper's appendix."""

from __future__ import annotations

from normlab.report.blocks import Cell, Column, Table
from normlab.report.cells import SPLITS
from normlab.report.sections.image.results import splits_table
from normlab.report.sections.shared.all_metrics import metrics_table
from normlab.report.view import StudyView
from normlab.studies.study import Study

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "–": "--",
}  # fmt: skip


def table_markdown(study: Study) -> str:
    """Return the variants' results on all splits as a GitHub table, the best of each column bold."""
    table = main_table(study)
    lines = [_row([_heading(column) for column in table.columns])]
    lines.append(_row(["---:" if column.numeric else "---" for column in table.columns]))
    for cells in table.rows:
        texts = [whole(cell).replace("|", "\\|") for cell in cells]
        lines.append(_row([f"**{text}**" if cell.strong else text for text, cell in zip(texts, cells, strict=True)]))
    return "\n".join(lines) + "\n"


def table_latex(study: Study) -> str:
    """Return the same table for LaTeX with the package booktabs."""
    table = main_table(study)
    kinds = "".join("r" if column.numeric else "l" for column in table.columns)
    body = [
        " & ".join(rf"\textbf{{{latex(whole(cell))}}}" if cell.strong else latex(whole(cell)) for cell in cells)
        + r" \\"
        for cells in table.rows
    ]
    groups = [rf"\multicolumn{{{count}}}{{c}}{{{latex(title)}}}" for title, count in table.groups]
    head = [" & ".join(groups) + r" \\"] if any(title for title, _ in table.groups) else []
    head.append(" & ".join(latex(column.title) for column in table.columns) + r" \\")
    lines = [
        rf"\begin{{tabular}}{{{kinds}}}",
        r"\toprule",
        *head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def main_table(study: Study) -> Table:
    """Return the three-split table of an image study, every final metric of another task."""
    view = StudyView.read(study)
    return splits_table(view) if study.task == "image" else metrics_table(view)


def whole(cell: Cell) -> str:
    """Return a cell's text on one line: "91.32 ± 0.21", "4 of 5 (1 diverged)"."""
    if not cell.detail:
        return cell.text
    return f"{cell.text} {cell.detail}" if cell.detail.startswith("±") else f"{cell.text} ({cell.detail})"


def latex(text: str) -> str:
    """Return text with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(character, character) for character in text)


def _heading(column: Column) -> str:
    prefix = {SPLITS["train"]: "train", SPLITS["val"]: "val", SPLITS["test"]: "test"}.get(column.group, column.group)
    return f"{prefix} {column.title[0].lower()}{column.title[1:]}" if prefix else column.title


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
