"""Thirty visitors at once while a training runs: does anybody wait, or get another's picture?

    python tests/scripts/visitors.py
    python tests/scripts/visitors.py --visitors 60 --moments 100

Each drags sliders through the direct route, calls the named endpoint, draws, and asks for a gallery; some
leave in the middle of it. Every answer is compared with what the model computes here of that visitor's own
vector, drawing or seed. Prints how long they waited; ends with 1 if anything was wrong. Starts the app on a
free port of this machine. Needs Linux, whose /proc it reads.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

from scripts.endurance import Sample, sample
from support.browser import App
from support.digit_strokes import random_drawing
from vae_core import load_run
from vae_core.inference import decode_latents, reconstruct_image, sample_latents
from vae_core.model import VAE
from vae_core.pictures import square_tiles, to_grey
from vae_core.sketch import read_picture, to_mnist_form

NAMED_EVERY, DRAWING_EVERY, GALLERY_EVERY, LEAVE_EVERY = 10, 15, 20, 12
GALLERY = 16
TRAINING = {"epochs": 200, "seed": 1}
PATIENCE_SECONDS = 120
MOST_OF_A_PIXEL = 1
"""Grey levels between two ways to compute the same picture: batches of other sizes round differently."""


@dataclass(frozen=True)
class Answer:
    """What a visitor asked for, and got."""

    way: str
    asked: Any
    got: np.ndarray
    seconds: float


class Visitor:
    """One of them, with a vector, drawings and seeds of its own."""

    def __init__(self, client: httpx.AsyncClient, number: int) -> None:
        self._client = client
        self._random = np.random.default_rng(number)
        self._z = self._random.normal(size=16).round(2)
        self._number = number
        self.answers: list[Answer] = []

    async def stays(self, moments: int) -> None:
        for moment in range(self._number, self._number + moments):
            self._z[moment % 16] = round(float(self._random.uniform(-3, 3)), 2)
            await self._timed("slider", self._z.copy(), self._decoded(self._z))
            if moment % NAMED_EVERY == 0:
                await self._timed("named", self._z.copy(), self._called(self._z))
            if moment % DRAWING_EVERY == 0:
                drawing = random_drawing(self._random)
                await self._timed("drawing", drawing, self._drawn(drawing))
            if moment % GALLERY_EVERY == 0:
                seed = self._number * 1000 + moment
                await self._timed("gallery", seed, self._generated(seed))
            if moment % LEAVE_EVERY == 0:
                await self._leaves(moment)

    async def _timed(self, way: str, asked: Any, answer: Any) -> None:
        start = time.perf_counter()
        got = await answer
        self.answers.append(Answer(way, asked, got, time.perf_counter() - start))

    async def _get(self, path: str, **more: Any) -> bytes:
        return (await self._client.get(path, **more)).raise_for_status().content

    async def _decoded(self, z: np.ndarray) -> np.ndarray:
        text = ",".join(map(str, z))
        return _pixels(await self._get("/studio/runs/reference/decode.png", params={"z": text}))

    async def _called(self, z: np.ndarray) -> np.ndarray:
        """Through Gradio's queue, as its own client does it."""
        [picture] = await called(self._client, "decode", [z.tolist(), "reference"])
        return _pixels(await self._get(f"/gradio_api/file={picture['path']}"))

    async def _drawn(self, drawing: bytes) -> np.ndarray:
        answer = await self._client.post("/studio/runs/reference/sketch", content=drawing)
        return np.array(answer.raise_for_status().json()["mean"])

    async def _generated(self, seed: int) -> np.ndarray:
        path = "/studio/runs/reference/generated.png"
        return _pixels(await self._get(path, params={"seed": seed, "count": GALLERY}))

    async def _leaves(self, moment: int) -> None:
        """Asks, and hangs up before, while or after it is computed."""
        drawing = random_drawing(self._random)
        host, port = self._client.base_url.host, self._client.base_url.port
        call = json.dumps({"data": [400, moment, "reference", "prior", 1, None]}).encode()
        kinds = [
            ("GET", "/studio/runs/reference/walk.gif?scale=2", b"", 0),
            ("POST", "/studio/runs/reference/sketch", drawing[:-5], 5),
            ("POST", "/gradio_api/upload", drawing, 5000),
            ("POST", "/gradio_api/call/generate", call, 0),
            ("POST", "/gradio_api/call/generate", call[:-5], 5),
        ]
        method, path, body, missing = kinds[(moment // LEAVE_EVERY + self._number) % len(kinds)]
        _, writer = await asyncio.open_connection(host, port)
        head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body) + missing}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        await asyncio.sleep(float(self._random.uniform(0, 0.05)))
        writer.close()


async def called(client: httpx.AsyncClient, endpoint: str, data: list[Any]) -> list[Any]:
    """What a named endpoint answers."""
    path = f"/gradio_api/call/{endpoint}"
    event = (await client.post(path, json={"data": data})).raise_for_status().json()["event_id"]
    lines = (await client.get(f"{path}/{event}")).raise_for_status().text.splitlines()
    end = lines.index("event: complete")
    return json.loads(lines[end + 1].removeprefix("data: "))


def visited(url: str, visitors: int, moments: int) -> list[Answer]:
    """Lets so many visitors stay for so many moments, all at once; what they were answered.

    Raises:
        httpx.HTTPError: one of them was not.
    """

    async def crowd() -> list[Answer]:
        # Given up by the visitor before the server does it, at the moment when a request is on its way.
        limits = httpx.Limits(max_connections=None, keepalive_expiry=2)
        async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
            crowd = [Visitor(client, number) for number in range(visitors)]
            await asyncio.gather(*(visitor.stays(moments) for visitor in crowd))
        return [answer for visitor in crowd for answer in visitor.answers]

    return asyncio.run(crowd())


@cache
def _model() -> VAE:
    return load_run("reference").model


def is_right(answer: Answer) -> bool:
    """Whether an answer is that to its own question, as computed here."""
    if answer.way == "drawing":
        seen = to_mnist_form(read_picture(answer.asked))
        return bool(np.abs(reconstruct_image(_model(), seen.image).mean - answer.got).max() < 1e-3)
    if answer.way == "gallery":
        z = sample_latents(_model().latent_dim, GALLERY, answer.asked)
        expected = square_tiles(decode_latents(_model(), z))
    else:
        expected = to_grey(decode_latents(_model(), answer.asked[None].astype(np.float32)))[0]
    difference = np.abs(expected.astype(int) - answer.got)
    return answer.got.shape == expected.shape and int(difference.max()) <= MOST_OF_A_PIXEL


def _pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("L")).astype(int)


async def _train(url: str, endpoint: str, *data: Any) -> Any:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        [answer] = await called(client, endpoint, list(data))
        return answer


def _processor_seconds(process_id: int) -> float:
    """What a process has computed: of all figures here the one that a busy machine does not change much."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _told(answers: list[Answer], before: Sample, after: Sample) -> list[str]:
    """Prints how it went; the problems, in words."""
    for way in ("slider", "named", "drawing", "gallery"):
        seconds = [answer.seconds for answer in answers if answer.way == way]
        if seconds:
            p50, p95, most = np.percentile(seconds, [50, 95, 100]) * 1000
            print(f"{way:>8}: {len(seconds):,} answers, p50 {p50:.0f}, p95 {p95:.0f}, at most {most:.0f} ms")
    for name, sampled in (("before", before), ("after", after)):
        print(f"the app {name}: {sampled.megabytes:.0f} MB, {sampled.files} files, {sampled.threads} threads")
    wrong = sum(not is_right(answer) for answer in answers)
    problems = [f"{wrong} answers were not to their own question"] if wrong else []
    if after.files > before.files + 8:
        problems.append(f"{after.files - before.files} files stayed open")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--visitors", type=int, default=30, help="how many (default: %(default)s)")
    parser.add_argument("--moments", type=int, default=60, help="of each visit (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="visitors-") as folder:
        temporary = Path(folder) / "tmp"
        temporary.mkdir()
        app = App(Path(folder) / "runs", os.environ | {"TMPDIR": str(temporary)}, is_warm=False)
        try:
            started = time.monotonic()
            visited(app.url, 2, 30)  # everything is loaded
            run = asyncio.run(_train(app.url, "start_training", TRAINING, "visited"))["run"]
            until = time.monotonic() + PATIENCE_SECONDS
            while not httpx.get(f"{app.url}/studio/training", timeout=60).json().get("points"):
                if time.monotonic() > until:
                    raise TimeoutError("the training did not begin")
                time.sleep(1)
            before, load = sample(app.process.pid, started), os.getloadavg()[0]
            print(
                f"{options.visitors} visitors, {run} in training, load {load:.1f} of {os.cpu_count()} cores"
            )
            start, spent = time.monotonic(), _processor_seconds(app.process.pid)
            try:
                answers = visited(app.url, options.visitors, options.moments)
            except httpx.HTTPError as error:
                print(f"{error!r}; the app's exit code: {app.process.poll()}\n{app.log.read_text()}")
                return 1
            seconds = time.monotonic() - start
            spent = (_processor_seconds(app.process.pid) - spent) / len(answers) * 1000
            print(
                f"{len(answers) / seconds:.0f} answers a second, {spent:.0f} ms of the processor each, "
                f"load {os.getloadavg()[0]:.1f}"
            )
            time.sleep(2)
            problems = _told(answers, before, sample(app.process.pid, started))
            if (state := asyncio.run(_train(app.url, "training_status"))["state"]) != "running":
                problems.append(f"the training is {state}")
        finally:
            app.end()
        if left := [path.name for path in temporary.glob("vae-studio-*")]:
            problems.append(f"left behind: {', '.join(left)}")
        if "Traceback" in app.log.read_text():
            problems.append(app.log.read_text())
    print("; ".join(problems) if problems else "every answer was right, and nothing is left")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
