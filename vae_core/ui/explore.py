"""Explore: turn the latent knobs, and the digit follows."""

from __future__ import annotations

import gradio as gr

from vae_core.ui.parts import call, part


def build() -> None:
    """Lays the tab out; static/explore.js does the rest."""
    with gr.Row(elem_classes="explore"):
        with gr.Column(scale=2, min_width=280):
            part("digit", elem_id="decoded-digit")
            with gr.Row():
                shuffle = gr.Button("Random digit", variant="primary", size="md", min_width=150)
                reset = gr.Button("Reset", size="md", min_width=100)
        with gr.Column(scale=3, min_width=300):
            part("sliders", elem_id="latent-sliders")
    shuffle.click(None, None, None, js=call("sliders", "randomise"), queue=False, api_visibility="private")
    reset.click(None, None, None, js=call("sliders", "reset"), queue=False, api_visibility="private")
