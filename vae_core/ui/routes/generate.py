"""Generate: digits that nobody wrote, where they come from, and a walk among them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query
from fastapi.responses import Response

from vae_core.class_words import class_words
from vae_core.errors import RequestError
from vae_core.latent_space import closed_walk
from vae_core.pictures import animation_bytes, data_uri, png_bytes, square_tiles, to_grey
from vae_core.ui.routes.answers import Label, Scale, Seed, Temperature, evaluation_of, picture
from vae_core.ui.studio import Loaded, Studio

Count = Annotated[int, Query(ge=1, le=400)]
WALK_STOPS = 6
WALK_FRAMES = 12


def router(studio: Studio) -> APIRouter:
    """The routes."""
    routes = APIRouter()

    @routes.get("/runs/{run}/generated.png")
    def generated(
        run: str, count: Count = 64, seed: Seed = 0, temperature: Temperature = 1, label: Label = None,
        scale: Scale = 1,
    ) -> Response:  # fmt: skip
        from vae_core.usage import decode_latents

        loaded = studio.load(run)
        images = decode_latents(loaded.model, _sampled(loaded, count, seed, temperature, label))
        return picture(png_bytes(square_tiles(images), scale))

    @routes.get("/runs/{run}/generated/{index}")
    def one(
        run: str, index: int, count: Count = 64, seed: Seed = 0, temperature: Temperature = 1,
        label: Label = None,
    ) -> dict[str, Any]:  # fmt: skip
        """One of the generated images, and the training image that is most like it."""
        from vae_core.usage import decode_latents, nearest_image

        if not 0 <= index < count:
            raise RequestError(f"there is no image {index} of {count}; expected 0 to {count - 1}")
        loaded, train = studio.load(run), studio.dataset().train
        z = _sampled(loaded, count, seed, temperature, label)[index]
        image = decode_latents(loaded.model, z[None])[0]
        nearest = nearest_image(image, train.images)
        return {
            "z": z.round(4).tolist(),
            "picture": data_uri(image),
            "nearest": {
                "picture": data_uri(train.images[nearest.index]),
                "index": nearest.index,
                "label": int(train.labels[nearest.index]),
                "called": class_words(train.name).called(int(train.labels[nearest.index])),
                "error": nearest.error,
            },
            "images": len(train),
            "source": train.source,
        }

    @routes.get("/runs/{run}/walk.{kind}")
    def walk(
        run: str, kind: Literal["gif", "webp"], seed: Seed = 0, temperature: Temperature = 1,
        label: Label = None, scale: Scale = 8,
    ) -> Response:  # fmt: skip
        """Through six generated images and back to the first, along great arcs."""
        from vae_core.usage import decode_latents

        loaded = studio.load(run)
        way = closed_walk(_sampled(loaded, WALK_STOPS, seed, temperature, label), WALK_FRAMES)
        return picture(animation_bytes(to_grey(decode_latents(loaded.model, way)), kind, scale), kind)

    return routes


def _sampled(loaded: Loaded, count: int, seed: int, temperature: float, label: int | None) -> np.ndarray:
    from vae_core.usage import sample_latents

    if label is not None:
        evaluation_of(loaded)  # the classes are known from it
    classes = None if label is None else loaded.classes
    return sample_latents(loaded.model.latent_dim, count, seed, temperature, classes, label)
