"""Draw: a digit goes through the model while it is being drawn."""

from __future__ import annotations

import gradio as gr

from vae_core.ui.parts import part


def build() -> None:
    """Lays the tab out; static/sketch.js draws and asks, static/flow.js shows."""
    with gr.Row(elem_classes="draw"):
        with gr.Column(scale=2, min_width=280):
            gr.HTML("<h2>Your drawing</h2>", elem_classes="heading")
            part("sketch", elem_id="sketch")
            part("pen")
            part("compare")
        with gr.Column(scale=5, min_width=300):
            part("flow", elem_id="flow")
