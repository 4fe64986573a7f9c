from __future__ import annotations

import io
import json
import zipfile
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vae_core.errors import RunError
from vae_core.evaluated import ADDED, Evaluation

ERRORS = np.array([0.0, 0.1, 0.2, 0.3, 1.0], np.float32)
RECORD = Evaluation(
    total=18.5,
    reconstruction=11.25,
    kl=7.25,
    total_mean=15.0,
    reconstruction_mean=7.75,
    errors=ERRORS,
    errors_mean=ERRORS / 2,
    labels=np.array([0, 0, 2, 2, 0], np.uint8),
    kl_per_dimension=np.array([7.0, 0.25], np.float32),
    variance_of_mean=np.array([0.9, 0.01], np.float32),
    class_means=np.array([[1, 2], [np.nan, np.nan], [3, 4]], np.float32),
    means=np.ones((5, 2), np.float16),
    name="a set",
    source="a set, drawn by hand",
)
CONTENT = RECORD.to_bytes()


def with_array(name: str, value: Any) -> bytes:
    """The record's file with one array changed; None leaves it out."""
    with np.load(io.BytesIO(CONTENT)) as arrays:
        changed = {**arrays, name: value}
    buffer = io.BytesIO()
    np.savez(buffer, **{key: array for key, array in changed.items() if array is not None})
    return buffer.getvalue()


MEASURED = replace(
    RECORD, iwae=17.5, iwae_unit_variance=17.25, frechet_prior=3.5, frechet_mixture=1.25,
    confident_prior=0.5, confident_mixture=0.75, samples_note="a note",
)  # fmt: skip


@pytest.mark.parametrize("record", [RECORD, MEASURED], ids=["without", "with"])
def test_what_is_written_is_read(record: Evaluation) -> None:
    again = Evaluation.from_bytes(record.to_bytes())
    for field in fields(Evaluation):
        written, read = getattr(record, field.name), getattr(again, field.name)
        if isinstance(written, np.ndarray):
            assert np.array_equal(written, read, equal_nan=written.dtype.kind == "f"), field.name
            assert written.dtype == read.dtype
        else:
            assert written == read
            assert type(written) is type(read)


def test_the_summary_has_the_figures_of_sampled_latents_or_of_the_mean() -> None:
    sampled, mean = RECORD.summary(), RECORD.summary(sampled=False)
    assert sampled == {
        "total": 18.5,
        "reconstruction": 11.25,
        "kl": 7.25,
        "mse_mean": pytest.approx(0.32),
        "mse_median": pytest.approx(0.2),
        "mse_p95": pytest.approx(0.86),
        "active_units": 1,
        "iwae": None,
        "images": 5,
        "source": "a set, drawn by hand",
        "total_unit_variance": pytest.approx(392 * 0.32 + 7.25),
        "iwae_unit_variance": None,
        "frechet_prior": None,
        "frechet_mixture": None,
        "confident_prior": None,
        "confident_mixture": None,
        "samples_note": "",
    }
    assert (mean["total"], mean["reconstruction"], mean["kl"]) == (15.0, 7.75, 7.25)
    assert mean["mse_mean"] == pytest.approx(0.16)
    assert mean["total_unit_variance"] == pytest.approx(392 * 0.16 + 7.25)
    assert json.loads(json.dumps(sampled)) == sampled


def test_a_file_from_before_the_figures_of_samples_is_read() -> None:
    with np.load(io.BytesIO(CONTENT)) as arrays:
        old = {name: array for name, array in arrays.items() if name not in ADDED}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **old)
    again = Evaluation.from_bytes(buffer.getvalue())
    assert len(old) == len(fields(Evaluation)) - 7
    assert again.summary() == RECORD.summary()


@pytest.mark.parametrize(
    ("missing", "is_complete"),
    [
        ({}, True),
        ({"iwae": None}, False),
        ({"iwae_unit_variance": None}, False),
        ({"frechet_prior": None}, True),  # the note says why
        ({"samples_note": ""}, True),
        ({"frechet_prior": None, "samples_note": ""}, False),
    ],
)
def test_an_evaluation_is_complete_with_the_bounds_and_the_samples_or_a_note(
    missing: dict[str, Any], is_complete: bool
) -> None:
    assert replace(MEASURED, **missing).is_complete is is_complete


def test_a_latent_is_in_use_from_a_hundredth_of_variance_on() -> None:
    spreads = np.array([0.9, 0.011, 0.009], np.float32)
    assert replace(RECORD, variance_of_mean=spreads).active_units == 2


def test_all_that_a_file_lacks_is_named() -> None:
    with np.load(io.BytesIO(CONTENT)) as arrays:
        few = {name: array for name, array in arrays.items() if name not in ("total", "kl", "means")}
    buffer = io.BytesIO()
    np.savez(buffer, **few)
    with pytest.raises(
        RunError, match=r"^evaluation.npz is damaged or incomplete: it has no kl, means, total$"
    ):
        Evaluation.from_bytes(buffer.getvalue())


def test_figures_of_many_images_are_summed_in_double() -> None:
    many = replace(RECORD, errors=np.full(2**20 + 1, 0.1, np.float32))
    assert many.summary()["mse_mean"] == float(np.float32(0.1))
    assert many.total_unit_variance() == 392 * float(np.float32(0.1)) + 7.25


def test_every_file_from_before_says_the_loss_at_unit_variance() -> None:
    assert Evaluation.from_bytes(CONTENT).total_unit_variance() == pytest.approx(392 * 0.32 + 7.25)


@pytest.mark.parametrize("name", [field.name for field in fields(Evaluation) if field.name not in ADDED])
def test_a_missing_array_is_refused(name: str) -> None:
    with pytest.raises(RunError, match="damaged or incomplete"):
        Evaluation.from_bytes(with_array(name, None))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("total", np.ones(2), "total must be one number"),
        ("total", np.array(np.nan), "total must be a finite number"),
        ("iwae", np.array(np.inf), "iwae must be a finite number"),
        ("iwae", np.array(1), "iwae must be one number"),
        ("errors_mean", np.ones(4, np.float32), r"errors_mean has shape \(4,\); expected \(5,\)"),
        ("kl_per_dimension", np.ones((2, 1), np.float32), "kl_per_dimension has shape"),
        ("kl_per_dimension", np.full(2, np.nan, np.float32), "kl_per_dimension must be finite numbers"),
        ("variance_of_mean", np.full(2, np.inf, np.float32), "variance_of_mean must be finite numbers"),
        ("means", np.full((5, 2), np.nan, np.float16), "means must be finite numbers"),
        ("labels", np.zeros(5, np.uint16), "labels is of uint16, which it never is"),
        ("means", np.full((5, 2), 3e300), "means is of float64, which it never is"),
        (
            "class_means",
            np.full((3, 2), np.inf, np.float32),
            "class_means must be finite numbers of each class",
        ),
        ("name", np.array("a" * 10_001), "a text in it is longer than 10,000 characters"),
        ("labels", np.array([0, 1, 2, 3, 1], np.uint8), "3 class means; expected one of each class"),
        ("class_means", np.ones((257, 2), np.float32), "257 class means; expected one of each class"),
        ("class_means", np.ones((1, 2), np.float32), "1 class means; expected one of each class"),
        ("source", np.array("\ud800"), "a text in it is not one"),
        ("kl", np.array("seven"), "kl must be one number"),
        ("errors", np.ones(4, np.float32), "errors has shape"),
        ("labels", np.ones((5, 1), np.uint8), "labels has shape"),
        ("means", np.ones((5, 3), np.float16), "means has shape"),
        ("class_means", np.ones(2, np.float32), "class_means has shape"),
        ("variance_of_mean", np.array(["a", "b"]), "variance_of_mean is of <U1, which it never is"),
        ("errors", np.full(5, np.nan, np.float32), "finite"),
        ("errors_mean", np.full(5, np.inf, np.float32), "finite"),
    ],
)
def test_an_array_of_another_form_is_refused(name: str, value: Any, expected: str) -> None:
    with pytest.raises(RunError, match=f"^evaluation.npz: .*{expected}"):
        Evaluation.from_bytes(with_array(name, value))


def test_how_far_out_a_mean_lies_may_be_beyond_its_own_numbers() -> None:
    far = replace(RECORD, means=np.full((5, 2), 30_000, np.float16))
    assert far.norms == pytest.approx(30_000 * 2**0.5, rel=1e-3)


def test_there_is_a_mean_for_each_class_that_a_label_can_name() -> None:
    class_means = np.ones((256, 2), np.float32)
    evaluation = Evaluation.from_bytes(with_array("class_means", class_means))
    assert np.array_equal(evaluation.class_means, class_means)


def test_an_evaluation_of_no_images_or_of_no_latents_is_refused() -> None:
    nothing = ERRORS[:0]
    no_images = replace(
        RECORD, errors=nothing, errors_mean=nothing, labels=RECORD.labels[:0], means=RECORD.means[:0]
    )
    no_latents = replace(
        RECORD,
        kl_per_dimension=nothing,
        variance_of_mean=nothing,
        class_means=RECORD.class_means[:, :0],
        means=RECORD.means[:, :0],
    )
    for empty in (no_images, no_latents):
        with pytest.raises(RunError, match=r"^evaluation.npz: expected at least one image"):
            Evaluation.from_bytes(empty.to_bytes())


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_a_changed_byte_is_harmless_or_one_clear_error(position: int, change: int) -> None:
    damaged = bytearray(CONTENT)
    damaged[position] ^= change
    try:
        again = Evaluation.from_bytes(bytes(damaged))
    except RunError:
        return
    assert again.summary() == RECORD.summary()


@given(st.sampled_from([field.name for field in fields(Evaluation)]), st.binary(max_size=128))
def test_any_array_header_is_one_clear_error(name: str, header: bytes) -> None:
    magic = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(CONTENT)) as source, zipfile.ZipFile(buffer, "w") as target:
        for entry in source.namelist():
            target.writestr(entry, magic + header if entry == f"{name}.npy" else source.read(entry))
    with pytest.raises(RunError):
        Evaluation.from_bytes(buffer.getvalue())


@pytest.mark.parametrize("content", [b"", b"total", b"{1: 2"], ids=["empty", "text", "half a dictionary"])
def test_what_is_no_array_is_refused(content: bytes) -> None:
    for start in (b"", b"\x93NUMPY\x01\x00" + len(content).to_bytes(2, "little")):
        buffer = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(CONTENT)) as source, zipfile.ZipFile(buffer, "w") as target:
            for entry in source.namelist():
                target.writestr(entry, start + content if entry == "errors.npy" else source.read(entry))
        with pytest.raises(RunError, match=r"^evaluation.npz is damaged or incomplete: "):
            Evaluation.from_bytes(buffer.getvalue())
