"""The figures that take a minute, and the mixture to sample from: computed, asked for in the app, kept."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from vae_core import assessment
from vae_core.assessment import assess
from vae_core.data import Dataset
from vae_core.evaluation import importance_weighted_bound
from vae_core.runs import Run
from vae_core.ui.routes import add_routes
from vae_core.ui.studio import Studio

OUR_PAGE = {"X-VAE-Studio": "page"}


@pytest.fixture
def few_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds of few samples: seconds less, the same way."""
    monkeypatch.setattr(assessment, "BOUND_SAMPLES", 10)
    monkeypatch.setattr(assessment, "BOUND_IMAGES", 5)


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Run:
    """A run of one's own, to be changed."""
    return Run(Path(shutil.copytree(tiny_run, tmp_path / "runs" / "tiny")))


def client_of(run: Run, data_dir: Path | None) -> TestClient:
    app = FastAPI()
    add_routes(app, Studio(run.folder.parent, str(data_dir), "cpu"))
    return TestClient(app, raise_server_exceptions=False)


def until_ready(client: TestClient, path: str) -> dict[str, Any]:
    for _ in range(600):
        response = client.get(path)
        assert response.status_code == 200, response.text
        if response.json()["ready"]:
            return response.json()
        time.sleep(0.05)
    raise AssertionError(f"{path} was never ready")


def test_every_figure_that_can_be_computed_is(run: Run, dataset: Dataset, few_bounds: None) -> None:
    before = run.evaluation()
    assert before is not None
    assert not before.is_complete
    steps = []
    complete, mixture = assess(
        run, run.model(), before, dataset, lambda step, done, count: steps.append((step, done, count))
    )
    assert complete.is_complete
    assert complete.iwae == complete.iwae_unit_variance  # its likelihood is the reference's
    expected = importance_weighted_bound(run.model(), dataset.test, samples=10, count=5)
    assert complete.iwae == pytest.approx(expected, abs=1e-3)
    assert "knows MNIST's digits alone" in complete.samples_note  # the folder is not the original MNIST
    assert mixture is not None
    assert mixture.latent_dim == 16
    assert {step for step, _, _ in steps} >= {"mixture of the encodings", "generated images"}
    assert all(0 <= done <= count for _, done, count in steps)


def test_the_page_asks_for_the_rest_sees_how_far_it_is_and_finds_it_kept(
    run: Run, small_mnist: Path, few_bounds: None
) -> None:
    client = client_of(run, small_mnist)
    figures = "/studio/runs/tiny/errors/figures"
    first = client.get(figures).json()
    assert (first["ready"], first["complete"], first["possible"]) == (True, False, True)
    assert first["summary"]["iwae"] is None

    assert client.post(figures).status_code == 400  # another site's form could do that
    assert client.post(figures, headers=OUR_PAGE).status_code == 200
    last = until_ready(client, figures)
    assert last["complete"]
    assert last["summary"]["iwae"] == pytest.approx(last["summary"]["iwae_unit_variance"])
    kept = run.evaluation()
    assert kept is not None
    assert kept.iwae == pytest.approx(last["summary"]["iwae"])
    assert run.mixture() is not None


def test_a_models_first_mixture_is_fitted_and_kept_and_sampled_from(run: Run, small_mnist: Path) -> None:
    client = client_of(run, small_mnist)
    until_ready(client, "/studio/runs/tiny/mixture")
    assert run.mixture() is not None
    pictures = {
        sampler: client.get(f"/studio/runs/tiny/generated.png?count=4&sampler={sampler}").content
        for sampler in ("prior", "mixture")
    }
    assert pictures["prior"] != pictures["mixture"]
    tile = client.get("/studio/runs/tiny/generated/2?count=4&sampler=mixture").json()
    assert len(tile["z"]) == 16
    walk = client.get("/studio/runs/tiny/walk.gif?sampler=mixture&scale=1")
    assert walk.status_code == 200
    assert walk.content != client.get("/studio/runs/tiny/walk.gif?scale=1").content


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("sampler=mixture&label=3", "choose a class or the mixture"),
        ("sampler=guess", "'prior' or 'mixture'"),
    ],
)
def test_a_sampler_that_cannot_be_is_refused(
    run: Run, small_mnist: Path, parameters: str, words: str
) -> None:
    client = client_of(run, small_mnist)
    until_ready(client, "/studio/runs/tiny/mixture")
    answer = client.get(f"/studio/runs/tiny/generated.png?{parameters}")
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_without_the_training_images_there_is_no_mixture_and_the_page_is_told_why(run: Run) -> None:
    from vae_core.data import _packaged_sample

    studio = Studio(run.folder.parent, None, "cpu")
    studio._dataset = _packaged_sample()  # whatever this machine has, other images than the run's
    app = FastAPI()
    add_routes(app, studio)
    client = TestClient(app, raise_server_exceptions=False)
    while (answer := client.get("/studio/runs/tiny/mixture")).status_code == 200:
        assert not answer.json()["ready"]
    assert answer.status_code == 404
    assert "run tiny has no mixture: it is fitted to the run's training images" in answer.json()["error"]
    assert client.get("/studio/runs/tiny/generated.png?sampler=mixture").status_code == 404
    assert client.get("/studio/runs/tiny/generated.png").status_code == 200
