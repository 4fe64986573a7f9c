"""Generate: digits that nobody wrote, where they come from, and a walk among them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response

from vae_core.class_words import class_words
from vae_core.errors import RequestError
from vae_core.generation import GENERATED_IMAGES, MOST_GENERATED_IMAGES, Sampler
from vae_core.latent_space import closed_walk
from vae_core.pictures import animation_bytes, data_uri, png_bytes, square_tiles, to_grey
from vae_core.ui.routes.answers import Label, Scale, Seed, Temperature, picture
from vae_core.ui.sampling import draw_latents
from vae_core.ui.studio import Studio

Count = Annotated[int, Query(ge=1, le=MOST_GENERATED_IMAGES)]
WALK_STOPS = 6
WALK_FRAMES = 12


def router(studio: Studio) -> APIRouter:
    """The routes."""
    routes = APIRouter()

    @routes.get("/runs/{run}/generated.png")
    def generated(
        run: str, count: Count = GENERATED_IMAGES, seed: Seed = 0, temperature: Temperature = 1,
        label: Label = None, sampler: Sampler = "prior", scale: Scale = 1,
    ) -> Response:  # fmt: skip
        from vae_core.inference import decode_latents

        loaded = studio.load(run)
        z = draw_latents(studio, loaded, count, seed, temperature, label, sampler)
        images = decode_latents(loaded.model, z)
        return picture(png_bytes(square_tiles(images), scale))

    @routes.get("/runs/{run}/generated/{index}")
    def one(
        run: str, index: int, count: Count = GENERATED_IMAGES, seed: Seed = 0, temperature: Temperature = 1,
        label: Label = None, sampler: Sampler = "prior",
    ) -> dict[str, Any]:  # fmt: skip
        """One of the generated images, and the training image that is most like it."""
        from vae_core.inference import decode_latents, nearest_image

        if not 0 <= index < count:
            raise RequestError(f"there is no image {index} of {count}; expected 0 to {count - 1}")
        loaded, dataset = studio.load(run), studio.dataset()
        learned = loaded.info.trained_on
        train = dataset.train.first(learned.count or None)
        if not (has_all := train.identity.is_same_as(learned)):
            train = dataset.train
        z = draw_latents(studio, loaded, count, seed, temperature, label, sampler)[index]
        image = decode_latents(loaded.model, z[None])[0]
        nearest, words = nearest_image(image, train.images), class_words(train.name)
        label_of_nearest = int(train.labels[nearest.index])
        unseen = loaded.unseen_like(label_of_nearest, dataset.test, train) if has_all else None
        return {
            "z": z.round(4).tolist(),
            "picture": data_uri(image),
            "nearest": {
                "picture": data_uri(train.images[nearest.index]),
                "index": nearest.index,
                "label": label_of_nearest,
                "called": words.called(label_of_nearest),
                "error": nearest.error,
            },
            "unseen": unseen
            and {
                "count": len(unseen.errors),
                "called": None if unseen.label is None else words.called(unseen.label),
                "nearer": int((unseen.errors < nearest.error).sum()),
            },
            "images": len(train),
            "learned": learned.count,
            "has_all": has_all,
            "source": train.source,
        }

    @routes.get("/runs/{run}/walk.{kind}")
    def walk(
        run: str, kind: Literal["gif", "webp"], seed: Seed = 0, temperature: Temperature = 1,
        label: Label = None, sampler: Sampler = "prior", scale: Scale = 8,
    ) -> Response:  # fmt: skip
        """Through six generated images and back to the first, along great arcs."""
        from vae_core.inference import decode_latents

        loaded = studio.load(run)
        stops = draw_latents(studio, loaded, WALK_STOPS, seed, temperature, label, sampler)
        way = closed_walk(stops, WALK_FRAMES)
        return picture(animation_bytes(to_grey(decode_latents(loaded.model, way)), kind, scale), kind)

    @routes.get("/runs/{run}/mixture")
    def mixture(run: str) -> dict[str, Any]:
        """How far the model's mixture is; the first who asks begins to fit it."""
        return studio.mixture(studio.load(run)).answer()

    return routes
