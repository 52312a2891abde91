"""The tab of pictures: one picture through all image models, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from normlab.apps.serve import markup
from normlab.apps.serve.image_view import as_shown, preview, read_picture
from normlab.apps.serve.mistakes import answering
from normlab.apps.serve.parts import Parts
from normlab.apps.serve.sample_pictures import write_pictures
from normlab.data.image.pixels import IMAGE_SUFFIXES
from normlab.errors import UserError

COMPANY = (
    "A batch norm that is left in training mode computes its statistics over the batch. Then the answer for a picture "
    "depends on the pictures beside it, and alone it may be another one. Instance norm has no such state. Answers "
    "that differ from evaluation mode are marked."
)
FEATURES = "Percentiles of the 64 activations that the output layer reads, for this picture, in evaluation mode."


def image_tab(parts: Parts) -> None:
    """Draw the tab."""
    runs = parts.models["image"]
    samples = write_pictures(parts.folder_for("pictures"))
    size = max((run.folder.card().get("image_size", [32])[0] for run in runs.values()), default=32)

    @answering(5)
    def read(sample: str | None, file: str | None) -> tuple[Any, ...]:
        if file is None and sample not in samples:
            raise UserError("there is no picture: choose a sample, or upload one")
        picture = samples[str(sample)] if file is None else Path(file)
        readings = {title: read_picture(run, picture, list(samples.values())) for title, run in runs.items()}
        shown = as_shown(readings, runs)
        return (
            preview(picture, size),
            shown[0],
            markup.heading("Batch mates", COMPANY) + shown[1],
            markup.heading("Features", FEATURES) + shown[2],
            "",
        )

    def read_sample(sample: str | None) -> tuple[Any, ...]:
        return (*read(sample, None)[:-1], None)  # the sample replaces what was uploaded

    def read_upload(sample: str | None, file: str | None) -> tuple[Any, ...]:
        return (*read(None, file)[:-1], None) if file else (*read(sample, None)[:-1], sample)

    with gr.Row():
        with gr.Column(scale=1, min_width=260):
            sample = gr.Radio(list(samples), label="Sample pictures, drawn by code", elem_id="image-sample")
            upload = gr.File(
                label=f"or your own, up to {parts.limits.upload_text}",
                file_types=list(IMAGE_SUFFIXES),
                height=160,
                elem_id="image-upload",
            )
            picture = gr.HTML(elem_id="image-preview")
        with gr.Column(scale=3, min_width=300):
            message = gr.HTML(elem_id="image-message")
            answers = gr.HTML(_INVITATION if runs else markup.mistake(_NO_MODEL), elem_id="image-answers")
            company = gr.HTML(elem_id="image-company")
            features = gr.HTML(elem_id="image-features")
    shown = [message, picture, answers, company, features]
    sample.input(read_sample, [sample], [*shown, upload], **parts.computing)
    upload.upload(read_upload, [sample, upload], [*shown, sample], **parts.computing)


_INVITATION = '<p class="nl-soft">Choose a sample or upload a picture: the models answer here, side by side.</p>'
_NO_MODEL = "there is no image model: give a run of `normlab train image`"
