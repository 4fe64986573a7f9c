"""Generate: digits that nobody wrote, and the question whether the model remembers or invents."""

from __future__ import annotations

from typing import Any

import gradio as gr

from vae_core.generation import GENERATED_IMAGES, MOST_GENERATED_IMAGES, MOST_TEMPERATURE
from vae_core.ui.parts import ask_first, call, part


def build() -> None:
    """Lays the tab out; static/generated.js asks for the pictures."""
    with gr.Row(elem_classes="generate"):
        with gr.Column(scale=2, min_width=270):
            gr.HTML(
                "<h2>Generated Images</h2><p class='muted'>Latent vectors drawn at random, decoded by the "
                "model. The same seed gives the same picture.</p>",
                elem_classes="heading",
            )
            with gr.Row():
                another = gr.Button("Another seed", variant="primary", size="md", min_width=120)
                button = gr.Button("Generate", size="md", min_width=90)
            part("mistake", is_worded=False)
            seed = gr.Number(label="Seed", value=0)
            count = gr.Slider(
                label="Count", minimum=1, maximum=MOST_GENERATED_IMAGES, step=1, value=GENERATED_IMAGES
            )
            temperature = gr.Slider(
                label="Temperature",
                info="1 draws from the sampler itself; less stays near the middle.",
                minimum=0,
                maximum=MOST_TEMPERATURE,
                step=0.05,
                value=1,
            )
            sampler = gr.Radio(
                label="Sampler",
                info="The prior is N(0, I). The mixture is fitted to where the training images lie.",
                choices=[("prior (reference)", "prior"), ("mixture", "mixture")],
                value="prior",
                elem_id="generate-sampler",
            )
            label = gr.Dropdown(
                label="Class",
                info="One class: from its mean and covariance in latent space, whatever the sampler.",
                choices=[("all", "")],
                value="",
                elem_id="generate-class",
            )
        with gr.Column(scale=4, min_width=300):
            generated = part("generated", elem_id="generated-panel")
        with gr.Column(scale=2, min_width=240):
            part("invention", elem_id="invention")
            part("walk", elem_id="walk")
    fields = [seed, count, temperature, label, sampler]
    chosen: dict[str, Any] = {
        "inputs": fields, "queue": False, "api_visibility": "private",
    }  # fmt: skip
    generating: dict[str, Any] = chosen | {"js": call("generated", "generate")}
    for asked in (button.click, seed.submit, sampler.input, label.input):
        asked(None, **generating)
    seed.blur(None, **chosen, js=call("generated", "seedLeft"))
    for slider in (count, temperature):
        slider.change(None, **chosen, js=call("generated", "generateSoon"))
    generated.change(
        None, None, fields, js=ask_first("generated", "fields"), queue=False, api_visibility="private"
    )
    another.click(
        None, seed, seed, js=ask_first("generated", "anotherSeed"), queue=False, api_visibility="private"
    ).then(None, **generating)
    label.change(
        None, label, sampler, js=ask_first("generated", "samplerFor"), queue=False, api_visibility="private"
    )
