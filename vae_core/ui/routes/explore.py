"""Explore: pictures of places in the latent space, each from its address alone."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query
from fastapi.responses import Response

from vae_core.class_words import class_words
from vae_core.errors import LatentError, RequestError
from vae_core.latent_space import LARGEST_LATENT, slerp, traversals
from vae_core.pictures import animation_bytes, data_uri, png_bytes, tile, to_grey
from vae_core.ui.reading import encoding
from vae_core.ui.routes.answers import Scale, Vector, latents, picture
from vae_core.ui.studio import Studio

TRAVERSAL = np.linspace(-3, 3, 11)
"""The values of a latent along its strip: also in static/traversal.js, which lays a button on each one."""
MORPH_FRAMES = 24
Coordinate = Annotated[float, Query(ge=-LARGEST_LATENT, le=LARGEST_LATENT)]


def router(studio: Studio) -> APIRouter:
    """The routes."""
    routes = APIRouter()

    @routes.get("/runs/{run}/decode.png")
    def decode(run: str, z: Vector) -> Response:
        from vae_core.inference import decode_latents

        loaded = studio.load(run)
        images = decode_latents(loaded.model, latents(loaded, z)[None])
        return picture(png_bytes(to_grey(images)[0]))

    @routes.get("/runs/{run}/traversal.png")
    def traversal(
        run: str,
        z: Vector,
        rows: Annotated[str, Query(max_length=2000, description="latents counted from 1, commas between")],
    ) -> Response:
        from vae_core.inference import decode_latents

        loaded = studio.load(run)
        vector = latents(loaded, z)
        moved = traversals(vector, _rows(rows, len(vector)), TRAVERSAL)
        return picture(png_bytes(tile(to_grey(decode_latents(loaded.model, moved)), len(TRAVERSAL))))

    @routes.get("/runs/{run}/morph.{kind}")
    def morph(run: str, kind: Literal["gif", "webp"], a: Vector, b: Vector, scale: Scale = 8) -> Response:
        from vae_core.inference import decode_latents

        loaded = studio.load(run)
        there = slerp(latents(loaded, a), latents(loaded, b), np.linspace(0, 1, MORPH_FRAMES))
        there_and_back = np.concatenate([there, there[-2:0:-1]]).astype(np.float32)
        frames = to_grey(decode_latents(loaded.model, there_and_back))
        return picture(animation_bytes(frames, kind, scale), kind)

    @routes.get("/runs/{run}/map.json")
    def latent_map(run: str) -> dict[str, Any]:
        loaded = studio.load(run)
        evaluation, plane = loaded.required_evaluation(), loaded.latent_map
        places = plane.to_plane(evaluation.means)
        return {
            "x": places[:, 0].round(3).tolist(),
            "y": places[:, 1].round(3).tolist(),
            "labels": evaluation.labels.tolist(),
            "centre": plane.centre.round(5).tolist(),
            "axes": plane.axes.round(6).tolist(),
            "shares": plane.shares,
        }

    @routes.get("/runs/{run}/manifold.png")
    def manifold(
        run: str,
        left: Coordinate,
        right: Coordinate,
        bottom: Coordinate,
        top: Coordinate,
        columns: Annotated[int, Query(ge=1, le=40)] = 20,
        rows: Annotated[int, Query(ge=1, le=40)] = 20,
    ) -> Response:
        """The plane of the map, decoded: tiles from left to right and from the top down, without gaps."""
        from vae_core.inference import decode_latents

        loaded = studio.load(run)
        across = left + (np.arange(columns) + 0.5) / columns * (right - left)
        down = top + (np.arange(rows) + 0.5) / rows * (bottom - top)
        places = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)  # row by row
        z = loaded.latent_map.from_plane(places).astype(np.float32)
        return picture(png_bytes(tile(to_grey(decode_latents(loaded.model, z)), columns, gap=0)))

    @routes.get("/test-images")
    def test_images() -> dict[str, int]:
        return {"count": len(studio.dataset().test)}

    @routes.get("/runs/{run}/test-images/{index}")
    def test_image(run: str, index: int) -> dict[str, Any]:
        """One of the test images, and what the model makes of it."""
        loaded, test = studio.load(run), studio.dataset().test
        if not 0 <= index < len(test):
            raise RequestError(f"there is no test image {index}; expected 0 to {len(test) - 1}")
        image = test.images[index].astype(np.float32) / 255
        return encoding(loaded, image) | {
            "index": index,
            "data": test.name,
            "noun": class_words(test.name).noun,
            "label": int(test.labels[index]),
            "called": class_words(test.name).called(int(test.labels[index])),
            "seen": data_uri(image),
        }

    return routes


def _rows(text: str, latent_dim: int) -> list[int]:
    expected = f"expected latents from 1 to {latent_dim} with commas between"
    try:
        rows = [int(part) - 1 for part in text.split(",")]
    except ValueError as error:
        raise LatentError(f"rows {text!r}; {expected}") from error
    if len(rows) > latent_dim or not all(0 <= row < latent_dim for row in rows):
        raise LatentError(f"rows {text!r}; {expected}")
    return rows
