"""What the routes have in common: parameters, pictures as answers, the check that a request is our page's."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import Query, Request
from fastapi.responses import Response

from vae_core.errors import RequestError
from vae_core.generation import MOST_TEMPERATURE
from vae_core.settings import MOST_SEED
from vae_core.ui.studio import Loaded

Vector = Annotated[str, Query(max_length=20_000, description="a latent vector: numbers with commas between")]
Seed = Annotated[int, Query(ge=0, le=MOST_SEED)]
Scale = Annotated[int, Query(ge=1, le=8, description="width and height of each pixel")]
Temperature = Annotated[float, Query(ge=0, le=MOST_TEMPERATURE, description="of the noise; 1 is N(0, I)")]
Label = Annotated[int | None, Query(ge=0, le=255, description="only this class; all without it")]


def latents(loaded: Loaded, values: str) -> np.ndarray:
    """A latent vector of the model from an address: float32 (K,).

    Raises:
        LatentError: it is none.
    """
    from vae_core.inference import check_latents

    return check_latents(values.split(","), loaded.model.latent_dim)


def picture(content: bytes, kind: str = "png") -> Response:
    """A picture file as an answer that the visitor's browser may keep."""
    return Response(content, media_type=f"image/{kind}", headers={"Cache-Control": "private, max-age=3600"})


def from_our_page(request: Request) -> None:
    """For routes that change something: they want a header that no form of another site can send.

    Raises:
        RequestError: it is not there.
    """
    if request.headers.get("x-vae-studio") is None:
        raise RequestError(
            "this request did not come from the studio's page: expected the header X-VAE-Studio"
        )
