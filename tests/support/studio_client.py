"""The app inside the test's own process, asked as a browser or a program would."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI

from vae_core.ui.gate.guard import Access, Guard
from vae_core.ui.page import build_app
from vae_core.ui.routes import add_routes
from vae_core.ui.studio import Studio

if TYPE_CHECKING:
    from starlette.testclient import TestClient

OURS = {"X-VAE-Studio": "1"}
"""What our page sends with whatever changes something."""
ZEROS = ",".join(["0"] * 16)
FILLED = {"run": "reference", "kind": "gif", "index": "0", "iteration": "1"}
"""What stands for the parameters of a route's path."""


@contextmanager
def studio_client(runs_dir: Path, data_dir: Path, access: Access | None = None) -> Iterator[TestClient]:
    """A client of a new app; an exception inside the app is answered as a server would, not raised."""
    from starlette.testclient import TestClient

    app = build_app(runs_dir, str(data_dir), access=access)
    with TestClient(app, base_url="http://127.0.0.1:7860", raise_server_exceptions=False) as client:
        yield client


def client_of_routes(studio: Studio) -> TestClient:
    """A client of our own routes alone, without Gradio's page and what stands before it."""
    from starlette.testclient import TestClient

    app = FastAPI()
    add_routes(app, studio)
    return TestClient(app, raise_server_exceptions=False)


def until_ready(client: TestClient, path: str) -> dict[str, Any]:
    """The answer to what is computed in the background, once it is there."""
    for _ in range(600):
        response = client.get(path)
        assert response.status_code == 200, response.text
        if response.json()["ready"]:
            return response.json()
        time.sleep(0.05)
    raise AssertionError(f"{path} was never ready")


@contextmanager
def served(app: Any, **options: Any) -> Iterator[int]:
    """A real server of an app, in a thread, with more of uvicorn's options; its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, **options)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


def guard_of(app: FastAPI) -> Guard:
    """What stands before an app that has answered something."""
    layer: Any = app.middleware_stack
    while not isinstance(layer, Guard):
        layer = layer.app
    return layer


def operations(app: FastAPI) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of each of our own routes."""
    for path, methods in app.openapi()["paths"].items():
        for method, description in methods.items():
            yield method.upper(), path, description


def filled(path: str) -> str:
    for name, value in FILLED.items():
        path = path.replace(f"{{{name}}}", value)
    return path


def call(client: TestClient, endpoint: str, *data: Any) -> tuple[str, Any]:
    """A named endpoint through Gradio's queue: how it ended, "complete" or "error", and the answer."""
    body = json.dumps({"data": data}).encode()  # escaped: not all text is UTF-8
    answer = client.post(
        f"/gradio_api/call/{endpoint}", content=body, headers={"Content-Type": "application/json"}
    )
    if answer.status_code != 200:
        return f"status {answer.status_code}", answer.json()
    event = answer.json()["event_id"]
    with client.stream("GET", f"/gradio_api/call/{endpoint}/{event}") as stream:
        kind = ""
        for line in stream.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: ") and kind in ("complete", "error"):
                return kind, json.loads(line.removeprefix("data: "))
    raise AssertionError(f"{endpoint} was never answered")
