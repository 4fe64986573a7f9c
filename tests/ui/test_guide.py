"""The guide: its steps have words and lead somewhere, and what it says of the shipped models is so."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from support.browser import REPOSITORY
from vae_core import elbo_loss, load_run
from vae_core.data import ImageSet
from vae_core.runs import list_runs
from vae_core.ui.lesson import PARTS, STEPS, read_lesson
from vae_core.ui.parts import markup


def test_each_step_has_its_words_and_leads_somewhere() -> None:
    assert re.findall(r'data-step="(\w+)"', markup("guide")) == list(STEPS)
    runs = list_runs(REPOSITORY / "checkpoints")
    for step in STEPS.values():
        assert read_lesson(step.place, runs).values["model"]
        assert set(step.parts) <= set(PARTS)


def test_z6_tells_most_of_the_reference_and_z4_least_of_those_that_tell_anything() -> None:
    evaluation = load_run("reference").evaluation
    assert evaluation is not None
    nats = evaluation.kl_per_dimension
    telling = [f"z{latent + 1}" for latent in np.argsort(-nats) if nats[latent] >= 0.05]
    assert (telling[0], telling[-1]) == ("z6", "z4")
    assert len(telling) < len(nats)  # the others are unused


def test_the_best_are_ones() -> None:
    evaluation = load_run("reference").evaluation
    assert evaluation is not None
    assert set(evaluation.labels[np.argsort(evaluation.errors)[:16]]) == {1}


@pytest.mark.parametrize("latent", [5, 9, 11, 7])
def test_the_loss_is_least_where_the_encoder_has_put_a_latent_that_tells_much(
    real_test_set: ImageSet, latent: int
) -> None:
    model = load_run("reference").model
    index = int(dict(part.split("=") for part in STEPS["loss"].place.split("&"))["image"])
    image = torch.tensor(real_test_set.images[index]).float()[None, None] / 255

    def loss_at(value: float) -> tuple[float, float, float]:
        at = mean.clone()
        at[0, latent] = value
        return tuple(map(float, elbo_loss(model.decode(at), image, at, log_variance)))

    with torch.no_grad():
        mean, log_variance = model.encode(image)
        chosen = loss_at(float(mean[0, latent]))
        others = [loss_at(value) for value in np.linspace(-3, 3, 11)]
        nothing = loss_at(0.0)
    assert chosen[0] < min(total for total, _, _ in others) + 0.01
    assert nothing[2] < chosen[2]  # though saying less is cheaper
    assert nothing[1] - chosen[1] > 3 * (chosen[2] - nothing[2])
