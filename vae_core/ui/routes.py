"""The direct routes beside Gradio: pictures and numbers fast enough to follow a finger.

Each answers from its address alone, so that it can be cached, shared and called by anyone. A mistake
is answered with status 400 or 404 and `{"error": "what was expected"}`.
"""

from __future__ import annotations

import base64
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles

from vae_core.archives import MOST_ZIP_BYTES, pack, unpack
from vae_core.errors import PictureError, RequestError, RunError, VAEStudioError
from vae_core.pictures import png_bytes, square_tiles, to_grey
from vae_core.runs import RunInfo, delete_run, rename_run
from vae_core.ui.studio import Loaded, Studio, weights_version
from vae_core.ui.watching import run_card, run_curve, run_listing, training_news

STATIC = Path(__file__).parent / "static"
PREFIX = "/studio"
MOST_PICTURE_BYTES = 20 * 2**20
PREVIEW_KINDS = ("reconstructions", "samples")


def add_routes(app: FastAPI, studio: Studio) -> None:
    """Adds the routes and the way mistakes are answered to the app."""
    app.include_router(_router(studio), prefix=PREFIX)
    app.include_router(_changing_router(studio), prefix=PREFIX)
    app.mount(f"{PREFIX}/static", StaticFiles(directory=STATIC))

    @app.exception_handler(VAEStudioError)
    def explain(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 404 if isinstance(error, RunError) else 400)


def _router(studio: Studio) -> APIRouter:
    router = APIRouter()

    @router.get("/plotly.min.js")
    def plotly_script() -> FileResponse:
        script = files("plotly") / "package_data" / "plotly.min.js"
        return FileResponse(str(script), headers={"Cache-Control": "max-age=86400"})

    @router.get("/runs/{run}/card")
    def card(run: str) -> dict[str, Any]:
        return model_card(studio.load(run))

    @router.get("/runs/{run}/decode.png")
    def decode(run: str, z: Annotated[str, Query(max_length=20_000)]) -> Response:
        from vae_core.usage import check_latents, decode_latents

        model = studio.load(run).model
        latents = check_latents(z.split(","), model.latent_dim)
        return _png(png_bytes(to_grey(decode_latents(model, latents[None]))[0]))

    @router.post("/runs/{run}/sketch")
    async def sketch(run: str, request: Request) -> dict[str, Any]:
        content = await _limited_body(request, MOST_PICTURE_BYTES)
        return await run_in_threadpool(lambda: read_sketch(studio.load(run), content))

    @router.get("/runs/{run}/generated.png")
    def generated(
        run: str,
        count: Annotated[int, Query(ge=1, le=400)] = 64,
        seed: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
        scale: Annotated[int, Query(ge=1, le=8)] = 1,
    ) -> Response:
        from vae_core.usage import generate_images

        return _png(png_bytes(square_tiles(generate_images(studio.load(run).model, count, seed)), scale))

    @router.get("/runs/{run}/errors")
    def errors(run: str) -> Response:
        from vae_core.ui.figures import error_histogram

        evaluation = studio.load(run).evaluation
        if evaluation is None:
            raise RunError(f"run {run} has not been evaluated yet: its first epoch is not finished")
        return Response(error_histogram(evaluation).to_json(), media_type="application/json")

    @router.get("/runs/{run}/previews/{iteration}-{kind}.png")
    def preview(run: str, iteration: int, kind: str) -> FileResponse:
        path = studio.run(run).folder / "previews" / f"{iteration:06d}-{kind}.png"
        if kind not in PREVIEW_KINDS or not path.is_file():
            raise RunError(f"run {run} has no preview {kind} of iteration {iteration}")
        return FileResponse(path, headers={"Cache-Control": "max-age=3600"})

    @router.get("/training")
    def training(known: str = "", offset: Annotated[int, Query(ge=0)] = 0, watch: str = "") -> dict[str, Any]:
        return training_news(studio, known, offset, watch)

    @router.get("/runs")
    def runs() -> dict[str, Any]:
        return {"runs": run_listing(studio)}

    @router.get("/runs/{run}/curve")
    def curve(run: str) -> dict[str, Any]:
        return run_curve(studio.run(run))

    @router.get("/runs/{run}/record.json")
    def record(run: str) -> dict[str, Any]:
        return run_card(studio.run(run).info())

    @router.get("/runs/{run}/archive.zip")
    def archive(run: str) -> Response:
        found = studio.run(run)
        headers = {"Content-Disposition": f'attachment; filename="{found.name}.zip"'}
        return Response(pack(found), media_type="application/zip", headers=headers)

    @router.get("/models")
    def models() -> dict[str, Any]:
        return {"models": [_listed(info) for info in studio.models()]}

    return router


def _listed(info: RunInfo) -> dict[str, str]:
    return {"run": info.name, "state": info.state, "version": str(weights_version(info.folder))}


def _changing_router(studio: Studio) -> APIRouter:
    """The routes that change something. They want a header that no form of another site can send."""
    router = APIRouter(dependencies=[Depends(_from_our_page)])

    @router.post("/runs/{run}/name")
    def rename(run: str, to: str) -> dict[str, str]:
        return {"run": rename_run(studio.run(run), to).name}

    @router.delete("/runs/{run}")
    def delete(run: str) -> dict[str, str]:
        delete_run(studio.run(run))
        return {"deleted": run}

    @router.post("/runs/{run}/again")
    def again(run: str) -> dict[str, str]:
        return {"run": studio.desk.start(studio.run(run).info().settings)}

    @router.post("/archive")
    async def bring_in(request: Request) -> dict[str, str]:
        content = await _limited_body(request, MOST_ZIP_BYTES)
        return {"run": await run_in_threadpool(unpack, content, studio.runs_dir)}

    return router


def _from_our_page(request: Request) -> None:
    if request.headers.get("x-vae-studio") is None:
        raise RequestError(
            "this request did not come from the studio's page: expected the header X-VAE-Studio"
        )


def model_card(loaded: Loaded) -> dict[str, Any]:
    """What the page needs to know of a model before it can show it."""
    info, evaluation = loaded.info, loaded.evaluation
    return {
        "run": info.name,
        "version": str(loaded.version),
        "latent_dim": loaded.model.latent_dim,
        "state": info.state,
        "epoch": info.epoch,
        "data": info.data.get("source", ""),
        "is_sample": bool(info.data.get("is_sample")),
        "kl_per_dimension": None if evaluation is None else evaluation.kl_per_dimension.round(4).tolist(),
        "summary": None if evaluation is None else evaluation.summary(),
        "mean_errors": None if evaluation is None else evaluation.summary(sampled=False),
    }


def read_sketch(loaded: Loaded, content: bytes) -> dict[str, Any]:
    """A drawing through the model: what it sees, what it makes of it, and by how much it is off."""
    from vae_core.sketch import read_picture, to_mnist_form
    from vae_core.usage import reconstruct_image

    try:
        seen = to_mnist_form(read_picture(content))
    except PictureError as error:
        return {"empty": True, "message": str(error)}
    result = reconstruct_image(loaded.model, seen.image)
    evaluation = loaded.evaluation
    rank = None
    if evaluation is not None:
        rank = float((evaluation.errors_mean < result.error).mean())
    return {
        "empty": False,
        "seen": _data_uri(seen.image),
        "reconstruction": _data_uri(result.image),
        "difference": _data_uri(np.abs(result.image - seen.image)),
        "box": seen.box,
        "mean": result.mean.round(4).tolist(),
        "deviation": np.exp(0.5 * result.log_variance).round(4).tolist(),
        "kl": result.kl.round(4).tolist(),
        "error": result.error,
        "rank": rank,
    }


async def _limited_body(request: Request, most_bytes: int) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > most_bytes:
            raise RequestError(f"the file is larger than {most_bytes // 2**20} MiB; expected less")
    return bytes(content)


def _png(content: bytes) -> Response:
    return Response(content, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})


def _data_uri(image: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(png_bytes(to_grey(image))).decode()
