"""The tab of texts: entities, and what the tagger nearly said."""

from __future__ import annotations

import gradio as gr

from normlab.apps.serve import markup
from normlab.apps.serve.mistakes import answering
from normlab.apps.serve.parts import Parts
from normlab.apps.serve.text_view import BEST, EXAMPLES, tag_text
from normlab.errors import UserError

ALTERNATIVES = (
    f"The {BEST} likeliest taggings of each sentence, with the probability of the whole sentence being tagged so."
)


def text_tab(parts: Parts) -> None:
    """Draw the tab."""
    runs = parts.models["ner"]

    @answering(2)
    def read(text: str, model: str) -> tuple[str, str]:
        if model not in runs:
            raise UserError("there is no tagger: give a run of `normlab train ner`")
        entities, alternatives = tag_text(runs[model], text or "", most=parts.limits.characters)
        return entities, markup.heading("Other taggings", ALTERNATIVES) + alternatives

    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            text = gr.Textbox(
                EXAMPLES[0],
                label="Text",
                lines=5,
                max_lines=12,
                max_length=parts.limits.characters,
                elem_id="text-input",
            )
            model = gr.Dropdown(
                list(runs), value=next(iter(runs), None), label="Model", visible=len(runs) > 1, elem_id="text-model"
            )
            button = gr.Button("Find names", variant="primary", elem_id="text-button")
            example = gr.Radio(list(EXAMPLES), label="Examples", elem_id="text-example")
        with gr.Column(scale=3, min_width=300):
            message = gr.HTML(elem_id="text-message")
            entities = gr.HTML(elem_id="text-entities")
            alternatives = gr.HTML(elem_id="text-alternatives")
    outputs = [message, entities, alternatives]
    button.click(read, [text, model], outputs, **parts.computing)
    example.input(lambda chosen: chosen, [example], [text], **parts.quick).then(
        read, [text, model], outputs, **parts.computing
    )
