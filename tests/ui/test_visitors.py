"""A short form of tests/scripts/visitors.py: the same visitors, fewer of them, in the app's own process."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from scripts.visitors import is_right, visited
from support.studio_client import guard_of, served
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
        until = time.monotonic() + 30
        while any(guard.held) or len(queue) or any(queue.active_jobs):
            assert time.monotonic() < until, "someone who left is still there"
            time.sleep(0.05)
    ways = Counter(answer.way for answer in answers)
    assert ways["slider"] == 12 * 24
    assert min(ways[way] for way in ("named", "drawing", "gallery")) >= 12
    assert [answer for answer in answers if not is_right(answer)] == []
    assert [record.message for record in caplog.records if record.exc_info] == []
