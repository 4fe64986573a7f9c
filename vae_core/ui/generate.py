"""Generate: digits that nobody wrote, decoded from N(0, I)."""

from __future__ import annotations

import gradio as gr

from vae_core.ui.parts import call, part


def build() -> None:
    """Lays the tab out; static/generated.js asks for the picture."""
    with gr.Row(elem_classes="generate"):
        with gr.Column(scale=1, min_width=240):
            gr.HTML(
                "<h2>Generated Images</h2><p class='muted'>Latent vectors drawn from N(0, I), decoded by "
                "the model. The same seed gives the same picture.</p>",
                elem_classes="heading",
            )
            seed = gr.Number(label="Seed", value=0, precision=0, minimum=0, maximum=2**31 - 1)
            count = gr.Slider(label="Count", minimum=1, maximum=400, step=1, value=64)
            button = gr.Button("Generate", variant="primary", size="md")
        with gr.Column(scale=3, min_width=300):
            part("generated", elem_id="generated-panel")
    button.click(
        None, [seed, count], None, js=call("generated", "generate"), queue=False, api_visibility="private"
    )
