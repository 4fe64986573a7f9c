"""A lesson: what the page leaves out and starts with, as its address says, or else `--lesson`.

Here stand the names of all that can be left out, and of the guide's steps; static/lesson.js reads them and
hides. Hidden is a matter of the page, not of permissions: those are `--read-only`'s and the guard's.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import get_args
from urllib.parse import parse_qsl, urlencode

import numpy as np

from vae_core.errors import LessonError, in_short
from vae_core.evaluated import Latents, Order
from vae_core.generation import MOST_GENERATED_IMAGES, MOST_TEMPERATURE, SAMPLERS
from vae_core.latent_space import LARGEST_LATENT
from vae_core.run_folder import Run
from vae_core.run_record import RunInfo
from vae_core.settings import MOST_SEED, PRESETS
from vae_core.ui.parts import head_script

TABS = {
    "explore": "Explore",
    "draw": "Draw",
    "train": "Train",
    "errors": "Test errors",
    "generate": "Generate",
}
"""The tabs by their names in addresses, in their order."""
RESTRICTIONS = ("tabs", "hide", "preset")
GRID = {
    "seed": (0, MOST_SEED),
    "count": (1, MOST_GENERATED_IMAGES),
    "class": (0, 255),
    "temperature": (0, MOST_TEMPERATURE),
}
"""Numbers of an address that say what is generated: least and most."""
SHOWN = {"low": (0, 1), "high": (0, 1), "label": (0, 255), "read_as": (0, 255)}
"""Numbers of an address that say which images Test errors shows: with an error from low to high, of a class,
with a reconstruction that is read as a class; least and most."""
NUMBERS = {"image": (0, 999_999), **GRID, **SHOWN}
"""All numbers of an address, in the same way; which test images there are is known where it is opened."""
WHOLE = re.compile(r"-?[0-9]{1,12}")
NUMBER = re.compile(r"-?[0-9]{1,12}(\.[0-9]*)?")
"""As they are written for Python and JavaScript alike, which read "6_4" or "1e3" each in its own way."""
FRACTIONS = ("temperature", "low", "high")
"""Those that need not be whole."""


@dataclass(frozen=True)
class Step:
    """A step of the guide, whose words stand in static/guide.html.

    Attributes:
        place: where it begins, as an address says it.
        parts: those of the page that it needs; where one is left out, the step is too. It is about the first,
            without any about the tab.
        is_brought: on a phone, too, what it is about is brought into sight, and not only marked.
        about: the CSS selector of what it is about, where that is no part of the page with a name.
    """

    place: str
    parts: tuple[str, ...] = ()
    is_brought: bool = True
    about: str = ""


STEPS = {
    "numbers": Step("model=reference", ("sliders",)),
    "map": Step("model=reference", ("map",)),
    "encoder": Step("model=reference&image=4", ("sliders",)),
    "loss": Step("model=reference&image=4", ("loss", "film")),
    "draw": Step("model=reference&tab=draw"),
    "errors": Step("model=reference&tab=errors&order=falling", ("gallery",)),
    "generate": Step("model=sharp&tab=generate", ("sampler",), is_brought=False),
    "train": Step("model=reference&tab=train&watch=reference", about=".watch-pictures"),
}
"""The guide's steps by their names in addresses, in their order."""
CHOICES = {
    "sampler": SAMPLERS,
    "latents": get_args(Latents),
    "order": get_args(Order),
    "step": tuple(STEPS),
}
"""Words of an address: those there are."""
START = ("model", "tab", "z", "image", "with", *GRID, "sampler", "latents", *SHOWN, "order", "watch", "step")
"""What an address says where the visitor is; it is rewritten as the visitor moves."""
CALLED = {"with": "model", "watch": "run"}
"""What a parameter names, where that is not its own name."""


@dataclass(frozen=True)
class Part:
    """A part of the page that can be left out.

    Attributes:
        words: what it is called where a lesson is made.
        tab: where it is, "" for a part of more than one tab.
        where: the CSS selector of all that goes with it.
    """

    words: str
    tab: str
    where: str


PARTS = {
    "model": Part("Choice of the model", "", ".form:has(> #model-choice)"),
    "compare": Part("Comparison with a second model", "", ".part-compare"),
    "share": Part("This panel and its button", "", ".part-share"),
    "guide": Part("Guide", "", ".part-guide"),
    "starts": Part("Class means and test digits", "explore", ".part-starts"),
    "sliders": Part("Sliders", "explore", ".column:has(> .part-sliders)"),
    "map": Part("Map", "explore", ".column:has(> .part-map)"),
    "film": Part("Film strip", "explore", ".part-traversal"),
    "morph": Part("Morph", "explore", ".column:has(> .part-morph)"),
    "loss": Part("The loss, to touch", "explore", ".column:has(> .part-loss)"),
    "help": Part("Explanations", "explore", ".part-help"),
    "recipe": Part("Choice of the recipe", "train", ".form:has(> #preset)"),
    "advanced": Part("Advanced settings", "train", "#advanced"),
    "parity": Part("The recipe, line by line", "train", ".part-parity"),
    "runs": Part("Runs", "train", ".part-runs"),
    "gallery": Part("Images behind the bars", "errors", ".part-gallery"),
    "classes": Part("Errors by class", "errors", "#error-classes"),
    "meanings": Part("What the numbers mean", "errors", ".part-meanings"),
    "sampler": Part("Sampler", "generate", "#generate-sampler"),
    "class": Part("Class", "generate", "#generate-class"),
    "invention": Part("Memory or invention?", "generate", ".part-invention"),
    "walk": Part("Walk", "generate", ".part-walk"),
}


@dataclass(frozen=True)
class Lesson:
    """What holds where an address does not say it: values by the parameters' names, as in an address."""

    values: Mapping[str, str] = field(default_factory=dict)

    def of(self, address: Mapping[str, str], name: str, known: Collection[str]) -> str | None:
        """What "preset" or "model" is for a visitor who came with this address.

        What the address says counts, also that it is empty; where that is none of those known, the lesson.
        """
        said = address.get(name)
        return said if said == "" or said in known else self.values.get(name)

    @property
    def head(self) -> str:
        """What the page's head needs: the names, this lesson, and the script that hides."""
        known = {
            "tabs": TABS,
            "parts": {name: asdict(part) for name, part in PARTS.items()},
            "steps": {name: asdict(step) for name, step in STEPS.items()},
            "presets": list(PRESETS),
            "restrictions": RESTRICTIONS,
            "start": START,
            "grid": GRID,
            "shown": SHOWN,
            "fractions": FRACTIONS,
            "choices": CHOICES,
            "largest_latent": LARGEST_LATENT,
            "lesson": urlencode(self.values, safe=","),
        }
        names = html.escape(json.dumps(known))
        return f'<meta name="studio-lesson" content="{names}">{head_script("lesson")}'


def read_lesson(text: str, runs: list[RunInfo]) -> Lesson:
    """A lesson as it stands after the question mark of an address, such as "tabs=explore,draw&preset=quick".

    Args:
        text: the lesson, or a whole address that has it.
        runs: those there are; such as have a model can be chosen.

    Raises:
        LessonError: it names something that is not there; says what is.
    """
    if "://" in text and "?" not in text:
        raise LessonError(
            "--lesson: this address says nothing of a lesson; the panel Share makes one that does"
        )
    query = text.rpartition("?")[2].partition("#")[0]
    said = dict(parse_qsl(query, keep_blank_values=True))
    values = {name: value for name, value in said.items() if not name.startswith("__")}  # Gradio's own
    _check("there is no parameter", [*values] or [text], (*RESTRICTIONS, *START))
    if bare := [part for part in query.split("&") if part and "=" not in part and not part.startswith("__")]:
        raise LessonError(f"--lesson: {in_short(bare[0])} says no value; expected such as {bare[0]}=…")
    models = {info.name: info for info in runs if info.has_model}
    tabs = _listed(values, "tabs")
    _check("there is no tab", tabs, TABS)
    if "tabs" in values and not tabs:
        raise LessonError(f"--lesson: tabs names none; known are {', '.join(TABS)}")
    _check("nothing to hide is called", _listed(values, "hide"), PARTS)
    for name, known in (
        ("preset", PRESETS),
        ("tab", tabs or TABS),
        ("model", models),
        ("with", models),
        ("watch", [info.name for info in runs]),
        *CHOICES.items(),
    ):
        one = [values[name]] if values.get(name) else []
        _check(f"there is no {CALLED.get(name, name)}", one, known)
    chosen = models.get(values.get("model", next(iter(models), "")))
    if chosen is not None and values.get("with") == chosen.name:
        raise LessonError(f"--lesson: with={chosen.name} compares the model with itself")
    for name in NUMBERS:
        if name == "class" and name in values and chosen is not None:
            _check_class(values[name], chosen)
        elif name in values:
            _check_number(name, values[name])
    if "z" in values:
        _check_vector(values["z"], 0 if chosen is None else chosen.settings.latent_dim)
    return Lesson(values)


def _listed(values: Mapping[str, str], name: str) -> list[str]:
    return [item for item in values.get(name, "").split(",") if item]


def _check(problem: str, names: list[str], known: Collection[str]) -> None:
    if unknown := [name for name in names if name not in known]:
        raise LessonError(
            f"--lesson: {problem} {', '.join(map(in_short, unknown))}; known are {', '.join(known)}"
        )


def _check_number(name: str, text: str) -> None:
    low, high = NUMBERS[name]
    is_whole = name not in FRACTIONS
    is_number = (WHOLE if is_whole else NUMBER).fullmatch(text) is not None
    number = float(text) if is_number else math.nan
    if not low <= number <= high:
        expected = "a whole number" if is_whole else "a number"
        raise LessonError(f"--lesson: {name}={in_short(text)}: expected {expected} from {low} to {high}")


def _check_class(text: str, info: RunInfo) -> None:
    evaluation = Run(info.folder).evaluation_or_none()
    means = () if evaluation is None else evaluation.class_means
    known = [str(label) for label, mean in enumerate(means) if np.isfinite(mean).all()]  # it has images
    if text not in known:
        classes = f"its classes are {', '.join(known)}" if known else "it has not been tested yet"
        raise LessonError(f"--lesson: class={in_short(text)} is none of model {info.name}; {classes}")


def _check_vector(text: str, count: int) -> None:
    parts = text.split(",")
    numbers = [float(part) for part in parts if NUMBER.fullmatch(part)]
    if not len(parts) == len(numbers) == count or max(map(abs, numbers)) > LARGEST_LATENT:
        raise LessonError(
            f"--lesson: z={in_short(text)} is no vector of the model; expected {count} numbers from "
            f"{-LARGEST_LATENT:g} to {LARGEST_LATENT:g}"
        )
