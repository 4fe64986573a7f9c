"""The test errors of a model beside those of a second one, as the page asks for them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from support.runs import save_altered_copy
from support.studio_client import client_of_routes, until_ready
from vae_core.data import Dataset
from vae_core.evaluated import Evaluation
from vae_core.run_folder import Run
from vae_core.ui.studio import Studio

if TYPE_CHECKING:
    from starlette.testclient import TestClient


@pytest.fixture(scope="module")
def runs_dir(tiny_run: Path, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With "tiny", "other", evaluated on the same images, and "untested"; the shipped ones are of others."""
    runs_dir = tmp_path_factory.mktemp("compared")
    shutil.copytree(tiny_run, runs_dir / "tiny")
    save_altered_copy(tiny_run, runs_dir / "other", dataset)
    shutil.copytree(tiny_run, runs_dir / "untested", ignore=shutil.ignore_patterns("evaluation.*"))
    return runs_dir


@pytest.fixture(scope="module")
def client(runs_dir: Path, small_mnist: Path) -> TestClient:
    return client_of_routes(Studio(runs_dir, str(small_mnist), "cpu"))


@pytest.fixture(scope="module")
def evaluations(runs_dir: Path) -> tuple[Evaluation, Evaluation]:
    """Those of the first model and of the second."""
    return Run(runs_dir / "tiny").required_evaluation(), Run(runs_dir / "other").required_evaluation()


def answer(client: TestClient, path: str, **parameters: Any) -> dict[str, Any]:
    told = client.get(f"/studio/runs/tiny/errors/{path}", params=parameters)
    assert told.status_code == 200, told.text
    return told.json()


def test_a_second_model_is_told_beside_the_first(
    client: TestClient, evaluations: tuple[Evaluation, Evaluation]
) -> None:
    first, second = evaluations
    assert answer(client, "facts")["beside"] is None
    beside = answer(client, "facts", other="other", latents="mean")["beside"]
    better = second.errors_mean < first.errors_mean
    assert 0 < better.sum() < len(better)  # or nothing is tested here
    assert (beside["run"], beside["is_same_set"], beside["better"]) == ("other", True, better.sum())
    assert beside["mean"] == pytest.approx(second.errors_mean.mean(), rel=1e-5)
    of_class = [second.errors_mean[second.labels == label].mean() for label in range(10)]
    assert beside["mean_errors"] == pytest.approx(of_class, rel=1e-5)
    boxes = answer(client, "boxes", other="other")["data"]
    assert [trace["name"] for trace in boxes] == ["tiny", "other"]
    assert [trace["mean"][3] for trace in boxes] == pytest.approx(
        [each.errors[each.labels == 3].mean() for each in evaluations], rel=1e-5
    )


@pytest.mark.parametrize(("order", "sign"), [("better", 1), ("worse", -1)])
def test_images_stand_in_the_order_of_what_the_second_model_gains(
    client: TestClient, evaluations: tuple[Evaluation, Evaluation], order: str, sign: int
) -> None:
    first, second = (each.errors.astype(np.float64) for each in evaluations)
    gains = sign * (second - first)
    expected = np.argsort(gains, kind="stable")[: min(16, (gains < 0).sum())]
    told = answer(client, "gallery", other="other", order=order)
    items = told["items"]
    assert told["count"] == (gains < 0).sum()
    assert not told["differs"]
    assert [item["index"] for item in items] == expected.tolist()
    assert [item["shown_error"] for item in items] == pytest.approx(first[expected].tolist(), abs=1e-4)
    beside = [item["beside"] for item in items]
    assert [made["shown_error"] for made in beside] == pytest.approx(second[expected].tolist(), abs=1e-4)
    for item in items:
        for picture in ("reconstruction", "difference"):
            assert item[picture] != item["beside"][picture]


def test_the_same_model_is_neither_better_nor_worse(client: TestClient) -> None:
    for order in ("better", "worse"):
        assert answer(client, "gallery", other="tiny", order=order)["count"] == 0


def test_a_model_that_was_tested_on_other_images_is_measured_on_these(client: TestClient) -> None:
    beside = answer(client, "facts", other="reference")["beside"]
    assert (beside["is_same_set"], beside["to_measure"], beside["images"]) == (False, True, 10_000)
    assert (beside["better"], beside["mean_errors"]) == (None, None)
    assert len(answer(client, "boxes", other="reference")["data"]) == 1
    assert "beside" not in answer(client, "gallery", other="reference")["items"][0]
    refused = client.get("/studio/runs/tiny/errors/gallery", params={"order": "worse", "other": "reference"})
    assert refused.status_code == 400
    assert "expects another model that was tested on the same images" in refused.json()["error"]

    until_ready(client, "/studio/runs/reference/errors/measured")
    beside = answer(client, "facts", other="reference")["beside"]
    assert (beside["is_same_set"], beside["to_measure"], beside["images"]) == (True, False, 205)
    item = answer(client, "gallery", other="reference", order="better")["items"][0]
    assert item["beside"]["shown_error"] < item["shown_error"]
    assert item["beside"]["read_as_name"] in "0123456789"


def test_what_cannot_be_compared_is_said_and_the_rest_is_there(client: TestClient) -> None:
    alone = client.get("/studio/runs/tiny/errors/gallery", params={"order": "worse"})
    assert alone.status_code == 400
    assert "order=worse expects another model" in alone.json()["error"]
    told = answer(client, "facts", other="untested")
    assert told["beside"]["problem"] == "run untested has not been tested yet"
    assert told["summary"] == answer(client, "facts")["summary"]
    assert client.get("/studio/runs/tiny/errors/facts", params={"other": "nobody"}).status_code == 404


def test_a_damaged_evaluation_is_not_said_to_be_missing(client: TestClient, runs_dir: Path) -> None:
    (runs_dir / "untested" / "evaluation.npz").write_bytes(b"torn")
    try:
        told = answer(client, "facts", other="untested")["beside"]["problem"]
        plotted = client.get("/studio/runs/untested/map.json")
    finally:
        (runs_dir / "untested" / "evaluation.npz").unlink()
    assert told.startswith("run untested: evaluation.npz is damaged or incomplete")
    assert (plotted.status_code, plotted.json()["error"]) == (404, told)
