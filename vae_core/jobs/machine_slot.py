"""One training at a time for each user of a machine."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from vae_core.data import cache_folder
from vae_core.errors import BusyError, RunError
from vae_core.jobs.job import Job
from vae_core.run_folder import Run

LAST_RESULTS_SECONDS = 10.0
"""So long a training that has ended is waited for while it writes its last results."""


def slot_files() -> tuple[Path, Path]:
    """Where the run is named that is trained, and what is locked meanwhile.

    Both by the machine's name, as the homes of a whole lab may lie on one disk.
    """
    machine = re.sub(r"[^\w.-]", "-", platform.node())
    return cache_folder() / f"training-{machine}.json", cache_folder() / f"training-{machine}.lock"


@contextmanager
def machine_slot(job: Job) -> Iterator[None]:
    """Held while a training runs, one for each user of the machine, by a lock that ends with the process.

    Raises:
        BusyError: another training holds it, also after the wait if it has ended; names it.
    """
    if not job.alone:
        yield
        return
    record_file, lock_file = slot_files()
    lock = FileLock(lock_file, thread_local=False)
    try:
        record_file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=LAST_RESULTS_SECONDS if _has_ended(_holder(record_file)) else 0)
        record_file.write_text(json.dumps({"run": job.name, "runs_dir": str(Path(job.runs_dir).resolve())}))
    except Timeout as error:
        raise _busy(_holder(record_file)) from error
    except OSError:
        yield  # no place for a lock on this machine: train all the same
        return
    try:
        yield
    finally:
        lock.release()


def _busy(run: Run | None) -> BusyError:
    name = "another run" if run is None else f"run {run.name}"
    where = None if run is None else run.folder.parent
    if _has_ended(run):
        return BusyError(f"{name} is still writing its last results; try again in a few seconds", where)
    app = "" if run is None else ", in an app with the folder of its runs as --runs-dir"
    return BusyError(
        f"{name} is being trained on this machine; watch or stop it first{app}, or wait for its end "
        "(on the command line, --parallel trains beside it)",
        where,
    )


def _has_ended(run: Run | None) -> bool:
    """Whether the run that holds the lock, as far as one can tell, only writes its last results."""
    try:
        return run is not None and run.info().state != "running"
    except RunError:
        return False


def _holder(record_file: Path) -> Run | None:
    """The run that took the lock last."""
    try:
        record = json.loads(record_file.read_text())
        return Run(Path(record["runs_dir"]) / record["run"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
