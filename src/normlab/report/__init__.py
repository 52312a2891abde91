"""Runs and studies -> one offline HTML file, or the main table as Markdown and LaTeX. Imports no torch."""

from normlab.report.build import build_report, write_report
from normlab.report.drawing import figure, figure_names
from normlab.report.export import table_latex, table_markdown

__all__ = ["build_report", "figure", "figure_names", "table_latex", "table_markdown", "write_report"]
