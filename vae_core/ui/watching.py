"""What the Train tab is told of a run, a little at a time: it polls, and gets what is new."""

from __future__ import annotations

from typing import Any

from vae_core.runs import METRIC_NAMES, Run, RunInfo
from vae_core.ui.studio import Studio

MOST_POINTS = 1500
"""Points of a curve sent at once: more than the screen has pixels for are thinned, never the record."""
POINT_NAMES = ("iteration", "total", "reconstruction", "kl")


def training_news(studio: Studio, known: str = "", offset: int = 0) -> dict[str, Any]:
    """The state of the watched run (`Studio.watched`) and its reports from a byte offset on.

    Args:
        known: the run of the last answer; if another one is watched now, its whole curve is sent.
        offset: where the last answer ended; 0 for the whole curve, thinned.

    Returns:
        JSON values; "fresh" says that the curve begins anew.
    """
    info = studio.watched()
    if info is None:
        return {"run": None}
    run = Run(info.folder)
    offset = offset if info.name == known else 0
    rows, next_offset = run.metrics(offset)
    last = rows[-1] if rows else None
    return {
        "run": info.name,
        "fresh": offset == 0 or next_offset < offset,
        "offset": next_offset,
        "state": info.state,
        "error": info.error,
        "created": info.created,
        "epochs": info.settings.epochs,
        "iterations": _iterations(info),
        "device": info.device,
        "data": info.data.get("source", ""),
        "is_sample": bool(info.data.get("is_sample")),
        "changes": info.settings.changes(),
        "last": last and {key: last[key] for key in METRIC_NAMES},
        "points": [[row[key] for key in POINT_NAMES] for row in thinned(rows)],
        "tests": [
            [row["iteration"], row["test_total"], row.get("test_mse")] for row in rows if "test_total" in row
        ],
        "previews": run.previews(),
    }


def thinned(rows: list[dict[str, float]], most: int = MOST_POINTS) -> list[dict[str, float]]:
    """At most so many reports: each stands for as many neighbours, by their mean."""
    if len(rows) <= most:
        return rows
    size = -(-len(rows) // most)
    groups = (rows[start : start + size] for start in range(0, len(rows), size))
    return [
        {
            "iteration": group[-1]["iteration"],
            **{key: round(sum(row[key] for row in group) / len(group), 4) for key in POINT_NAMES[1:]},
        }
        for group in groups
    ]


def _iterations(info: RunInfo) -> int:
    """Iterations of the whole run."""
    images = info.data.get("training_images", 0)
    return int(images) // info.settings.batch_size * info.settings.epochs
