"""A visitor who stays, and trainings one after the other: does the app grow?

    python tests/scripts/endurance.py --seconds 3600 --every 60

Prints the memory, open files and threads of the app (and the memory of the training) at the start and over
time; ends with 1 if something of the app's grows. Needs Linux, whose /proc it reads.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.browser import App
from support.digit_strokes import random_drawing
from vae_core.run_folder import Run
from vae_core.runs import find_run

TRAINING = {"epochs": 3, "batch_size": 64, "limit": 6400}
ROUTES = (
    "runs/reference/errors", "runs/reference/generated.png?count=64&seed={n}", "runs", "models",
    "runs/plane/manifold.png?left=-{n}&right=3&bottom=-3&top=3", "runs/reference/map.json",
    "runs/reference/test-images/{n}", "runs/reference/walk.gif?seed={n}&scale=1",
)  # fmt: skip
MOST_GROWTH_MEGABYTES = 60
"""From the second quarter of the time to the last; what is loaded when it is first needed comes before."""
MOST_MORE_FILES = 8


@dataclass(frozen=True)
class Sample:
    """What a process holds."""

    seconds: float
    megabytes: float
    files: int
    threads: int


def sample(process_id: int, started: float) -> Sample:
    status = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{process_id}/status").read_text().splitlines()
        if ":" in line
    )
    return Sample(
        time.monotonic() - started,
        int(status["VmRSS"].split()[0]) / 1024,
        len(os.listdir(f"/proc/{process_id}/fd")),
        int(status["Threads"]),
    )


class Visitor:
    """Does what the page does: drags sliders, draws, looks at the errors, and polls the training."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._random = np.random.default_rng(0)
        self._known: dict[str, Any] = {}
        self.asked = 0

    def stays(self, moment: int) -> None:
        """A moment of a visit."""
        for _ in range(12):
            z = ",".join(f"{value:.2f}" for value in self._random.normal(size=16))
            self._ask(f"studio/runs/reference/decode.png?z={z}")
        self._ask("studio/runs/reference/sketch", random_drawing(self._random))
        self._ask("studio/" + ROUTES[moment % len(ROUTES)].format(n=1 + moment % 90))
        news = json.loads(self._ask(f"studio/training?{urllib.parse.urlencode(self._known)}"))
        if news["run"] is not None:
            self._known = {"known": news["run"]} | {
                name: news[name] for name in ("offset", "generation", "created")
            }
        if moment % 10 == 0:
            self.calls("decode", [[0.5] * 16, "reference"])

    def calls(self, endpoint: str, data: list[Any]) -> bytes:
        """A named endpoint, through the queue."""
        event = json.loads(self._ask(f"gradio_api/call/{endpoint}", json.dumps({"data": data}).encode()))
        return self._ask(f"gradio_api/call/{endpoint}/{event['event_id']}")

    def is_training(self) -> bool:
        return json.loads(self._ask("studio/training")).get("state") == "running"

    def _ask(self, path: str, body: bytes | None = None) -> bytes:
        kind = {"Content-Type": "application/json"} if path.startswith("gradio_api") else {}
        with urllib.request.urlopen(
            urllib.request.Request(f"{self._url}/{path}", body, kind), timeout=60
        ) as answer:
            self.asked += 1
            return answer.read()


def endure(folder: Path, seconds: float, every: float, pause: float = 0.1) -> list[Sample]:
    """Lets a visitor stay for so long; returns what the app held, once every so many seconds."""
    app = App(folder / "runs", dict(os.environ), is_warm=False)
    visitor, samples, trainings = Visitor(app.url), [], 0
    try:
        started = time.monotonic()
        for moment in count():
            if not visitor.is_training():
                visitor.calls("start_training", [TRAINING, f"run-{trainings}"])
                trainings += 1
            visitor.stays(moment)
            passed = time.monotonic() - started
            if passed >= len(samples) * every:
                samples.append(sample(app.process.pid, started))
                _print(
                    samples[-1], visitor.asked, trainings, _memory_of_training(app.runs_dir, trainings - 1)
                )
            if passed >= seconds:
                return samples
            time.sleep(pause)
    finally:
        app.end()
    raise AssertionError


def grown(samples: list[Sample]) -> list[str]:
    """What is more at the end than after the first quarter, in words."""
    quarter = max(1, len(samples) // 4)
    before, after = samples[quarter : 2 * quarter] or samples[:1], samples[-quarter:]
    problems = []
    for name, most in (
        ("megabytes", MOST_GROWTH_MEGABYTES),
        ("files", MOST_MORE_FILES),
        ("threads", MOST_MORE_FILES),
    ):
        first, last = (float(np.median([getattr(each, name) for each in part])) for part in (before, after))
        if last - first > most:
            problems.append(f"{name}: from {first:.0f} to {last:.0f}")
    return problems


def _memory_of_training(runs_dir: Path, number: int) -> float:
    """Megabytes of the process that trains this run; 0 if it has ended."""
    try:
        run: Run = find_run(f"run-{number}", runs_dir)
        process_id = json.loads((run.folder / "run.json").read_text())["process"]
        return sample(process_id, 0).megabytes
    except (OSError, KeyError):
        return 0.0


def _print(now: Sample, asked: int, trainings: int, training: float) -> None:
    print(
        f"{now.seconds:6.0f} s  app {now.megabytes:5.0f} MB, {now.files} files, {now.threads} threads; "
        f"training {training:4.0f} MB; {asked:,} requests, {trainings} trainings",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=3600.0, help="how long (default: an hour)")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two lines (default: 60)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="endurance-") as folder:
        samples = endure(Path(folder), options.seconds, options.every)
    problems = grown(samples)
    print("; ".join(problems) if problems else "flat")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
