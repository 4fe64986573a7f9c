"""Test errors: the errors of the test images, the images behind them, and where classes are confused."""

from __future__ import annotations

import gradio as gr

from vae_core.ui.parts import part


def build() -> None:
    """Lays the tab out; static/tested.js knows whose errors they are, the scripts of the parts show them."""
    with gr.Row(elem_classes="errors-head"):
        part("errors", elem_id="test-errors")
        part("compare")
    part("gallery", elem_id="error-images")
    with gr.Row(elem_classes="level", elem_id="error-classes"):
        with gr.Column(scale=1, min_width=300):
            part("perclass", elem_id="errors-by-class")
        with gr.Column(scale=1, min_width=300):
            part("turned", elem_id="turned-into")
    part("meanings", elem_id="error-meanings")
