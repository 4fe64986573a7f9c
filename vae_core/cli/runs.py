"""`runs`: which runs there are."""

from __future__ import annotations

import json
import sys
from contextlib import suppress

from rich.markup import escape
from rich.table import Column, Table

from vae_core.cli.options import AsJson, RunsDir
from vae_core.cli.output import out
from vae_core.run_record import RUNS_DIR, RunInfo


def runs(runs_dir: RunsDir = RUNS_DIR, as_json: AsJson = False) -> None:
    """List the runs: state, loss at unit variance and error on the test set, data, settings."""
    from vae_core.runs import read_runs

    if runs_dir != RUNS_DIR and not runs_dir.is_dir():
        print(f"There is no folder {runs_dir}: these are the shipped runs.", file=sys.stderr)
    found, damaged = read_runs(runs_dir)
    for problem in damaged:
        print(f"left out: {problem}", file=sys.stderr)
    if as_json:
        print(json.dumps({"runs": [run.brief() for run in found]}))
        return
    table = Table(
        Column("run", no_wrap=True), "state", "epochs", "test loss", "test error",
        "data", Column("made", no_wrap=True), Column("settings that differ", overflow="fold"),
        box=None, padding=(0, 2, 0, 0), pad_edge=False,
    )  # fmt: skip
    for run in found:
        error = run.results.get("mse_mean")
        table.add_row(
            escape(run.name),
            run.state,
            f"{run.epoch}/{run.settings.epochs}",
            _loss_in_words(run),
            f"{error:.4f}" if isinstance(error, float) else "-",
            escape(str(run.data.get("name", "-"))),
            _day_of(run),
            escape(" ".join(f"{key}={value}" for key, value in run.settings.changes().items()) or "-"),
        )
    out.print(table)


def _day_of(run: RunInfo) -> str:
    """When it was made, here: as new runs are named."""
    if run.made is not None:
        with suppress(OverflowError):  # the first or last day there is
            return f"{run.made.astimezone():%Y-%m-%d}"
    return "-"


def _loss_in_words(run: RunInfo) -> str:
    """The loss at unit variance, which can be compared, and the run's own where that is another."""
    own, comparable = (run.results.get(name) for name in ("total", "total_unit_variance"))
    if not isinstance(own, float):
        return "-"
    if not run.settings.loss_kind:
        return f"{own:.2f}"
    first = f"{comparable:.2f}" if isinstance(comparable, float) else "-"
    return f"{first} ({run.settings.loss_kind}: {own:.2f})"
