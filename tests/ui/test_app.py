"""The running app as programs use it: direct routes, and the named endpoints through gradio_client."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps, ImageSequence

from support.browser import REPOSITORY, App
from support.pictures import png
from support.runs import change_record
from support.studio_client import ZEROS
from support.waiting import wait_for
from vae_core import load_run
from vae_core.data import Dataset
from vae_core.inference import decode_latents, reconstruct_image
from vae_core.latent_space import LatentMap
from vae_core.pictures import to_grey
from vae_core.run_folder import Run
from vae_core.run_record import SHIPPED_RUNS
from vae_core.settings import Settings
from vae_core.sketch import read_picture, to_mnist_form
from vae_core.ui.reading import in_digits


@pytest.fixture(autouse=True)
def scratch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """gradio_client leaves a folder behind for each picture that it fetches."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


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


def of_address(address: str) -> np.ndarray:
    """The pixels of a picture that stands in a data: address, int."""
    return picture(base64.b64decode(address.split(",")[1])).astype(int)


def drawn_one() -> Image.Image:
    ink = np.zeros((100, 80), np.uint8)
    ink[20:80, 36:44] = 255
    return Image.fromarray(ink)


def decoded(z: np.ndarray, run: str = "reference") -> np.ndarray:
    """What a shipped model decodes: int (28, 28), 0 to 255."""
    images = decode_latents(load_run(run).model, z[None].astype(np.float32))
    return to_grey(images)[0].astype(int)


def test_decode_route_answers_the_models_own_picture(app: App) -> None:
    z = np.linspace(-1, 1, 16).astype(np.float32).round(3)
    status, content = get(app, "runs/reference/decode.png?z=" + ",".join(map(str, z)))
    assert status == 200
    assert np.abs(picture(content) - decoded(z)).max() <= 1


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
    status, content = get(app, "runs/reference/sketch", png(drawn_one()))
    answer = json.loads(content)
    assert status == 200
    assert not answer["empty"]
    assert len(answer["mean"]) == len(answer["deviation"]) == len(answer["kl"]) == 16
    assert 0 < answer["error"] < 0.1
    placement = answer["placement"]
    assert 0 <= placement["error_rank"] <= 1
    assert 0 <= placement["distance_rank"] < 0.99
    assert not placement["is_remote"]
    assert placement["likeliest"][0][0] == placement["read_as"] == 1


def test_an_empty_drawing_is_an_answer_and_a_broken_one_a_mistake(app: App) -> None:
    status, content = get(app, "runs/reference/sketch", png(Image.new("L", (280, 280))))
    assert status == 200
    assert json.loads(content)["empty"]
    for body in (b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40):
        status, content = get(app, "runs/reference/sketch", body)
        assert status == 400
        assert "expected PNG, JPEG, GIF, WEBP, BMP or TIFF" in json.loads(content)["error"]


def test_generated_route_depends_on_the_seed_alone(app: App) -> None:
    first, again = (get(app, "runs/reference/generated.png?count=10&seed=3")[1] for _ in range(2))
    other = get(app, "runs/reference/generated.png?count=10&seed=4")[1]
    assert first == again != other
    assert picture(first).shape == (3 * 30 - 2, 4 * 30 - 2)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("generated.png?count=401", "count: .*less than or equal to 400"),
        ("generated.png?count=x", "count: .*integer"),
        ("generated.png?seed=-1", "seed: .*greater than or equal to 0"),
        ("generated.png?seed=4294967296", "seed: .*less than or equal to 4294967295"),
        (
            "generated.png?sed=3&v=1",
            "no parameter 'sed'; expected count, seed, temperature, label, sampler, scale",
        ),
        ("card?count=3", "no parameter 'count'; expected none"),
        ("generated.png?temperature=2.1", "temperature: .*less than or equal to 2"),
        ("generated.png?temperature=nan", "temperature: "),
        ("generated.png?label=12", "knows no class 12; it knows 0, 1, 2"),
        ("generated/64?count=64", "no image 64 of 64; expected 0 to 63"),
        ("walk.avi", "kind: "),
        (f"morph.gif?a={ZEROS}&b=1,2", "expected 16 numbers"),
        (f"traversal.png?z={ZEROS}&rows=17", "expected latents from 1 to 16"),
        (f"traversal.png?z={ZEROS}&rows=0", "expected latents from 1 to 16"),
        (f"traversal.png?z={ZEROS}&rows=one", "expected latents from 1 to 16"),
        (f"traversal.png?z={ZEROS}", "rows: Field required"),
        ("manifold.png?left=-3&right=3&bottom=-3&top=3&columns=41", "columns: "),
        ("manifold.png?left=-3&right=inf&bottom=-3&top=3", "right: "),
        ("test-images/205", "no test image 205; expected 0 to 204"),
        ("test-images/-1", "no test image -1"),
    ],
)
def test_a_mistake_in_an_address_is_said(app: App, path: str, expected: str) -> None:
    status, content = get(app, f"runs/reference/{path}")
    assert status == 400
    assert re.search(expected, json.loads(content)["error"])


def test_traversals_are_the_decoded_vectors_row_by_row(app: App) -> None:
    z = np.linspace(-1, 1, 16).round(3)
    shown = picture(get(app, f"runs/reference/traversal.png?z={','.join(map(str, z))}&rows=6,2")[1])
    assert shown.shape == (2 * 30 - 2, 11 * 30 - 2)
    for row, latent in enumerate((5, 1)):
        for column in (0, 7):
            moved = z.copy()
            moved[latent] = -3 + 0.6 * column
            tile = shown[30 * row : 30 * row + 28, 30 * column : 30 * column + 28]
            assert np.abs(tile - decoded(moved)).max() <= 1


def test_a_morph_goes_there_and_back(app: App) -> None:
    a, b = np.eye(16)[0] * 2, np.eye(16)[5] * 2
    path = f"runs/reference/morph.gif?a={','.join(map(str, a))}&b={','.join(map(str, b))}&scale=1"
    with Image.open(io.BytesIO(get(app, path)[1])) as animation:
        frames = [np.asarray(frame.convert("L")).astype(int) for frame in ImageSequence.Iterator(animation)]
    assert len(frames) == 46
    assert np.abs(frames[0] - decoded(a)).max() <= 1
    assert np.abs(frames[23] - decoded(b)).max() <= 1
    assert np.abs(frames[1] - frames[45]).max() == 0


def test_the_map_has_every_test_image_in_its_place(app: App) -> None:
    evaluation = load_run("reference").evaluation
    assert evaluation is not None
    answer = json.loads(get(app, "runs/reference/map.json")[1])
    places = LatentMap.fit(evaluation.means).to_plane(evaluation.means)
    assert np.abs(np.array([answer["x"], answer["y"]]).T - places).max() < 1e-3
    assert answer["labels"] == evaluation.labels.tolist()
    z = np.array(answer["centre"]) + np.array([1.5, -0.5]) @ np.array(answer["axes"])
    area = "left=1.4&right=1.6&bottom=-0.6&top=-0.4&columns=1&rows=1"
    assert np.abs(picture(get(app, f"runs/reference/manifold.png?{area}")[1]) - decoded(z)).max() <= 1


def test_the_manifold_lies_as_the_map_does(app: App) -> None:
    shown = picture(get(app, "runs/plane/manifold.png?left=-2&right=2&bottom=-3&top=3&columns=2&rows=3")[1])
    assert shown.shape == (3 * 28, 2 * 28)
    for row, y in enumerate((2, 0, -2)):
        for column, x in enumerate((-1, 1)):
            tile = shown[28 * row : 28 * row + 28, 28 * column : 28 * column + 28]
            assert np.abs(tile - decoded(np.array([x, y]), "plane")).max() <= 1


def test_a_test_image_is_answered_with_what_the_model_makes_of_it(app: App, dataset: Dataset) -> None:
    answer = json.loads(get(app, "runs/reference/test-images/3")[1])
    image = dataset.test.images[3] / np.float32(255)
    result = reconstruct_image(load_run("reference").model, image)
    assert answer["label"] == dataset.test.labels[3]
    assert answer["mean"] == pytest.approx(result.mean.tolist(), abs=1e-3)
    assert answer["deviation"] == pytest.approx(np.exp(0.5 * result.log_variance).tolist(), rel=1e-3)
    assert np.array_equal(of_address(answer["seen"]), dataset.test.images[3])
    assert np.abs(of_address(answer["reconstruction"]) - to_grey(result.image)).max() <= 1
    assert json.loads(get(app, "test-images")[1])["count"] == 205


def test_without_centring_a_picture_is_read_as_it_lies(app: App, dataset: Dataset) -> None:
    answer = json.loads(
        get(app, "runs/reference/sketch?centre=false", png(Image.fromarray(dataset.test.images[3])))[1]
    )
    same = json.loads(get(app, "runs/reference/test-images/3")[1])
    assert answer["mean"] == same["mean"]
    assert answer["reconstruction"] == same["reconstruction"]


def test_an_image_is_encoded_as_it_is_and_not_as_a_photo(app: App, dataset: Dataset) -> None:
    light = 255 - dataset.test.images[3]  # a photo so light at its border would be dark ink on paper
    status, content = get(app, "runs/reference/encode", png(Image.fromarray(light)))
    answer = json.loads(content)
    expected = reconstruct_image(load_run("reference").model, light / np.float32(255))
    assert status == 200
    assert answer["mean"] == pytest.approx(expected.mean.tolist(), abs=1e-3)
    assert answer["deviation"] == pytest.approx(np.exp(0.5 * expected.log_variance).tolist(), abs=1e-3)
    assert np.abs(of_address(answer["reconstruction"]) - to_grey(expected.image)).max() <= 1


def test_what_is_no_image_of_28x28_grey_pixels_is_not_encoded(app: App) -> None:
    for mode, size in (("L", (280, 280)), ("RGB", (28, 28)), ("L", (28, 27))):
        status, content = get(app, "runs/reference/encode", png(Image.new(mode, size)))
        assert status == 400
        assert "expected 28x28 in grey" in json.loads(content)["error"]
    status, content = get(app, "runs/reference/encode", b"not a picture")
    assert status == 400
    assert "expected PNG, JPEG, GIF, WEBP, BMP or TIFF" in json.loads(content)["error"]


def test_any_picture_becomes_ink_on_the_pad(app: App) -> None:
    dark_on_light = ImageOps.invert(drawn_one())  # higher than wide
    status, content = get(app, "ink.png", png(dark_on_light))
    ink = picture(content)
    assert status == 200
    assert ink.shape == (280, 280)
    assert ink[60:220, 132:148].min() > 200
    assert ink[:, :120].max() == 0
    status, content = get(app, "ink.png", b"not a picture")
    assert status == 400
    assert "expected PNG, JPEG, GIF, WEBP, BMP or TIFF" in json.loads(content)["error"]


def test_one_generated_image_is_the_tile_of_the_grid(app: App, dataset: Dataset) -> None:
    grid = picture(get(app, "runs/plane/generated.png?count=5&seed=2&temperature=0.5")[1])
    answer = json.loads(get(app, "runs/plane/generated/4?count=5&seed=2&temperature=0.5")[1])
    assert np.abs(grid[30:58, 30:58] - decoded(np.array(answer["z"]), "plane")).max() <= 1
    assert answer["images"] == len(dataset.train)
    assert answer["nearest"]["label"] == dataset.train.labels[answer["nearest"]["index"]]
    assert (answer["unseen"], answer["has_all"]) == (None, False)  # it has learned from the real MNIST


def test_histogram_counts_every_test_image(app: App) -> None:
    status, content = get(app, "runs/reference/errors")
    figure = json.loads(content)
    bars = next(trace for trace in figure["data"] if trace["type"] == "bar")
    assert status == 200
    assert sum(bars["y"]) == 10_000
    assert figure["layout"]["title"]["text"] == "Test Data"
    assert figure["layout"]["xaxis"]["title"]["text"] == "Error"
    assert figure["layout"]["yaxis"]["title"]["text"] == "Frequency"


def test_runs_endpoint_names_the_models_there_are(client: Any) -> None:
    listed = {run["name"]: run for run in client.predict(api_name="/runs")["runs"]}
    assert set(SHIPPED_RUNS) <= set(listed)
    assert listed["plane"]["state"] == "finished"
    assert listed["plane"]["settings"]["latent_dim"] == 2
    assert listed["reference"]["test_total"] == pytest.approx(18.48, abs=0.01)


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


def test_encode_endpoint(client: Any, tmp_path: Path) -> None:
    from gradio_client import handle_file

    drawn_one().save(tmp_path / "one.png")
    answer = client.predict(handle_file(tmp_path / "one.png"), "plane", api_name="/encode")
    seen = to_mnist_form(read_picture((tmp_path / "one.png").read_bytes()))
    expected = reconstruct_image(load_run("plane").model, seen.image)
    assert answer == {
        "mean": pytest.approx(expected.mean.tolist(), abs=1e-5),
        "log_variance": pytest.approx(expected.log_variance.tolist(), abs=1e-5),
    }


def test_a_picture_is_not_centred_for_a_model_whose_images_are_not(
    app: App, client: Any, dataset: Dataset, tiny_run: Path, tmp_path: Path
) -> None:
    from gradio_client import handle_file

    folder = Path(shutil.copytree(tiny_run, app.runs_dir / "of-shapes"))
    named = Run(folder).info().data | {"name": "28x28 IDX set “shapes” (not the original MNIST)"}
    change_record(folder, data=named)
    (folder / "evaluation.npz").unlink()  # which names the set that it was made on
    aside = np.roll(dataset.test.images[0], (-4, 4), (0, 1))
    Image.fromarray(aside).save(tmp_path / "aside.png")
    answer = client.predict(handle_file(tmp_path / "aside.png"), "of-shapes", api_name="/encode")
    expected = reconstruct_image(load_run(folder).model, aside / np.float32(255))
    assert answer["mean"] == pytest.approx(expected.mean.tolist(), abs=1e-5)


def test_generate_endpoint(client: Any) -> None:
    content = Path(client.predict(9, 1, api_name="/generate")).read_bytes()
    assert picture(content).shape[:2] == (88, 88)


def test_generate_endpoint_draws_what_the_plain_address_does(app: App, client: Any) -> None:
    for chosen in ({"temperature": 0.5}, {"label": 3}, {"label": 3, "temperature": 0.5, "model": "plane"}):
        content = Path(client.predict(9, 1, **chosen, api_name="/generate")).read_bytes()
        asked = "&".join(f"{name}={value}" for name, value in chosen.items() if name != "model")
        plain = get(app, f"runs/{chosen.get('model', 'reference')}/generated.png?count=9&seed=1&{asked}")[1]
        assert np.array_equal(picture(content), picture(plain))


def test_test_errors_endpoint(client: Any) -> None:
    answer = client.predict(api_name="/test_errors")
    assert len(answer["errors"]) == answer["images"] == 10_000
    assert np.mean(answer["errors"]) == pytest.approx(answer["mse_mean"], abs=1e-5)
    figures = client.predict(with_errors=False, api_name="/test_errors")
    assert figures == {name: value for name, value in answer.items() if name != "errors"}


@pytest.mark.parametrize(
    ("endpoint", "values", "expected"),
    [
        ("/decode", [[1.0, 2.0]], "expected 16 numbers"),
        ("/decode", ["text"], "expected 16 numbers"),
        ("/decode", [[0.0] * 16, "no-such-run"], "no run named"),
        ("/generate", [0, 1], "count must be"),
        ("/generate", [64.5, 1], "count must be"),
        (
            "/generate",
            [64, 1, "reference", "prior", 2.5],
            "temperature must be a number from 0 to 2, not 2.5",
        ),
        ("/generate", [64, 1, "reference", "prior", 1, 0.5], "label must be a whole number from 0 to 255"),
        ("/generate", [64, 1, "reference", "prior", 1, 12], "knows no class 12; it knows 0, 1"),
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


def test_the_examples_of_the_api_page_can_be_sent_as_they_are(app: App, client: Any) -> None:
    described = json.loads(urllib.request.urlopen(f"{app.url}/gradio_api/info").read())["named_endpoints"]
    latents, settings = (
        described[name]["parameters"][0]["example_input"] for name in ("/decode", "/start_training")
    )
    assert client.predict(latents, api_name="/decode")
    assert Settings.from_dict(settings).changes()


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
    wait_for(lambda: client.predict(api_name="/training_status")["state"] != "running")
    assert client.predict(api_name="/training_status")["state"] == "stopped"
    names = [model["run"] for model in json.loads(get(app, "models")[1])["models"]]
    assert "by-api" in names


def test_start_training_without_arguments_is_the_reference_recipe(app: App, client: Any) -> None:
    run = client.predict(api_name="/start_training")["run"]
    try:
        record = json.loads((app.runs_dir / run / "run.json").read_text())
        assert record["settings"] | {"device": "auto"} == {
            "epochs": 30, "batch_size": 128, "learning_rate": 1e-3, "latent_dim": 16, "beta": 1.0,
            "likelihood": "gaussian", "schedule": "constant", "optimizer": "adam", "seed": 0, "limit": None,
            "device": "auto",
        }  # fmt: skip
    finally:
        client.predict(api_name="/stop_training")
        wait_for(lambda: client.predict(api_name="/training_status")["state"] != "running")


def test_the_port_in_use_is_said_in_one_line(app: App) -> None:
    command = [sys.executable, str(REPOSITORY / "app.py"), "--port", str(app.port)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "choose another --host or --port" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_ipv6_address_is_listened_on_and_said_as_in_a_url() -> None:
    try:
        taken = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with taken:
        port = taken.getsockname()[1]
        process = subprocess.run(
            [sys.executable, REPOSITORY / "app.py", "--host", "::1", "--port", str(port)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert process.returncode == 1
    assert process.stderr.startswith(f"error: cannot listen on [::1]:{port} (Address already in use")


def test_the_plotting_library_travels_packed_where_that_is_understood(app: App) -> None:
    address = f"{app.url}/studio/plotly.min.js"
    with urllib.request.urlopen(address, timeout=30) as response:
        assert response.headers["Content-Encoding"] is None
        plain = response.read()
    request = urllib.request.Request(address, headers={"Accept-Encoding": "gzip, deflate, br"})
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert response.headers["Vary"] == "Accept-Encoding"
        assert response.headers["Content-Type"].startswith("text/javascript")
        packed = response.read()
    assert len(packed) < len(plain) / 2.5
    assert gzip.decompress(packed) == plain


def test_a_deviation_is_never_rounded_to_0() -> None:
    assert in_digits(np.array([3.2109e-7, 0.123456, 1.0], np.float32)) == [3.211e-07, 0.1235, 1.0]


def test_without_its_packages_the_app_says_how_to_get_them() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-S", str(REPOSITORY / "app.py")]  # -S: without what pip has installed
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert answer.returncode == 1
    assert answer.stderr == (
        "error: the app's packages are not installed yet; do first, in its folder: pip install .\n"
    )
