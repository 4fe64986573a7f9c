from __future__ import annotations

import logging
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from support.runs import change_record, change_settings, one_component
from support.studio_client import OURS, client_of_routes, studio_client
from vae_core import data
from vae_core.data import Dataset
from vae_core.errors import DataError, RunError
from vae_core.inference import nearest_errors
from vae_core.mixture import LatentMixture
from vae_core.quality.inspection import inspect
from vae_core.run_folder import Run, RunWriter
from vae_core.run_results import store_evaluation, store_mixture
from vae_core.ui import sampling
from vae_core.ui.page import _get_ready
from vae_core.ui.sampling import draw_latents
from vae_core.ui.studio import Studio

if TYPE_CHECKING:
    from starlette.testclient import TestClient


def test_a_wrong_folder_in_the_environment_is_told_at_the_start_and_named_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = tmp_path / "nowhere"
    monkeypatch.setenv("MNIST_DIR", str(nowhere))
    studio = Studio(tmp_path, None, "cpu")
    assert f"$MNIST_DIR: {nowhere} is not there, or not a folder" in caplog.text
    with pytest.raises(DataError, match=r"^the folder that \$MNIST_DIR names is not there"):
        studio.dataset()
    with pytest.raises(DataError, match="--data-dir"):
        Studio(tmp_path, str(nowhere), "cpu")


def test_a_visitor_does_not_learn_where_the_data_lies(
    tmp_path: Path, small_mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(small_mnist, tmp_path / "data"))
    monkeypatch.setenv("MNIST_DIR", str(folder))
    studio = Studio(tmp_path, None, "cpu")
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(b"no archive")
    damaged = r"^in the folder that \$MNIST_DIR names, train-labels-idx1-ubyte.gz is damaged"
    with pytest.raises(DataError, match=damaged) as told:
        studio.dataset()
    assert str(tmp_path) not in str(told.value)


def test_that_the_data_is_a_sample_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("MNIST_DIR", raising=False)
    monkeypatch.setattr(data, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(data, "_answers", lambda url: False)
    caplog.set_level(logging.WARNING)
    studio = Studio(tmp_path, None, "cpu")
    assert studio.dataset().train.is_sample
    studio.dataset()
    assert [record.getMessage() for record in caplog.records] == [
        f"Using {studio.dataset().train.source}. {data.HOW_TO_GET_ALL}"
    ]
    assert "on the sample Minute takes seconds" in (studio.data_note() or "")
    looking = Studio(tmp_path, None, "cpu", read_only=True)
    looking.dataset()
    assert looking.data_note() is None  # nobody trains there


def test_a_damaged_first_model_does_not_keep_the_images_from_being_read(
    run: Run, small_mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vae_core.runs.SHIPPED_RUNS", ())
    (run.folder / "model.safetensors").write_bytes(b"damaged")
    studio = Studio(run.folder.parent, str(small_mnist), "cpu")
    assert studio.first_model() == "copied"
    _get_ready(studio)
    assert studio._dataset is not None


def test_a_note_that_nothing_can_be_trained_goes_when_the_folder_is_mended(
    tmp_path: Path, small_mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vae_core.ui.studio.ASK_AGAIN_SECONDS", 0.0)
    monkeypatch.setenv("MNIST_DIR", str(tmp_path / "data"))
    studio = Studio(tmp_path, None, "cpu")
    assert studio.data_note() is None  # not looked for yet
    with pytest.raises(DataError):
        studio.dataset()
    assert "Nothing can be trained or measured here: the folder" in (studio.data_note() or "")
    shutil.copytree(small_mnist, tmp_path / "data")
    assert "cannot" not in (said := studio.data_note() or "")
    assert re.search(r"“data” .*: 700 images\. .*for the 60,000 of MNIST\. With so few an epoch", said)


def test_of_mnist_itself_there_is_nothing_to_say(tmp_path: Path, real_mnist: Path) -> None:
    studio = Studio(tmp_path, str(real_mnist), "cpu")
    studio.dataset()
    assert studio.data_note() is None


def test_a_mixture_that_is_stored_later_is_found(
    run: Run, tmp_path: Path, write_idx: Callable[..., None]
) -> None:
    others = tmp_path / "others"
    others.mkdir()
    for prefix in ("train", "t10k"):
        write_idx(others, prefix, np.zeros((3, 28, 28), np.uint8), np.zeros(3, np.uint8))
    studio = Studio(run.folder.parent, str(others), "cpu")
    loaded = studio.load("copied")
    with pytest.raises(RunError, match="the run's training images, which are not here"):
        studio.mixture(loaded).result.result(60)
    encodings = np.random.default_rng(0).normal(size=(40, 16))
    store_mixture(loaded.info, loaded.version, LatentMixture.fit(encodings))
    assert isinstance(studio.mixture(loaded).result.result(60), LatentMixture)


def test_a_mixture_that_is_stored_waits_for_nothing(run: Run, small_mnist: Path) -> None:
    studio = Studio(run.folder.parent, str(small_mnist), "cpu")
    loaded = studio.load("copied")
    store_mixture(loaded.info, loaded.version, one_component(16))
    may_end = threading.Event()
    studio.background.task("what takes long", lambda progress: may_end.wait(60))
    try:
        assert draw_latents(studio, loaded, 3, seed=0, sampler="mixture").shape == (3, 16)
    finally:
        may_end.set()


def test_a_mixture_that_is_being_fitted_may_be_asked_for_again(
    run: Run, small_mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "PATIENCE_SECONDS", 0.1)
    studio, may_end = Studio(run.folder.parent, str(small_mnist), "cpu"), threading.Event()
    studio.background.task("what takes long", lambda progress: may_end.wait(60))
    try:
        answer = client_of_routes(studio).get("/studio/runs/copied/generated.png?sampler=mixture")
    finally:
        may_end.set()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "is still being fitted; ask again" in answer.json()["error"]


def test_images_whose_files_have_changed_are_read_again(
    tmp_path: Path, small_mnist: Path, dataset: Dataset, write_idx: Callable[..., None]
) -> None:
    folder = Path(shutil.copytree(small_mnist, tmp_path / "data"))
    studio = Studio(tmp_path, str(folder), "cpu")
    first = studio.dataset()
    assert studio.dataset() is first
    write_idx(folder, "t10k", dataset.test.images[:9], dataset.test.labels[:9])
    assert len(studio.dataset().test) == 9
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(b"half")  # it is just being written
    for _ in range(2):
        assert len(studio.dataset().test) == 9
    assert "Nothing can be trained" in (studio.data_note() or "")
    shutil.rmtree(folder)
    assert len(studio.dataset().test) == 9  # those that are held stay, while there are no others


def test_a_generated_image_is_compared_with_unseen_ones_of_its_class(
    run: Run, small_mnist: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Studio(run.folder.parent, str(small_mnist), "cpu").load("copied")
    monkeypatch.setattr("vae_core.ui.studio.LEAST_UNSEEN", 1)
    unseen = loaded.unseen_like(3, dataset.test, dataset.train)
    decoded = inspect(loaded.model, dataset.test.images[dataset.test.labels == 3]).reconstructions
    assert unseen.label == 3
    np.testing.assert_array_equal(unseen.errors, nearest_errors(decoded, dataset.train.images))
    monkeypatch.setattr("vae_core.ui.studio.LEAST_UNSEEN", 100)  # there are about twenty of each
    assert loaded.unseen_like(3, dataset.test, dataset.train).label is None


def test_a_model_is_another_to_the_page_once_it_is_evaluated(run: Run, small_mnist: Path) -> None:
    """Which may be long after its weights were written."""
    measured = run.required_evaluation()
    (run.folder / "evaluation.npz").unlink()
    with studio_client(run.folder.parent, small_mnist) as client:

        def versions() -> tuple[str, str]:
            listed = client.get("/studio/models").json()["models"]
            of_run = next(model["version"] for model in listed if model["run"] == run.name)
            return of_run, client.get(f"/studio/runs/{run.name}/card").json()["version"]

        before = versions()
        assert before[0] == before[1]
        store_evaluation(run.info(), run.weights_version(), measured)
        after = versions()
        assert after[0] == after[1] != before[0]


def test_a_run_is_told_as_a_copy_by_what_was_begun_and_not_by_when(run: Run, small_mnist: Path) -> None:
    runs_dir = run.folder.parent
    others = [Run(Path(shutil.copytree(run.folder, runs_dir / name))) for name in ("another", "copy", "old")]
    another, _, old = (other.folder for other in others)
    change_record(another, id="0123456789abcdef")  # of another machine, begun in the same second
    change_record(old, id="", settings=replace(run.info().settings, latent_dim=2).to_dict())
    client = client_of_routes(Studio(runs_dir, str(small_mnist), "cpu"))
    content = client.get("/studio/runs/copied/archive.zip").content
    shutil.rmtree(runs_dir / "copy")
    assert bring_in(client, content) == "copied"
    for name in ("copied", "copied-2"):
        shutil.rmtree(runs_dir / name)
    assert bring_in(client, content) is None
    shutil.rmtree(runs_dir / "copied")
    change_settings(old, latent_dim=16, epochs=9)  # one of a version without ids, trained on
    assert bring_in(client, content) == "old"


def bring_in(client: TestClient, archive: bytes) -> str | None:
    """The run of the same training that is told, if there is one."""
    answer = client.post("/studio/archive", content=archive, headers=OURS)
    assert answer.status_code == 200, answer.text
    return answer.json()["twin"]


def test_a_run_that_is_held_is_no_run_that_is_not_there(run: Run, small_mnist: Path) -> None:
    client = client_of_routes(Studio(run.folder.parent, str(small_mnist), "cpu"))
    writer = RunWriter(run.folder)
    writer.update(state="running")
    for method, path in (("DELETE", ""), ("POST", "/name?to=other")):
        answer = client.request(method, f"/studio/runs/copied{path}", headers=OURS)
        assert (answer.status_code, "is being trained" in answer.json()["error"]) == (409, True)
    assert client.delete("/studio/runs/nowhere", headers=OURS).status_code == 404
    writer.close()


def test_the_parity_table_is_of_the_images_that_are_there(
    tmp_path: Path, small_mnist: Path, dataset: Dataset, write_idx: Callable[..., None]
) -> None:
    folder = Path(shutil.copytree(small_mnist, tmp_path / "data"))
    client = client_of_routes(Studio(tmp_path, str(folder), "cpu"))
    before = client.get("/studio/parity").json()
    assert client.get("/studio/parity").json() == before
    write_idx(folder, "train", dataset.train.images[:300], dataset.train.labels[:300])
    assert client.get("/studio/parity").json() != before
