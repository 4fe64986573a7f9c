"""Test errors: the histogram of the error of each test image."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from vae_core.ui.routes.answers import evaluation_of
from vae_core.ui.studio import Studio


def router(studio: Studio) -> APIRouter:
    """The routes."""
    routes = APIRouter()

    @routes.get("/runs/{run}/errors")
    def errors(run: str) -> Response:
        from vae_core.ui.figures import error_histogram

        evaluation = evaluation_of(studio.load(run))
        return Response(error_histogram(evaluation).to_json(), media_type="application/json")

    return routes
