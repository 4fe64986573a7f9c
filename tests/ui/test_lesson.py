"""Lessons: what `--lesson` may say, and what holds for an address that says something itself."""

from __future__ import annotations

import html
import json
import re
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from support.browser import REPOSITORY, free_port
from support.studio_client import ZEROS
from vae_core.errors import LessonError
from vae_core.generation import MOST_GENERATED_IMAGES
from vae_core.run_folder import Run
from vae_core.runs import list_runs
from vae_core.settings import PRESETS
from vae_core.ui import server
from vae_core.ui.lesson import PARTS, TABS, Lesson, read_lesson


def read(text: str) -> Lesson:
    return read_lesson(text, list_runs(REPOSITORY / "checkpoints"))


def test_a_lesson_is_what_stands_in_an_address() -> None:
    lesson = f"tabs=explore,draw&hide=map,morph&preset=quick&model=reference&tab=draw&z={ZEROS}&with=plane"
    text = f"{lesson}&seed=7&count=400&class=3&temperature=0.5&sampler=mixture"
    text += "&latents=mean&low=0.02&high=0.5&label=4&read_as=9&order=falling&step=map"
    values = read(f"?{text}").values
    for address in (text, f"http://studio.example:7860/vae/?{text}", f"/?__theme=dark&{text}#map"):
        assert read(address).values == values
    assert values["tabs"] == "explore,draw"
    assert values["z"] == ZEROS
    known = json.loads(html.unescape(re.findall('content="(.*?)"', Lesson(values).head)[0]))
    assert known["lesson"] == text
    assert list(known["parts"]) == list(PARTS)
    assert known["grid"]["count"] == [1, MOST_GENERATED_IMAGES]  # the page has no limits of its own


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("nonsense", "tabs, hide, preset"),
        ("http://127.0.0.1:7860/", "this address says nothing of a lesson"),
        ("tab", "'tab' says no value; expected such as tab=…"),
        ("model=plane&hide", "'hide' says no value"),
        ("tab5=explore", "tabs, hide, preset"),
        ("tabs=explore,paint", "'paint'; known are explore, draw"),
        ("tabs=", "names none"),
        ("hide=map,nose", "'nose'; known are model"),
        ("preset=slow", "'slow'; known are reference"),
        ("tabs=draw&tab=train", "'train'; known are draw"),
        ("model=gone", "'gone'; known are reference"),
        ("order=random", "'random'; known are rising, falling, typical"),
        ("low=2", "low='2': expected a number from 0 to 1"),
        ("read_as=1.5", "read_as='1.5': expected a whole number from 0 to 255"),
        ("model=plane&with=plane", "with=plane compares the model with itself"),
        ("with=gone", "'gone'; known are reference"),
        ("watch=gone", "there is no run 'gone'; known are reference"),
        ("tab=explore,draw", "there is no tab 'explore,draw'; known are explore, draw"),
        ("z=1,2", "expected 16 numbers"),
        ("model=plane&z=1,two", "expected 2 numbers"),
        ("model=plane&z=1,nan", "expected 2 numbers"),
        ("model=plane&z=1,-100.1", "expected 2 numbers from -100 to 100"),
        ("seed=-1", "seed='-1': expected a whole number from 0 to 4294967295"),
        ("count=6_4", "count='6_4': expected a whole number from 1 to 400"),
        ("seed= 7", "seed=' 7': expected a whole number"),
        ("low=1e-1", "low='1e-1': expected a number from 0 to 1"),
        ("model=plane&z=1_0,2", "expected 2 numbers"),
        ("model=plane&z=1,,2", "expected 2 numbers"),
        ("count=401", "count='401': expected a whole number from 1 to 400"),
        (
            "class=99&model=plane",
            "class='99' is none of model plane; its classes are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
        ),
        ("class=3.5", "class='3.5' is none of model reference; its classes are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        ("class=3.0", "class='3.0' is none of model reference; its classes are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        ("temperature=nan", "temperature='nan': expected a number from 0 to 2"),
        ("image=x", "image='x': expected a whole number from 0 to 999999"),
        ("sampler=best", "'best'; known are prior, mixture"),
        ("step=nose", "'nose'; known are numbers, map"),
    ],
)
def test_a_mistake_is_named_with_what_is_known(text: str, named: str) -> None:
    with pytest.raises(LessonError, match=re.escape(named)):
        read(text)


def test_a_class_cannot_be_of_a_model_that_was_not_tested(run: Run) -> None:
    models = list_runs(run.folder.parent)
    assert read_lesson("class=9&model=copied", models).values["class"] == "9"
    (run.folder / "evaluation.npz").unlink()
    with pytest.raises(LessonError, match="class='9' is none of model copied; it has not been tested yet"):
        read_lesson("class=9&model=copied", models)


def test_a_run_without_a_model_can_be_watched_and_not_chosen(run: Run) -> None:
    (run.folder / "model.safetensors").unlink()
    runs = list_runs(run.folder.parent)
    assert read_lesson("watch=copied", runs).values["watch"] == "copied"
    with pytest.raises(LessonError, match="there is no model 'copied'"):
        read_lesson("model=copied", runs)


def test_a_class_cannot_be_one_without_images(run: Run) -> None:
    evaluation = run.required_evaluation()
    means = evaluation.class_means.copy()
    means[4] = np.nan
    labels = np.where(evaluation.labels == 4, 5, evaluation.labels)
    (run.folder / "evaluation.npz").write_bytes(
        replace(evaluation, class_means=means, labels=labels).to_bytes()
    )
    with pytest.raises(
        LessonError, match="class='4' is none of model copied; its classes are 0, 1, 2, 3, 5, 6"
    ):
        read_lesson("class=4&model=copied", list_runs(run.folder.parent))


def test_a_class_is_a_number_also_where_there_is_no_model() -> None:
    with pytest.raises(LessonError, match=r"class='3\.5': expected a whole number from 0 to 255"):
        read_lesson("class=3.5", [])


def test_an_address_goes_before_the_lesson_where_it_can_be_followed() -> None:
    lesson = Lesson({"tabs": "draw", "preset": "quick", "model": "plane", "z": "1,2"})
    models = ("reference", "plane")
    assert lesson.of({}, "model", models) == "plane"
    assert lesson.of({"model": "reference"}, "model", models) == "reference"
    assert lesson.of({"model": "referense"}, "model", models) == "plane"
    assert lesson.of({"model": "reference"}, "preset", PRESETS) == "quick"
    assert lesson.of({"preset": "sharp"}, "preset", PRESETS) == "sharp"
    assert lesson.of({"preset": "shrap"}, "preset", PRESETS) == "quick"
    assert lesson.of({"preset": ""}, "preset", PRESETS) == ""  # in other words: not the lesson's


def test_the_app_refuses_a_wrong_lesson_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # this process is not the app's
    options = ["--runs-dir", str(tmp_path), "--port", str(free_port()), "--lesson", "tabs=paint"]
    assert server.main(options) == 2
    told = f"error: --lesson: there is no tab 'paint'; known are {', '.join(TABS)}\n"
    assert capsys.readouterr() == ("", told)
