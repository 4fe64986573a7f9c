"""Runs: listed, taken along and brought in, renamed, deleted, trained again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from vae_core.archives import pack, unpack
from vae_core.errors import ReadOnlyError, RequestError, RunError
from vae_core.run_record import RunInfo
from vae_core.runs import delete_run, list_runs, read_runs, rename_run
from vae_core.settings import Settings
from vae_core.ui.routes.answers import from_our_page
from vae_core.ui.setting_labels import LABELS
from vae_core.ui.studio import Studio
from vae_core.ui.watching import run_details, run_listing


def router(studio: Studio) -> APIRouter:
    """The routes."""
    routes = APIRouter()

    @routes.get("/runs")
    def runs() -> dict[str, Any]:
        found, damaged = read_runs(studio.runs_dir)
        return {
            "runs": run_listing(found),
            "damaged": damaged,
            "labels": LABELS,
            "read_only": studio.read_only,
        }

    @routes.get("/runs/{run}/record.json")
    def record(run: str) -> dict[str, Any]:
        return run_details(studio.run(run).info())

    @routes.get("/runs/{run}/archive.zip")
    def archive(run: str) -> Response:
        found = studio.run(run)
        headers = {"Content-Disposition": f'attachment; filename="{found.name}.zip"'}
        return Response(pack(found), media_type="application/zip", headers=headers)

    routes.include_router(_changing(studio))
    return routes


def _twin(studio: Studio, name: str) -> str | None:
    """A run that is a copy of this one, also trained on, or that this one is a copy of."""
    info = studio.run(name).info()

    def is_of_one_training(other: RunInfo) -> bool:
        if info.id and other.id:
            return info.id == other.id
        return _begun(info) == _begun(other)

    others = [other for other in list_runs(studio.runs_dir) if other.name != name]
    return next((other.name for other in others if is_of_one_training(other)), None)


def _begun(info: RunInfo) -> tuple[str, Settings]:
    """When and as what; it may have been trained on, to more epochs or elsewhere."""
    return info.created, replace(info.settings, epochs=1, device="auto")


def _changing(studio: Studio) -> APIRouter:
    """The routes that change something. They want a header that no form of another site can send, and a
    studio that is not for looking only."""

    def may_change() -> None:
        if studio.read_only:
            raise ReadOnlyError

    routes = APIRouter(dependencies=[Depends(may_change), Depends(from_our_page)])

    @routes.post("/runs/{run}/name")
    def rename(run: str, to: str) -> dict[str, str]:
        return {"run": rename_run(studio.run(run), to).name}

    @routes.delete("/runs/{run}")
    def delete(run: str) -> dict[str, str]:
        delete_run(studio.run(run))
        return {"deleted": run}

    @routes.post("/runs/{run}/again")
    def again(run: str) -> dict[str, str]:
        return {"run": studio.desk.start(studio.run(run).info().settings)}

    @routes.post("/archive")
    async def bring_in(request: Request) -> dict[str, str | None]:
        """A zipped run comes in; the name it got, and of another run of the same training, if one is here."""
        content = await request.body()  # of limited size: see vae_core/ui/gate/guard.py
        try:
            name = await run_in_threadpool(unpack, content, studio.runs_dir)
            return {"run": name, "twin": await run_in_threadpool(_twin, studio, name)}
        except RunError as error:  # a wrong file, and not a run that is not there
            raise RequestError(str(error)) from error

    return routes
