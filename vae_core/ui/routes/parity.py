"""Train: the reference recipe beside the MathWorks example, line by line."""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter

from vae_core.class_words import class_words
from vae_core.ui.studio import Studio

if TYPE_CHECKING:
    from vae_core.parity import Line


def router(studio: Studio) -> APIRouter:
    """The routes."""
    routes = APIRouter()

    one_at_a_time = threading.Lock()  # who asks meanwhile waits for the same answer

    kept: dict[tuple[str, str], list[Line]] = {}  # by the images: while the app runs its code does not change

    @routes.get("/parity")
    def table() -> dict[str, Any]:
        from vae_core.parity import parity

        with one_at_a_time:
            dataset = studio.dataset()
            images = dataset.train.digest, dataset.test.digest
            if images not in kept:
                kept[images] = [*parity(dataset), _histogram()]
            return {"lines": [asdict(line) for line in kept[images]]}

    return routes


def _histogram() -> Line:
    from vae_core.parity import compared
    from vae_core.ui.figures import error_histogram

    layout: Any = error_histogram(np.linspace(0, 0.1, 20), None, class_words("MNIST")).layout
    axes = f"axes “{layout.xaxis.title.text}” and “{layout.yaxis.title.text}”"
    return compared(
        "test", "histogram", "titled “Test Data”, axes “Error” and “Frequency”",
        f"titled “{layout.title.text}”, {axes}",
    )  # fmt: skip
