"""Draw: a drawing through the model, an image as it is, and any picture file as ink on the drawing pad."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from vae_core.errors import EmptyPictureError
from vae_core.pictures import data_uri, png_bytes, to_grey
from vae_core.sketch import on_square, read_image, read_picture, to_mnist_form, without_paper
from vae_core.ui.reading import encoding, reading
from vae_core.ui.routes.answers import Seed, picture
from vae_core.ui.studio import Studio

PAD_SIZE = 280


def router(studio: Studio) -> APIRouter:
    """The routes."""
    routes = APIRouter()

    @routes.post("/runs/{run}/sketch")
    async def sketch(
        run: str, request: Request, centre: bool = True, on_paper: bool = True, seed: Seed = 0,
        sampled: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        content = await request.body()  # of limited size: see vae_core/ui/gate/guard.py

        def read() -> dict[str, Any]:
            loaded = studio.load(run)
            try:
                seen = to_mnist_form(read_picture(content, on_paper), centre, on_paper)
            except EmptyPictureError as error:  # an answer: a drawing begins and may end so
                return {"empty": True, "message": str(error)}
            answer = reading(loaded, seen.image, seed, sampled)
            return answer | {"empty": False, "seen": data_uri(seen.image), "box": seen.box}

        return await run_in_threadpool(read)

    @routes.post("/runs/{run}/encode")
    async def encode(run: str, request: Request) -> dict[str, Any]:
        """What the model makes of 28x28 grey pixels as they are, not read as a drawing or a photo."""
        content = await request.body()
        return await run_in_threadpool(lambda: encoding(studio.load(run), read_image(content)))

    @routes.post("/ink.png")
    async def ink(request: Request) -> Response:
        content = await request.body()
        return await run_in_threadpool(lambda: picture(ink_of(content)))

    return routes


def ink_of(content: bytes) -> bytes:
    """A picture file's ink, without its paper, as a PNG of the drawing pad's size.

    Raises:
        PictureError: it is no picture, or there is nothing on it.
    """
    return png_bytes(to_grey(on_square(without_paper(read_picture(content)), PAD_SIZE)))
