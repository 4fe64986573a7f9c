"""The running app as programs use it: direct routes, and the named endpoints through gradio_client."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser_support import REPOSITORY, App
from PIL import Image


@pytest.fixture(scope="module")
def client(app: App) -> Any:
    from gradio_client import Client

    return Client(app.url, verbose=False)


def get(app: App, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(f"{app.url}/studio/{path}", data=body)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def picture(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def drawn_one() -> Image.Image:
    ink = np.zeros((100, 80), np.uint8)
    ink[20:80, 36:44] = 255
    return Image.fromarray(ink)


def test_decode_route_answers_the_models_own_picture(app: App) -> None:
    from vae_core import load_run
    from vae_core.pictures import to_grey
    from vae_core.usage import decode_latents

    z = np.linspace(-1, 1, 16).astype(np.float32).round(3)
    status, content = get(app, "runs/reference/decode.png?z=" + ",".join(map(str, z)))
    assert status == 200
    expected = to_grey(decode_latents(load_run(REPOSITORY / "checkpoints/reference").model, z[None]))[0]
    assert np.abs(picture(content).astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    "z", ["", "1,2", "nan" + ",0" * 15, "inf" + ",0" * 15, "x" + ",0" * 15, "1e9" + ",0" * 15]
)
def test_decode_route_says_what_it_expected(app: App, z: str) -> None:
    status, content = get(app, f"runs/reference/decode.png?z={z}")
    assert status == 400
    assert "expected 16 numbers" in json.loads(content)["error"]


@pytest.mark.parametrize("run", ["nope", "..", "%2e%2e", "a%00b", "x" * 300, "..%2f..%2fetc"])
def test_unknown_runs_are_not_found(app: App, run: str) -> None:
    status, content = get(app, f"runs/{run}/card")
    assert status in (404, 400)
    assert b"Traceback" not in content


def test_only_pictures_are_served_from_run_folders(app: App) -> None:
    for path in (
        "runs/reference/run.json",
        "static/../studio.py",
        "static/..%2fstudio.py",
        "runs/reference/previews/..%2frun.json",
    ):
        assert get(app, path)[0] in (400, 404, 422)


def test_sketch_route_reconstructs_a_drawing(app: App) -> None:
    buffer = io.BytesIO()
    drawn_one().save(buffer, "PNG")
    status, content = get(app, "runs/reference/sketch", buffer.getvalue())
    answer = json.loads(content)
    assert status == 200
    assert not answer["empty"]
    assert len(answer["mean"]) == len(answer["deviation"]) == len(answer["kl"]) == 16
    assert 0 < answer["error"] < 0.1
    assert 0 <= answer["rank"] <= 1


def test_an_empty_or_broken_drawing_is_an_answer(app: App) -> None:
    buffer = io.BytesIO()
    Image.new("L", (280, 280)).save(buffer, "PNG")
    for body in (buffer.getvalue(), b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40):
        status, content = get(app, "runs/reference/sketch", body)
        assert status == 200
        assert json.loads(content)["empty"]


def test_generated_route_depends_on_the_seed_alone(app: App) -> None:
    first, again = (get(app, "runs/reference/generated.png?count=10&seed=3")[1] for _ in range(2))
    other = get(app, "runs/reference/generated.png?count=10&seed=4")[1]
    assert first == again != other
    assert picture(first).shape == (3 * 30 - 2, 4 * 30 - 2)
    assert get(app, "runs/reference/generated.png?count=401")[0] == 422


def test_histogram_counts_every_test_image(app: App) -> None:
    status, content = get(app, "runs/reference/errors")
    figure = json.loads(content)
    bars = next(trace for trace in figure["data"] if trace["type"] == "bar")
    assert status == 200
    assert sum(bars["y"]) == 10_000
    assert figure["layout"]["title"]["text"] == "Test Data"
    assert figure["layout"]["xaxis"]["title"]["text"] == "Error"
    assert figure["layout"]["yaxis"]["title"]["text"] == "Frequency"


def test_decode_endpoint(client: Any) -> None:
    content = Path(client.predict([0.0] * 16, api_name="/decode")).read_bytes()
    assert picture(content).shape[:2] == (28, 28)


def test_reconstruct_endpoint(client: Any, tmp_path: Path) -> None:
    from gradio_client import handle_file

    drawn_one().save(tmp_path / "one.png")
    content = Path(client.predict(handle_file(tmp_path / "one.png"), api_name="/reconstruct")).read_bytes()
    image = picture(content).astype(float)
    assert image.shape[:2] == (28, 28)
    assert image[6:22, 13:15].mean() > 4 * image[:, :8].mean() + 10


def test_generate_endpoint(client: Any) -> None:
    content = Path(client.predict(9, 1, api_name="/generate")).read_bytes()
    assert picture(content).shape[:2] == (88, 88)


def test_test_errors_endpoint(client: Any) -> None:
    answer = client.predict(api_name="/test_errors")
    assert len(answer["errors"]) == answer["images"] == 10_000
    assert np.mean(answer["errors"]) == pytest.approx(answer["mse_mean"], abs=1e-5)


@pytest.mark.parametrize(
    ("endpoint", "values", "expected"),
    [
        ("/decode", [[1.0, 2.0]], "expected 16 numbers"),
        ("/decode", ["text"], "expected 16 numbers"),
        ("/decode", [[0.0] * 16, "no-such-run"], "no run named"),
        ("/generate", [0, 1], "count must be"),
        ("/generate", [64.5, 1], "count must be"),
        ("/start_training", [{"epochs": -1}], "epochs must be"),
        ("/start_training", [{"speed": 11}], "unknown setting"),
        ("/start_training", [{}, "../evil"], "run's name"),
    ],
)
def test_endpoints_say_what_they_expected(
    client: Any, endpoint: str, values: list[Any], expected: str
) -> None:
    from gradio_client.exceptions import AppError

    with pytest.raises(AppError, match=expected):
        client.predict(*values, api_name=endpoint)


def test_training_through_the_endpoints(app: App, client: Any) -> None:
    from gradio_client.exceptions import AppError

    run = client.predict({"epochs": 50, "batch_size": 32}, "by-api", api_name="/start_training")["run"]
    assert run == "by-api"
    with pytest.raises(AppError, match="by-api is being trained"):
        client.predict(api_name="/start_training")
    status = client.predict(api_name="/training_status")
    assert status["run"] == "by-api"
    assert status["state"] == "running"
    assert client.predict(api_name="/stop_training")["run"] == "by-api"
    deadline = time.monotonic() + 60
    while client.predict(api_name="/training_status")["state"] == "running" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert client.predict(api_name="/training_status")["state"] == "stopped"
    names = [model["run"] for model in json.loads(get(app, "models")[1])["models"]]
    assert "by-api" in names


def test_start_training_without_arguments_is_the_reference_recipe(app: App, client: Any) -> None:
    run = client.predict(api_name="/start_training")["run"]
    try:
        record = json.loads((app.runs_dir / run / "run.json").read_text())
        assert record["settings"] | {"device": "auto"} == {
            "epochs": 30, "batch_size": 128, "learning_rate": 1e-3, "latent_dim": 16, "beta": 1.0,
            "likelihood": "gaussian", "schedule": "constant", "seed": 0, "limit": None, "device": "auto",
        }  # fmt: skip
    finally:
        client.predict(api_name="/stop_training")
        deadline = time.monotonic() + 60
        while (
            client.predict(api_name="/training_status")["state"] == "running" and time.monotonic() < deadline
        ):
            time.sleep(0.2)


def test_the_port_in_use_is_said_in_one_line(app: App) -> None:
    command = [sys.executable, str(REPOSITORY / "app.py"), "--port", str(app.port)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "choose another --port" in result.stderr
    assert len(result.stderr.splitlines()) == 1
