"""How a tab puts a piece of our own page into Gradio: markup, and the script that brings it to life."""

from __future__ import annotations

import json
from pathlib import Path

import gradio as gr

STATIC = Path(__file__).parent / "static"
NOTHING = "<span hidden></span>"


def markup(name: str) -> str:
    """What stands in static/NAME.html."""
    return (STATIC / f"{name}.html").read_text(encoding="utf-8")


def part(name: str, elem_id: str | None = None, is_worded: bool = True, is_seen: bool = True) -> gr.HTML:
    """static/NAME.html as a component, given to the function `mount` of static/NAME.js once it is there.

    Args:
        is_worded: its marked texts follow the words of the chosen model's data set: see static/words.js.
        is_seen: there is something on the page; else it is a script alone.

    It has the class `part-NAME`, and its element carries `data-alive` from when the function has run.
    """
    mount = f"{_module(name)}.then((module) => module.mount(element, trigger)).then({SAY_ALIVE})"
    return gr.HTML(
        html_template=markup(name) if is_seen else NOTHING,
        js_on_load=f"{KEEP_WORDED}.then(() => {mount})" if is_worded else mount,
        elem_id=elem_id,
        elem_classes=["part", f"part-{name}"],
        apply_default_css=False,
    )


def text_part(name: str) -> gr.HTML:
    """static/NAME.html as a component without a script of its own."""
    return gr.HTML(
        html_template=markup(name),
        js_on_load=KEEP_WORDED,
        elem_classes=f"part-{name}",
        apply_default_css=False,
    )


def head_script(name: str) -> str:
    """For the page's head: static/NAME.js, which runs while Gradio is still on its way."""
    return f'<script type="module" src="studio/static/{name}.js"></script>'


def call(name: str, function: str, *values: str) -> str:
    """JavaScript for a listener's `js`: calls a function of static/NAME.js.

    It is given the values named here, or else those of the listener's inputs.
    """
    given = ", ".join(map(json.dumps, values)) or "...inputs"
    return (
        f"(...inputs) => {{ {_module(name)}.then((module) => module.{function}({given})); return inputs; }}"
    )


def ask_first(name: str, function: str) -> str:
    """As `call`, but what the function returns, a list, is what the listener gets for its inputs."""
    return f"async (...values) => (await {_module(name)}).{function}(...values)"


def _module(name: str) -> str:
    return f"import(new URL('studio/static/{name}.js', document.baseURI).href)"


SAY_ALIVE = '() => { element.dataset.alive = ""; }'
KEEP_WORDED = f"{_module('words')}.then((words) => words.keepWorded(element))"
