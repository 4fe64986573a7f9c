"""Which models there are, and what the page needs to know of one."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import APIRouter

from vae_core.run_folder import Run
from vae_core.run_record import RunInfo
from vae_core.ui.studio import Loaded, Studio


def router(studio: Studio) -> APIRouter:
    """The routes."""
    routes = APIRouter()

    @routes.get("/models")
    def models() -> dict[str, Any]:
        return {"models": [_listed(info) for info in studio.models()]}

    @routes.get("/runs/{run}/card")
    def card(run: str) -> dict[str, Any]:
        return model_card(studio.load(run))

    return routes


def _listed(info: RunInfo) -> dict[str, Any]:
    run = Run(info.folder)
    return {
        "run": info.name,
        "state": info.state,
        "version": _version(run.weights_version(), run.evaluation_version()),
    }


def _version(weights: int, evaluation: int) -> str:
    """What the page knows a model by: its evaluation may come long after its weights."""
    return f"{weights}-{evaluation}"


def model_card(loaded: Loaded) -> dict[str, Any]:
    """What the page needs to know of a model before it can show it."""
    evaluation, words = loaded.evaluation, loaded.words
    card = {
        "run": loaded.info.name,
        "version": _version(loaded.version, loaded.evaluation_version),
        "created": loaded.info.created,
        "latent_dim": loaded.model.latent_dim,
        "likelihood": loaded.info.settings.likelihood,
        "beta": loaded.info.settings.beta,
        "data": loaded.info.trained_on.name,
        "noun": words.noun,
        "plural": words.plural,
        "class_names": [],
        "kl_per_dimension": None,
        "class_means": {},
        "summary": None,
        "summary_from_mean": None,
    }
    if evaluation is not None:
        card |= {
            "kl_per_dimension": evaluation.kl_per_dimension.round(4).tolist(),
            "class_means": {
                label: mean.round(4).tolist()
                for label, mean in enumerate(evaluation.class_means.astype(float))
                if np.isfinite(mean).all()
            },
            "class_names": [words.name(label) for label in range(len(evaluation.class_means))],
            "summary": evaluation.summary(),
            "summary_from_mean": evaluation.summary(sampled=False),
        }
    return card
