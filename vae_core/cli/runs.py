"""`runs`: which runs there are."""

from __future__ import annotations

import json
import sys

from rich.markup import escape
from rich.table import Column, Table

from vae_core.cli.options import AsJson, RunsDir
from vae_core.cli.output import out
from vae_core.run_record import RUNS_DIR


def runs(runs_dir: RunsDir = RUNS_DIR, as_json: AsJson = False) -> None:
    """List the runs: state, loss and error on the test set, data, settings."""
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
        loss, error = run.results.get("total"), run.results.get("mse_mean")
        kind = [] if run.settings.likelihood == "gaussian" else [run.settings.likelihood]
        kind += [] if run.settings.beta == 1 else [f"KL × {run.settings.beta:g}"]
        counted = f" ({', '.join(kind)})" if kind else ""  # not to be compared
        table.add_row(
            escape(run.name),
            run.state,
            f"{run.epoch}/{run.settings.epochs}",
            f"{loss:.2f}{counted}" if isinstance(loss, float) else "-",
            f"{error:.4f}" if isinstance(error, float) else "-",
            escape(str(run.data.get("name", "-"))),
            escape(run.created[:10]),
            escape(" ".join(f"{key}={value}" for key, value in run.settings.changes().items()) or "-"),
        )
    out.print(table)
