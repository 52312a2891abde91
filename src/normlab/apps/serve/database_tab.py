"""The tab of databases: a question, its query to edit and run again, rows, other readings, linked words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from normlab.apps.ask.files import SUFFIXES
from normlab.apps.serve import markup
from normlab.apps.serve.database_view import Databases, links_of, readings_of, rows_of, sureness_of
from normlab.apps.serve.mistakes import answering
from normlab.apps.serve.parts import Parts
from normlab.apps.serve.sample_shop import QUESTIONS, write_shop

_FILES = "SQLite, CSV, TSV or Parquet. Without a file, questions go to a sample shop. Files are read, never changed."
_TYPES = [".sqlite", ".sqlite3", ".db", *SUFFIXES]


def database_tab(parts: Parts) -> None:
    """Draw the tab."""
    runs = parts.models["text2sql"]
    shop = write_shop(parts.folder_for("shop") / "shop.sqlite")
    databases = Databases(runs, parts.limits)
    parts.resources.callback(databases.close)

    def path_of(file: str | None) -> Path:
        return shop if file is None else Path(file)

    @answering(5)
    def ask(file: str | None, question: str, model: str) -> tuple[Any, ...]:
        answer = databases.question(path_of(file), model, question or "")
        readings = readings_of(answer)
        return (
            answer.sql,
            rows_of(answer.columns, answer.rows, answer.truncated) + markup.notes([sureness_of(answer), *answer.notes]),
            gr.Radio(choices=readings, value=answer.sql, visible=True),
            markup.heading("What the words name") + links_of(answer),
            "",
        )

    def asked(file: str | None, question: str, model: str) -> tuple[Any, ...]:
        values = ask(file, question, model)[:-1]
        return values if not values[0] else (*values[:3], gr.Radio(choices=[], visible=False), values[4])

    @answering(1)
    def run(file: str | None, sql: str, model: str) -> str:
        result = databases.run(path_of(file), model, sql or "")
        return rows_of(result.columns, result.rows, result.truncated)

    @answering(1)
    def describe(file: str | None, model: str) -> str:
        return databases.describe(path_of(file), model)

    def opened(file: str | None, model: str) -> tuple[Any, ...]:
        line, tables = describe(file, model)
        return line, tables, "", "", gr.Radio(choices=[], visible=False), ""

    def chosen(example: str, model: str) -> tuple[Any, ...]:
        return example, None, *describe(None, model)  # the examples are about the shop, whatever was uploaded

    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            upload = gr.File(
                label=f"Your database, up to {parts.limits.upload_text}",
                file_types=_TYPES,
                height=160,
                elem_id="database-upload",
            )
            gr.HTML(f'<p class="nl-soft">{_FILES}</p>')
            model = gr.Dropdown(
                list(runs), value=next(iter(runs), None), label="Model", visible=len(runs) > 1, elem_id="database-model"
            )
            with gr.Accordion("Tables", open=True):
                tables = gr.HTML(elem_id="database-tables")
        with gr.Column(scale=2, min_width=300):
            question = gr.Textbox(
                label="Question, in English",
                placeholder="How many customers are there?",
                max_length=parts.limits.characters,
                elem_id="database-question",
            )
            button = gr.Button("Ask", variant="primary", elem_id="database-ask")
            example = gr.Radio(list(QUESTIONS), label="or ask the sample shop", elem_id="database-example")
            message = gr.HTML(elem_id="database-message")
            sql = gr.Textbox(
                label="Query, to be edited",
                lines=3,
                max_lines=8,
                max_length=parts.limits.characters,
                elem_id="database-sql",
            )
            again = gr.Button("Run the query, read-only", elem_id="database-run")
            rows = gr.HTML(elem_id="database-rows")
            readings = gr.Radio(
                [],
                label="Readings of the question, with the model's probability: choose one to run it",
                visible=False,
                elem_id="database-readings",
            )
            links = gr.HTML(elem_id="database-links")
    answers = [message, sql, rows, readings, links]
    button.click(asked, [upload, question, model], answers, **parts.computing)
    question.submit(asked, [upload, question, model], answers, **parts.computing)
    example.input(chosen, [example, model], [question, upload, message, tables], **parts.computing).then(
        asked, [upload, question, model], answers, **parts.computing
    )
    readings.input(lambda chosen: chosen, [readings], [sql], **parts.quick).then(
        run, [upload, sql, model], [message, rows], **parts.computing
    )
    again.click(run, [upload, sql, model], [message, rows], **parts.computing)
    changed = [message, tables, sql, rows, readings, links]
    upload.upload(opened, [upload, model], changed, **parts.computing)
    upload.clear(opened, [upload, model], changed, **parts.computing)
    parts.on_load(lambda: describe(None, next(iter(runs), "")), [message, tables])
