"""A short form of tests/scripts/visitors.py: the same visitors, fewer of them, in the app's own process."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from scripts.visitors import is_right, visited
from support.studio_client import guard_of, served
from support.waiting import wait_for
from vae_core.ui.page import build_app, gradio_app


def test_a_crowd_gets_its_own_answers_and_leaves_nothing_behind(
    tmp_path: Path, small_mnist: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = build_app(tmp_path / "runs", str(small_mnist))
    gradio = gradio_app(app)
    with served(app) as port:
        httpx.get(f"http://127.0.0.1:{port}/studio/models").raise_for_status()
        answers = visited(f"http://127.0.0.1:{port}", 12, 24)
        guard, queue = guard_of(app), gradio.get_blocks()._queue
        wait_for(lambda: not (any(guard.held) or len(queue) or any(queue.active_jobs)))  # all have left
    ways = Counter(answer.way for answer in answers)
    assert ways["slider"] == 12 * 24
    assert min(ways[way] for way in ("named", "drawing", "gallery")) >= 12
    assert [answer for answer in answers if not is_right(answer)] == []
    assert [record.message for record in caplog.records if record.exc_info] == []


def test_who_has_been_forgotten_is_offered_the_models_of_now(
    tmp_path: Path, small_mnist: Path, tiny_run: Path
) -> None:
    """Gradio remembers the choices that a page was given only for so many visitors."""
    app = build_app(tmp_path / "runs", str(small_mnist))
    shutil.copytree(tiny_run, tmp_path / "runs" / "later")
    drop_down = [
        number for number, function in gradio_app(app).get_blocks().fns.items()
        if function.inputs and [output.elem_id for output in function.outputs] == ["model-choice"]
    ]  # fmt: skip
    visitor = TestClient(app, base_url="http://localhost")

    def shown(wanted: str) -> dict[str, Any]:
        body = {"data": [wanted], "fn_index": drop_down[0], "session_hash": "forgotten"}
        answer = visitor.post("/gradio_api/run/predict", json=body)
        assert answer.status_code == 200, answer.text
        (update,) = answer.json()["data"]
        assert "later" in [name for _, name in update["choices"]]
        return update

    assert shown("later")["value"] == "later"
    assert "value" not in shown("")  # what is chosen stays so
    assert shown("gone")["value"] == "reference"
