"""Train: choose settings, start, stop, resume, and watch. The watching is static/training.js's."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from vae_core.errors import DIVERGED, BusyError, RunNameError, SettingsError, VAEStudioError
from vae_core.runs import NAME_IN_WORDS
from vae_core.settings import PRESETS, Settings, range_in_words, usual_in_words
from vae_core.ui.parts import ask_first, call, part
from vae_core.ui.setting_labels import LABELS
from vae_core.ui.studio import Studio

SHOWN = (
    "epochs", "batch_size", "learning_rate", "latent_dim", "beta", "likelihood", "schedule", "optimizer",
    "seed", "limit",
)  # fmt: skip
FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
ABOUT = {
    "reference": (
        "The recipe of the MathWorks example: 30 epochs, Adam at 0.001. Ten minutes for all 60,000 images "
        "on two quiet cores, half an hour on busy ones."
    ),
    "minute": (
        f"A first model while you watch: Quick with {PRESETS['minute'].epochs} epochs. "
        "One minute on two quiet cores, two to four on busy ones."
    ),
    "quick": (
        f"As good as the reference in {PRESETS['quick'].epochs} epochs instead of 30: SOAP and a one-cycle "
        "learning rate."
    ),
    "sharp": (
        f"Crisper pictures: a calibrated likelihood, SOAP, {PRESETS['sharp'].epochs} epochs with a one-cycle "
        "learning rate. Takes longest."
    ),
}

BROKEN = "The app could not do this. Try again; if it fails again, the terminal that runs the app says why."
REFUSED = " data-refused"
"""On the words of a Resume that starts nothing, though it is no mistake, see static/training.js."""
UNTIL_END = " data-until='end'"
"""On what is over once no training runs any more, see static/training.js."""
LOOKING_ONLY = "This studio is for looking only: trainings are not started or stopped here."


def build(studio: Studio) -> gr.Radio:
    """Lays the tab out and connects its buttons; the choice of the recipe, which the form follows."""
    with gr.Row(elem_classes="train-bar"):
        preset = gr.Radio(
            [(name.capitalize(), name) for name in PRESETS],
            value="reference",
            label="Recipe",
            elem_id="preset",
        )
        about = gr.Markdown(ABOUT["reference"], elem_classes="muted", elem_id="preset-about")
        may_train = not studio.read_only
        with gr.Row(elem_classes="train-buttons"):
            start = gr.Button(
                "Start training",
                variant="primary",
                elem_id="start-training",
                size="md",
                interactive=may_train,
            )
            stop = gr.Button("Stop", elem_id="stop-training", size="md", min_width=80, interactive=may_train)
            resume = gr.Button(
                "Resume", elem_id="resume-training", size="md", min_width=80, interactive=may_train
            )
    problem = gr.HTML("" if may_train else _note(LOOKING_ONLY), elem_id="training-problem")
    with gr.Accordion("Advanced", open=False, elem_id="advanced") as advanced:
        fields = [_field(name, may_train) for name in SHOWN]
        run_name = gr.Textbox(
            label="Name",
            info=f"Of the new run: {NAME_IN_WORDS}. Empty: made of the time.",
            elem_id="run-name",
            interactive=may_train,
        )
    watch = part("training", elem_id="training-watch", is_worded=False)
    part("parity", is_worded=False)
    part("runs", elem_id="runs")

    watched = gr.Textbox(visible=False)  # filled by the script: the run that this visitor watches
    wanted = gr.Textbox(visible=False)  # and the one to be stopped, its own or another
    filled_from = gr.Textbox("reference", visible=False)  # the recipe whose values the fields were given

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    preset.input(None, preset, None, js=call("lesson", "keepRecipe"), queue=False, api_visibility="private")
    gr.on(  # one listener: a late answer for what was there before would come over a later one's
        [preset.change, *(field.blur for field in fields)],
        _form_as_it_is,
        [problem, filled_from, preset, *fields],
        [problem, filled_from, about, advanced, *fields],
        trigger_mode="always_last",
        queue=False,
        **quiet,
    )

    def start_from_form(name: str | None, *values: Any) -> list[Any]:
        name = (name or "").strip()  # None where Advanced was never opened
        try:
            studio.desk.start(_settings(values), name or None)
        except VAEStudioError as error:
            return [_alert(error), name, *map(_checked, SHOWN, values)]
        return ["", "", *map(_checked, SHOWN, values)]

    def stop_from_button(run: str | None) -> Any:
        if run is None:  # asked whether to stop another's training, the visitor said no
            return gr.skip()  # what stands below the buttons is the script's
        try:
            if studio.desk.stop(run):
                return ""
            return _note(f"{run} has ended already." if run else "Nothing is being trained.")
        except VAEStudioError as error:
            return _alert(error)

    def resume_from_button(run: str | None, epochs: Any) -> str:
        if run is None:  # asked whether to train a finished run on, the visitor said no
            return ""
        try:
            info = studio.watched(run)
            if info is None:
                return _note("There is no run to resume yet.", REFUSED)
            if info.is_shipped:
                return _note(
                    f"Run {info.name} came with the app and cannot be trained on. Start a new run.", REFUSED
                )
            if info.state == "failed" and DIVERGED in (info.error or ""):
                return _note(
                    f"Run {info.name} diverged, and with the same settings would again. Start a new run with "
                    "a smaller learning rate, under Advanced.",
                    REFUSED,
                )
            more = epochs if info.state == "finished" and epochs and epochs > info.epoch else None
            if info.state == "finished" and more is None:
                return _note(
                    f"Run {info.name} is finished, with {info.epoch} epoch{'s' * (info.epoch != 1)}. To "
                    "train it further, set Epochs under Advanced to a larger number and press Resume.",
                    REFUSED,
                )
            try:
                studio.desk.resume(info.name, more)
            except BusyError:
                if studio.desk.trains(info):  # pressed twice, it was obeyed once
                    return _note(f"Run {info.name} is being trained now.", UNTIL_END)
                raise
        except VAEStudioError as error:
            return _alert(error)
        if info.epoch == 0:
            return _note(f"Run {info.name} begins again: no epoch of it was finished.")
        return ""

    starting = call("training", "expectStart")
    started = start.click(
        start_from_form, [run_name, *fields], [problem, run_name, *fields],
        js=starting, concurrency_limit=4, **quiet,
    )  # fmt: skip
    stop.click(stop_from_button, wanted, problem, js=ask_first("training", "stopping"), queue=False, **quiet)
    resumed = resume.click(
        resume_from_button, [watched, fields[SHOWN.index("epochs")]], problem,
        js=ask_first("training", "resuming"), concurrency_limit=4, **quiet,
    )  # fmt: skip
    for asked in (started, resumed):
        asked.then(None, None, None, js=call("training", "startAnswered"), **quiet)
        asked.failure(
            lambda: _alert(BROKEN), None, problem, js=call("training", "startAnswered"), queue=False, **quiet
        )
    if may_train:
        watch.change(None, None, problem, js=ask_first("training", "noticeOfNow"), queue=False, **quiet)
    return preset


def _settings(values: tuple[Any, ...]) -> Settings:
    """Settings from the form's fields; Gradio's number field has no "empty", so 0 images means all."""
    chosen = dict(zip(SHOWN, values, strict=True))
    return Settings(**{**chosen, "limit": chosen["limit"] or None})


def _field(name: str, may_train: bool) -> gr.Number | gr.Dropdown:
    field = FIELDS[name]
    default: Any = field.default or 0
    common: dict[str, Any] = {"label": LABELS[name], "info": _about(name), "interactive": may_train}
    if choices := field.metadata.get("choices"):
        return gr.Dropdown(list(choices), value=default, **common)
    return gr.Number(value=default, **common)  # without Gradio's rounding: that it is no whole one is told


def _about(name: str) -> str:
    about = FIELDS[name].metadata["about"]
    if FIELDS[name].metadata.get("choices"):
        return about
    zero = "or 0 for all" if name == "limit" else ""
    spans = filter(None, [usual_in_words(FIELDS[name]), range_in_words(FIELDS[name]), zero])
    return f"{about} {', '.join(spans).capitalize()}."


def _checked(name: str, value: Any) -> dict[str, Any]:
    """The field again, with the mistake beside it if there is one."""
    try:
        Settings.from_dict({name: (value or None) if name == "limit" else value})
    except SettingsError as error:
        return gr.update(info=f"⚠ {_in_words(error)}", elem_classes=["wrong"])
    return gr.update(info=_about(name), elem_classes=[])


def _preset_values(name: str) -> list[Any]:
    settings = PRESETS[name].to_dict()
    return [settings[field] or 0 for field in SHOWN]


def _form_as_it_is(told: str | None, filled_from: str | None, recipe: str | None, *values: Any) -> list[Any]:
    """Another recipe fills the fields; else each is shown with its mistake, if there is one.

    A problem is over once the field that it was of has none. Another's stays: who presses Start leaves a
    field, and its answer might be the later one.
    """
    recipe = recipe or "reference"
    is_chosen = recipe != filled_from
    now = _preset_values(recipe) if is_chosen else values
    fields = list(map(_checked, SHOWN, now))
    mended = (name for name, field in zip(SHOWN, fields, strict=True) if not field["elem_classes"])
    is_over = any(f"data-field='{name}'" in (told or "") for name in mended)
    if is_chosen:
        fields = [field | {"value": value} for field, value in zip(fields, now, strict=True)]
    label = gr.update(label=_advanced(recipe, now))
    return ["" if is_over else gr.skip(), recipe, ABOUT[recipe], label, *fields]


def _advanced(recipe: str, values: Sequence[Any]) -> str:
    """What stands on the folded form: also what in it is no longer the recipe's."""
    differ = zip(SHOWN, _preset_values(recipe), values, strict=True)
    changed = [
        f"{LABELS[name][0].lower()}{LABELS[name][1:]} {'–' if value is None else value}"
        for name, default, value in differ
        if value != default
    ]
    return f"Advanced: the recipe with {', '.join(changed)}" if changed else "Advanced"


def _alert(problem: object) -> str:
    """A problem; one that lies in another training is over with that one's end."""
    of = UNTIL_END if isinstance(problem, BusyError) else ""
    if isinstance(problem, SettingsError | RunNameError):
        of = f" data-field='{problem.field}'"
    return f"<p role='alert' class='alert'{of}>{escape(_in_words(problem), quote=False)}</p>"


def _in_words(problem: object) -> str:
    """A problem as the form tells it: a sentence, in which a field is called what its label says."""
    words = str(problem)
    if isinstance(problem, SettingsError) and problem.field in SHOWN and words.startswith(problem.field):
        return LABELS[problem.field] + words.removeprefix(problem.field)
    return re.sub(r"^[a-z](?=[a-z]* )", lambda letter: letter[0].upper(), words)


def _note(text: str, of: str = "") -> str:
    return f"<p role='status' class='muted'{of}>{escape(text, quote=False)}</p>"
