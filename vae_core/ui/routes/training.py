"""Train: how a training stands, its curve and its previews."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import FileResponse

from vae_core.errors import RunError
from vae_core.ui.studio import Studio
from vae_core.ui.watching import run_curve, training_news

PREVIEW_KINDS = ("reconstructions", "samples")
Iteration = Annotated[int, Path(ge=0, lt=10**9)]


def router(studio: Studio) -> APIRouter:
    """The routes."""
    routes = APIRouter()

    @routes.get("/training")
    def training(
        known: str = "", offset: Annotated[int, Query(ge=0)] = 0, watch: str = "", generation: int = 0,
        created: str = "",
    ) -> dict[str, Any]:  # fmt: skip
        return training_news(studio, known, offset, watch, generation, created)

    @routes.get("/runs/{run}/curve")
    def curve(run: str) -> dict[str, Any]:
        return run_curve(studio.run(run))

    @routes.get("/runs/{run}/previews/{iteration}-{kind}.png")
    def preview(run: str, iteration: Iteration, kind: str) -> FileResponse:
        path = studio.run(run).folder / "previews" / f"{iteration:06d}-{kind}.png"
        if kind not in PREVIEW_KINDS or not path.is_file():
            raise RunError(f"run {run} has no preview {kind} of iteration {iteration}")
        return FileResponse(path, headers={"Cache-Control": "private, max-age=3600"})

    return routes
