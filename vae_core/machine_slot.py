"""One training at a time for each user of a machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from vae_core.data import cache_folder
from vae_core.errors import RunError, TrainingError
from vae_core.jobs import Job
from vae_core.run_folder import Run


@contextmanager
def machine_slot(job: Job) -> Iterator[None]:
    """Held while a training runs, one for each user of the machine, by a lock that ends with the process.

    Raises:
        TrainingError: another training holds it; names it.
    """
    if not job.alone:
        yield
        return
    who = cache_folder() / "training.json"
    lock = FileLock(who.with_suffix(".lock"))
    try:
        who.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        who.write_text(json.dumps({"run": job.name, "runs_dir": str(Path(job.runs_dir).resolve())}))
    except Timeout as error:
        raise TrainingError(_who_trains(who)) from error
    except OSError:
        yield  # no place for a lock on this machine: train all the same
        return
    try:
        yield
    finally:
        lock.release()


def _who_trains(who: Path) -> str:
    try:
        record = json.loads(who.read_text())
        run = f"run {record['run']} in {record['runs_dir']}"
        if Run(Path(record["runs_dir"]) / record["run"]).info().state != "running":
            return f"{run} is still writing its last results; try again in a few seconds"
    except (OSError, ValueError, KeyError, TypeError, RunError):
        run = "another run"
    return (
        f"{run} is being trained on this machine; watch or stop it first (on the command line, --parallel "
        "trains beside it)"
    )
