"""The tab of studies: the report of a study that was named, or of an archive that was uploaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from normlab.apps.serve import markup
from normlab.apps.serve.mistakes import answering, said
from normlab.apps.serve.parts import Parts
from normlab.apps.serve.reports import SAMPLE, SAMPLE_TITLE, Reports, title_of


def study_tab(parts: Parts, reports: Reports, studies: Sequence[Path]) -> None:
    """Draw the tab."""
    named = {**{title_of(study): study for study in studies}, SAMPLE_TITLE: SAMPLE}

    @answering(1)
    def show(study: Path) -> str:
        name, remarks = reports.report(study)
        address = f"reports/{name}"
        # An uploaded study is a stranger's: its report may run its own scripts, and reach nothing of this page.
        frame = (
            f'<iframe src="{address}" title="report of the study" sandbox="allow-scripts allow-downloads allow-popups">'
            "</iframe>"
        )
        return f"{markup.notes(said(line) for line in remarks)}{frame}" + (
            f'<p><a href="{address}" target="_blank" rel="noopener">Open the report in a page of its own</a></p>'
        )

    def show_named(title: str | None) -> tuple[Any, ...]:
        return *(show(named[title]) if title in named else ("", "")), None  # it replaces what was uploaded

    def show_upload(file: str | None) -> tuple[Any, ...]:
        return *(("", "") if file is None else show(Path(file))), None

    choice = gr.Radio(list(named), label="Studies at hand", elem_id="study-choice")
    upload = gr.File(
        label=f"or a packed study (.zip), up to {parts.limits.upload_text}",
        file_types=[".zip"],
        height=160,
        elem_id="study-upload",
    )
    message = gr.HTML(elem_id="study-message")
    report = gr.HTML(elem_id="study-report")
    choice.input(show_named, [choice], [message, report, upload], **parts.computing)
    upload.upload(show_upload, [upload], [message, report, choice], **parts.computing)
