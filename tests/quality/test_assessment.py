"""The figures that take a minute, and the mixture to sample from: computed, asked for in the app, kept."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from support.runs import one_component
from support.studio_client import OURS, client_of_routes, until_ready
from vae_core.data import Dataset
from vae_core.evaluation import importance_weighted_bound
from vae_core.quality import assessment
from vae_core.quality.assessment import assess, encode_images, fitted_mixture
from vae_core.quality.samples import samples_note
from vae_core.run_folder import Run, RunWriter
from vae_core.run_results import store_evaluation
from vae_core.ui.studio import Studio

if TYPE_CHECKING:
    from starlette.testclient import TestClient


@pytest.fixture
def few_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds of few samples: seconds less, the same way."""
    monkeypatch.setattr(assessment, "BOUND_SAMPLES", 10)
    monkeypatch.setattr(assessment, "BOUND_IMAGES", 5)


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Run:
    """A run of one's own, to be changed."""
    return Run(Path(shutil.copytree(tiny_run, tmp_path / "runs" / "tiny")))


def client_of(run: Run, data_dir: Path) -> TestClient:
    return client_of_routes(Studio(run.folder.parent, str(data_dir), "cpu"))


def test_every_figure_that_can_be_computed_is(run: Run, dataset: Dataset, few_bounds: None) -> None:
    before = run.evaluation()
    assert before is not None
    assert not before.is_complete
    steps = []
    complete, mixture = assess(
        run, run.model(), before, dataset, lambda done, count, step="": steps.append((done, count, step))
    )
    assert complete.is_complete
    assert complete.iwae == complete.iwae_unit_variance  # its likelihood is the reference's
    expected = importance_weighted_bound(run.model(), dataset.test, samples=10, count=5)
    assert complete.iwae == pytest.approx(expected, abs=1e-3)
    assert "knows MNIST's digits alone" in complete.samples_note  # the folder is not the original MNIST
    assert mixture is not None
    assert mixture.latent_dim == 16
    assert {step for _, _, step in steps} >= {"mixture of the encodings", "generated images"}
    assert all(0 <= done <= count for done, count, _ in steps)


def test_a_mixture_is_fitted_to_the_runs_own_images(run: Run, dataset: Dataset) -> None:
    info, model = run.info(), run.model()
    turned = replace(dataset.train, images=dataset.train.images[:, ::-1])
    assert fitted_mixture(info, model, turned) is None
    fewer = replace(dataset.train, images=dataset.train.images[:600], labels=dataset.train.labels[:600])
    assert fitted_mixture(info, model, fewer) is None
    told: list[tuple[int, int]] = []
    fitted = fitted_mixture(info, model, dataset.train, progress=lambda *at: told.append(at))
    assert fitted is not None
    assert fitted.latent_dim == 16
    assert told == [(640, 640)]  # the 640 of the settings' limit, of 700


def test_of_many_images_a_mixture_is_fitted_to_some_of_each_class(
    run: Run, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first ones of a set that is sorted by class would be of a few."""
    by_class = np.argsort(dataset.train.labels[:640], kind="stable")
    images, labels = dataset.train.images[by_class], dataset.train.labels[by_class]
    sorted_set = replace(dataset.train, images=images, labels=labels)
    info = run.info()
    info = replace(info, data=info.data | {"training_digest": sorted_set.digest})
    encoded: list[np.ndarray] = []

    def encode(model: Any, images: np.ndarray, **told: Any) -> np.ndarray:
        encoded.append(images)
        return np.random.default_rng(0).normal(size=(len(images), 16))

    monkeypatch.setattr(assessment, "MOST_FITTED", 100)
    monkeypatch.setattr(assessment, "encode_images", encode)
    assert fitted_mixture(info, run.model(), sorted_set) is not None
    (chosen,) = encoded
    classes = {int(labels[(images == image).all((1, 2))][0]) for image in chosen}
    assert (len(chosen), classes) == (100, set(range(10)))


def test_one_training_image_makes_no_mixture_and_a_note_says_so(run: Run, dataset: Dataset) -> None:
    info = run.info()
    of_one = replace(
        info, settings=replace(info.settings, limit=1, batch_size=1), data=info.data | {"training_images": 1}
    )
    assert fitted_mixture(of_one, run.model(), dataset.train) is None
    note = samples_note(replace(dataset.test, name="MNIST"), None)
    assert "or on fewer than two" in note


def test_a_stored_mixture_is_taken_until_the_weights_change(
    run: Run, dataset: Dataset, few_bounds: None
) -> None:
    evaluation, model = run.evaluation(), run.model()
    assert evaluation is not None
    stored = one_component(16)
    writer = RunWriter(run.folder)
    writer.save_mixture(stored)
    others = replace(dataset, train=replace(dataset.train, name="another set"))
    mixture = assess(run, model, evaluation, others).mixture
    assert mixture is not None
    assert np.array_equal(mixture.means, stored.means)
    writer.save_model(model, run.info().settings)  # other weights: the mixture no longer fits
    writer.close()
    assert run.mixture() is None


def test_another_mixture_is_fitted_in_the_place_of_a_damaged_one(
    run: Run, dataset: Dataset, small_mnist: Path, few_bounds: None
) -> None:
    (run.folder / "mixture.npz").write_bytes(b"damaged")
    info, model, evaluation = run.info(), run.model(), run.required_evaluation()
    complete, mixture = assess(run, model, evaluation, dataset)
    assert mixture is not None
    store_evaluation(info, run.weights_version(), complete, mixture)
    assert np.array_equal(run.required_mixture().means, mixture.means)
    (run.folder / "mixture.npz").write_bytes(b"damaged")
    until_ready(client_of(run, small_mnist), "/studio/runs/tiny/mixture")
    assert np.array_equal(run.required_mixture().means, mixture.means)


def test_encodings_are_samples_of_each_images_posterior(run: Run, dataset: Dataset) -> None:
    model = run.model()
    image = np.repeat(dataset.train.images[:1], 4000, axis=0)
    encodings = encode_images(model, image, seed=2)
    x = torch.tensor(np.array(image[:1])).float()[:, None] / 255
    with torch.no_grad():
        mean, log_variance = model.encode(x)
    spread = (0.5 * log_variance[0]).exp().numpy()
    assert np.abs((encodings.mean(axis=0) - mean[0].numpy()) / spread).max() < 0.08
    assert encodings.std(axis=0) == pytest.approx(spread, rel=0.06)


def test_the_page_asks_for_the_rest_sees_how_far_it_is_and_finds_it_kept(
    run: Run, small_mnist: Path, few_bounds: None
) -> None:
    client = client_of(run, small_mnist)
    figures = "/studio/runs/tiny/errors/figures"
    first = client.get(figures).json()
    assert (first["ready"], first["complete"], first["possible"]) == (True, False, True)
    assert first["summary"]["iwae"] is None

    assert client.post(figures).status_code == 400  # another site's form could do that
    assert client.post(figures, headers=OURS).status_code == 200
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
    client = client_of_routes(studio)
    while (answer := client.get("/studio/runs/tiny/mixture")).status_code == 200:
        assert not answer.json()["ready"]
        time.sleep(0.05)
    assert answer.status_code == 404
    assert "run tiny has no mixture: it is fitted to the run's training images" in answer.json()["error"]
    assert client.get("/studio/runs/tiny/generated.png?sampler=mixture").status_code == 404
    assert client.get("/studio/runs/tiny/generated.png").status_code == 200


def test_without_any_images_what_is_stored_is_shown_all_the_same(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNIST_DIR", str(tmp_path / "nowhere"))
    client = client_of_routes(Studio(run.folder.parent, None, "cpu"))
    for path in ("errors", "errors/facts", "errors/boxes", "errors/figures"):
        assert client.get(f"/studio/runs/tiny/{path}").status_code == 200, path
    images = client.get("/studio/runs/tiny/errors/images").json()
    assert images["here"] is None
    assert "the folder that $MNIST_DIR names is not there" in images["missing"]
