"""The small classifier that generated digits are judged by."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch

from vae_core import load_mnist
from vae_core.data import Dataset, ImageSet
from vae_core.errors import DataError, RunError
from vae_core.quality import classifier
from vae_core.quality.classifier import (
    WEIGHTS,
    DigitClassifier,
    accuracy,
    read_digits,
    save_classifier,
    shipped_classifier,
    train_classifier,
)


def test_it_learns_and_the_seed_repeats_it(dataset: Dataset) -> None:
    first, again, other = (train_classifier(dataset.train, epochs=4, seed=seed) for seed in (0, 0, 1))
    assert accuracy(first, dataset.test) > 0.7
    assert torch.equal(first.head.weight, again.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)


def test_training_leaves_the_global_random_numbers_alone(dataset: Dataset) -> None:
    torch.manual_seed(4)
    expected = torch.rand(1)
    torch.manual_seed(4)
    train_classifier(
        replace(dataset.train, images=dataset.train.images[:130], labels=dataset.train.labels[:130]), 1
    )
    assert torch.equal(torch.rand(1), expected)


def test_labels_beyond_the_digits_are_refused(dataset: Dataset) -> None:
    letters = replace(dataset.train, labels=dataset.train.labels + np.uint8(10))
    with pytest.raises(DataError, match="expects digits, 0 to 9"):
        train_classifier(letters)


def test_pictures_and_pixels_are_read_alike_in_any_batch(
    monkeypatch: pytest.MonkeyPatch, dataset: Dataset
) -> None:
    torch.manual_seed(0)
    model = DigitClassifier().eval()
    features, probabilities = read_digits(model, dataset.test.images)
    assert features.shape == (205, 64)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(205))
    monkeypatch.setattr(classifier, "CHUNK", 50)
    again, _ = read_digits(model, dataset.test.images.astype(np.float32) / 255)
    assert np.abs(again - features).max() <= 1e-5
    x = torch.tensor(np.array(dataset.test.images)).float()[:, None] / 255
    with torch.no_grad():
        expected = model(x).softmax(1).numpy()
    assert np.abs(probabilities - expected).max() <= 1e-5


def test_accuracy_is_the_share_of_right_answers(dataset: Dataset) -> None:
    torch.manual_seed(0)
    model = DigitClassifier().eval()
    answers = read_digits(model, dataset.test.images)[1].argmax(axis=1).astype(np.uint8)
    right = replace(dataset.test, labels=answers)
    half = replace(dataset.test, labels=np.where(np.arange(205) < 41, (answers + 1) % 10, answers))
    assert accuracy(model, right) == 1.0
    assert accuracy(model, half) == pytest.approx(164 / 205)


def test_the_command_trains_measures_and_writes(
    small_mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(classifier, "EPOCHS", 1)
    out = tmp_path / "new" / "digits.safetensors"
    monkeypatch.setattr(sys, "argv", ["classifier", "--data-dir", str(small_mnist), "--out", str(out)])
    classifier.main()
    assert "of 205 test images read correctly" in capsys.readouterr().out
    with safetensors.safe_open(out, "pt") as file:
        described = file.metadata()
    assert described["training_images"] == "700"
    assert float(described["test_accuracy"]) == pytest.approx(
        accuracy(shipped_classifier(out), load_mnist("test", small_mnist)), abs=1e-4
    )
    assert [path.name for path in out.parent.iterdir()] == ["digits.safetensors"]


@pytest.mark.parametrize("content", [None, b"", b"not weights"])
def test_damaged_weights_are_one_clear_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match="the digit classifier cannot be read"):
        shipped_classifier(path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    model = DigitClassifier()
    model.head = torch.nn.Linear(64, 7)
    save_classifier(model, path, {})
    with pytest.raises(RunError, match="the digit classifier cannot be read"):
        shipped_classifier(path)


def test_the_shipped_weights_read_mnist_as_recorded(real_test_set: ImageSet) -> None:
    with safetensors.safe_open(WEIGHTS, "pt") as file:
        described = file.metadata()
    assert described["data"] == "MNIST"
    assert described["training_images"] == "60000"
    measured = accuracy(shipped_classifier(), real_test_set)
    assert measured == pytest.approx(float(described["test_accuracy"]), abs=0.0006)
    assert measured > 0.985
