"""What the Train tab is told of a run, a little at a time: it polls, and gets what is new."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from vae_core.class_words import class_words
from vae_core.errors import RunError
from vae_core.run_folder import Run
from vae_core.run_record import METRIC_NAMES, RunInfo
from vae_core.ui.setting_labels import changes
from vae_core.ui.studio import Studio

MOST_POINTS = 1500
"""Points of a curve sent at once: more than the screen has pixels for are thinned, never the record."""
MOST_READ = 20 * MOST_POINTS
"""Reports that they are made of: half a million of a long run took seconds and hundreds of megabytes."""
POINT_NAMES = ("iteration", "total", "reconstruction", "kl")


def training_news(
    studio: Studio, known: str = "", offset: int = 0, watch: str = "", generation: int = 0, created: str = ""
) -> dict[str, Any]:
    """How the watched run (`Studio.watched`) stands, and its reports from a byte offset on.

    Args:
        known: the run of the last answer, watched on when its training has ended; if another one is watched
            now, its whole curve is sent.
        offset: where the last answer ended; 0 for the whole curve, thinned.
        watch: the run to be watched; where there is none of that name, the one that `Studio.watched` chooses.
        generation, created: the last answer's; if reports were dropped since, or the run of this name is
            another one now, the whole curve is sent.

    Returns:
        JSON values; "fresh" says that the curve begins anew; "training" is the name of the run that is
        trained, this or another, or None.
    """
    info = _watched(studio, watch, known)
    if info is None:
        return {"run": None}
    run = Run(info.folder)
    is_known = (info.name, info.generation, info.created) == (known, generation, created)
    offset = offset if is_known else 0
    rows, next_offset = run.metrics(offset, MOST_READ)
    fresh = offset == 0 or next_offset < offset
    words = class_words(info.trained_on.name)
    return _standing(run, info, rows, fresh) | {
        "noun": words.noun,
        "plural": words.plural,
        "data_note": studio.data_note(),
        "fresh": fresh,
        "changes": changes(info.settings),
        "schedule": info.settings.schedule,
        # Where nobody named a run, one that is trained is watched first: there is no other to look for.
        "training": info.name if info.state == "running" else _other_training(studio, watch),
        "offset": next_offset,
        "generation": info.generation,
        "points": [[row[key] for key in POINT_NAMES] for row in thinned(rows)],
        "tests": [
            [row["iteration"], row["test_total"], row.get("test_mse")] for row in rows if "test_total" in row
        ],
    }


def _other_training(studio: Studio, watch: str) -> str | None:
    other = studio.desk.running() if watch != "" else None
    return None if other is None else other.name


def _watched(studio: Studio, watch: str, known: str) -> RunInfo | None:
    with suppress(RunError):  # it has been deleted, renamed or damaged meanwhile
        return studio.watched(watch, known)
    return studio.watched("", known)


def training_status(studio: Studio) -> dict[str, Any]:
    """How the watched run stands, without its curve: of its reports only the last are read."""
    info = studio.watched()
    if info is None:
        return {"run": None}
    run = Run(info.folder)
    standing = _standing(run, info, run.latest_metrics(), fresh=True)
    return standing | {"changes": info.settings.changes()}  # a program wants the settings' own names


def _standing(run: Run, info: RunInfo, rows: list[dict[str, Any]], fresh: bool) -> dict[str, Any]:
    """What is said of a run beside its curve, by its latest reports."""
    last = rows[-1] if rows else None
    return {
        "run": info.name,
        "state": info.state,
        "shipped": info.is_shipped,
        "stopping": info.state == "running" and run.stop_requested(),
        "error": info.error,
        "warning": info.warning,
        "created": info.created,
        "epoch": info.epoch,
        "epochs": info.settings.epochs,
        "iterations": _iterations(info),
        "device": info.device,
        "data": info.data.get("source", ""),
        "batch_size": info.settings.batch_size,
        **info.tested,
        "loss_kind": info.settings.loss_kind,
        "measuring": info.state == "stopped" and "total" not in info.results and run.is_alive(),
        "last": last and {key: last[key] for key in METRIC_NAMES},
        "kl_per_dimension": _latest_kl(run, rows, fresh),
        "baselines": info.baselines,
        "previews": run.previews(),
    }


def run_curve(run: Run) -> dict[str, Any]:
    """A run's whole curve, thinned, to lay over another."""
    rows = thinned(run.all_metrics(MOST_READ))
    return {"points": [[row["iteration"], row["total"]] for row in rows]}


def run_listing(runs: list[RunInfo]) -> list[dict[str, Any]]:
    """The rows of the runs table."""
    return [
        {
            "name": info.name,
            "state": info.state,
            "shipped": info.is_shipped,
            "changes": changes(info.settings),
            "epoch": info.epoch,
            "epochs": info.settings.epochs,
            **info.tested,
            "loss_kind": info.settings.loss_kind,
            "seconds": _seconds(info),
            "device": info.device,
            "data": info.trained_on.name,
            "created": info.created,
        }
        for info in runs
    ]


def _seconds(info: RunInfo) -> float:
    """Of training until now; run.json tells it up to the last epoch."""
    if info.state == "running":
        with suppress(RunError, IndexError):  # its reports cannot be read, or there is none yet
            return Run(info.folder).latest_metrics()[-1]["elapsed_seconds"]
    return info.elapsed_seconds


def run_details(info: RunInfo) -> dict[str, Any]:
    """All there is to say of a run, as one JSON object from which it can be started again."""
    return {
        "name": info.name,
        "state": info.state,
        "settings": info.settings.to_dict(),
        "versions": info.versions,
        "data": info.data,
        "device": info.device,
        "created": info.created,
        "epochs_done": info.epoch,
        "elapsed_seconds": _seconds(info),
        "results": info.results,
        "baselines": info.baselines,
        "error": info.error,
    }


def thinned(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    """At most MOST_POINTS reports: each stands for as many neighbours, by their mean."""
    if len(rows) <= MOST_POINTS:
        return rows
    size = -(-len(rows) // MOST_POINTS)
    groups = (rows[start : start + size] for start in range(0, len(rows), size))
    return [
        {
            "iteration": group[-1]["iteration"],
            **{key: round(sum(row[key] for row in group) / len(group), 4) for key in POINT_NAMES[1:]},
        }
        for group in groups
    ]


def _latest_kl(run: Run, rows: list[dict[str, Any]], fresh: bool) -> list[float] | None:
    """The KL of each latent as last reported; for a curve from its beginning else as evaluated."""
    for row in reversed(rows):
        if "kl_per_dimension" in row:
            return row["kl_per_dimension"]
    evaluation = run.evaluation_or_none() if fresh else None
    return None if evaluation is None else evaluation.kl_per_dimension.round(4).tolist()


def _iterations(info: RunInfo) -> int:
    """Iterations of the whole run."""
    return info.settings.iterations_per_epoch(info.trained_on.count) * info.settings.epochs
