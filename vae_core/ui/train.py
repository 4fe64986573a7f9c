"""Train: choose settings, start, stop, resume, and watch. The watching is static/training.js's."""

from __future__ import annotations

import dataclasses
from typing import Any

import gradio as gr

from vae_core.errors import SettingsError, VAEStudioError
from vae_core.settings import PRESETS, Settings
from vae_core.ui.parts import call, part
from vae_core.ui.studio import Studio

SHOWN = (
    "epochs",
    "batch_size",
    "learning_rate",
    "latent_dim",
    "beta",
    "likelihood",
    "schedule",
    "seed",
    "limit",
)
LABELS = {"latent_dim": "Latents", "limit": "Training images (0 for all)", "beta": "Beta (KL weight)"}
ABOUT = {
    "reference": "The recipe of the MathWorks example: 30 epochs, Adam at 0.001. Half an hour on a laptop.",
    "quick": "Nearly as good in a fifth of the time: 6 epochs with a one-cycle learning rate.",
    "sharp": "Crisper digits: a calibrated likelihood, 8 epochs with a one-cycle learning rate.",
}


def build(studio: Studio) -> None:
    """Lays the tab out and connects its buttons."""
    with gr.Row(elem_classes="train"):
        with gr.Column(scale=1, min_width=280):
            preset = gr.Radio(
                [(name.capitalize(), name) for name in PRESETS],
                value="reference",
                label="Recipe",
                elem_id="preset",
            )
            about = gr.Markdown(ABOUT["reference"], elem_classes="muted")
            start = gr.Button("Start training", variant="primary", elem_id="start-training", size="md")
            with gr.Row():
                stop = gr.Button("Stop", elem_id="stop-training", size="md", min_width=80)
                resume = gr.Button("Resume", elem_id="resume-training", size="md", min_width=80)
            problem = gr.HTML("", elem_id="training-problem")
            with gr.Accordion("Advanced", open=False):
                fields = [_field(name) for name in SHOWN]
        with gr.Column(scale=3, min_width=320):
            part("training", elem_id="training-watch")

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    preset.change(_preset_values, preset, [about, *fields], queue=False, **quiet)

    def start_from_form(*values: Any) -> str:
        try:
            studio.desk.start(_settings(values, studio.device))
        except VAEStudioError as error:
            return _alert(error)
        return ""

    def stop_from_button() -> str:
        return "" if studio.desk.stop() else _note("Nothing is being trained.")

    def resume_from_button() -> str:
        try:
            info = studio.watched()
            if info is None:
                return _note("There is no run to resume yet.")
            studio.desk.resume(info.name)
        except VAEStudioError as error:
            return _alert(error)
        return ""

    start.click(
        start_from_form, fields, problem, js=call("training", "expectStart"), concurrency_limit=4, **quiet
    )
    stop.click(stop_from_button, None, problem, queue=False, **quiet)
    resume.click(
        resume_from_button, None, problem, js=call("training", "expectStart"), concurrency_limit=4, **quiet
    )


def _settings(values: tuple[Any, ...], device: str) -> Settings:
    """Settings from the form's fields; Gradio's number field has no "empty", so 0 images means all."""
    chosen = dict(zip(SHOWN, values, strict=True))
    return Settings(**{**chosen, "limit": chosen["limit"] or None}, device=device)


def _field(name: str) -> gr.Number | gr.Dropdown:
    field = next(field for field in dataclasses.fields(Settings) if field.name == name)
    label = LABELS.get(name, name.replace("_", " ").capitalize())
    about = field.metadata["about"]
    default: Any = field.default or 0
    if choices := field.metadata.get("choices"):
        return gr.Dropdown(list(choices), value=default, label=label, info=about)
    whole = str(field.type).startswith("int")
    return gr.Number(value=default, label=label, info=about, precision=0 if whole else None)


def _preset_values(name: str) -> list[Any]:
    settings = PRESETS[name].to_dict()
    return [ABOUT[name], *(settings[field] or 0 for field in SHOWN)]


def _alert(error: Exception) -> str:
    field = (
        f"<strong>{LABELS.get(error.field, error.field)}</strong>: "
        if isinstance(error, SettingsError)
        else ""
    )
    return f"<p role='alert' class='alert'>{field}{_escaped(str(error))}</p>"


def _note(text: str) -> str:
    return f"<p role='status' class='muted'>{_escaped(text)}</p>"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
