"""Explore: turn the latent knobs, and the digit follows; start anywhere, go anywhere."""

from __future__ import annotations

import gradio as gr

from vae_core.ui.parts import ask_first, call, part, text_part


def build() -> None:
    """Lays the tab out; the scripts of its parts do the rest."""
    with gr.Row(elem_classes="explore level"):
        with gr.Column(scale=3, min_width=280, elem_classes="explore-digit"):
            part("digit", elem_id="digits")
            with gr.Row():
                shuffle = gr.Button("Random digit", variant="primary", size="md", min_width=130)
                reset = gr.Button("Reset", size="md", min_width=80)
            starts = part("starts")
            part("compare")
        with gr.Column(scale=4, min_width=300):
            part("sliders", elem_id="latent-sliders")
        with gr.Column(scale=4, min_width=300):
            part("map")
    part("traversal")
    with gr.Row(elem_classes="level"):
        with gr.Column(scale=1, min_width=380):
            part("morph")
        with gr.Column(scale=1, min_width=380):
            part("loss", elem_id="loss-panel")
    text_part("help")
    starts.change(
        None, None, shuffle, js=ask_first("starts", "randomButton"), queue=False, api_visibility="private"
    )
    shuffle.click(None, None, None, js=call("sliders", "randomise"), queue=False, api_visibility="private")
    reset.click(None, None, None, js=call("sliders", "reset"), queue=False, api_visibility="private")
