"""The runs there are: find, list, make, rename, delete, tidy. What is in one of them is `run_folder`'s."""

from __future__ import annotations

import errno
import os
import platform
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae_core.errors import HeldRunError, RunError, RunNameError, in_short, reason_of
from vae_core.evaluated import Evaluation
from vae_core.run_folder import Run, RunWriter, cannot_write
from vae_core.run_record import FORMAT, RUNS_DIR, SHIPPED_RUNS, RunInfo
from vae_core.scratch import TEMPORARY, sweep
from vae_core.settings import Settings
from vae_core.version import __version__

if TYPE_CHECKING:
    from vae_core.model import VAE

MOST_NAME = 64
NAME_PATTERN = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MOST_NAME - 1}}}")
NAME_IN_WORDS = (
    f"1 to {MOST_NAME} of the characters a-z, A-Z, 0-9, dot, dash and underscore, the first a letter or "
    "number, the last no dot"
)
INCOMING = ".incoming-"
"""Begins the name of a folder in which a run is unpacked before it is known to be sound."""
STARTING_SECONDS = 60.0
"""A folder without a run.json is left alone for so long: its training may be about to write it."""


def shipped_folder() -> Path:
    """Where the shipped runs lie: `checkpoints` of a source checkout, or inside the installed package."""
    package = Path(__file__).resolve().parent
    checkout = package.parent / "checkpoints"
    return checkout if checkout.is_dir() and (package.parent / "app.py").is_file() else package / "shipped"


@dataclass(frozen=True)
class LoadedRun:
    """A run with its model: what `load_run` gives.

    Attributes:
        info: what run.json says.
        model: on the CPU, in evaluation mode.
        metrics: the reports in their order: "epoch", "iteration", "total", "reconstruction", "kl" (nats per
            image), "images_per_second", "elapsed_seconds"; now and then "kl_per_dimension"; at an epoch's
            end "test_total", "test_reconstruction", "test_kl" and "test_mse".
        evaluation: the figures on the test set; None before the first epoch's end.
    """

    info: RunInfo
    model: VAE = field(repr=False)
    metrics: list[dict[str, Any]] = field(repr=False)
    evaluation: Evaluation | None

    @property
    def settings(self) -> Settings:
        """What it was trained by."""
        return self.info.settings


def find_run(run: str | os.PathLike[str], runs_dir: str | os.PathLike[str] = RUNS_DIR) -> Run:
    """A run by its folder's path, or by name in `runs_dir` or among the shipped runs.

    Raises:
        RunError: there is none, and says which there are; or this is neither.
    """
    if not isinstance(run, str | os.PathLike):
        raise RunError(f"expected a run's name, or the path of its folder, not {in_short(run)}")
    as_path = Path(run)
    with suppress(OSError):  # too long for a path, or in a folder that may not be looked into
        if (as_path / "run.json").is_file():
            return Run(as_path.resolve())
    return run_named(str(run), runs_dir)


def run_named(name: str, runs_dir: str | os.PathLike[str] = RUNS_DIR) -> Run:
    """A run by its name alone, in `runs_dir` or among the shipped runs; never one that lies elsewhere.

    Raises:
        RunError: there is none; says which there are.
    """
    places = [Path(runs_dir).resolve(), *([shipped_folder()] if name in SHIPPED_RUNS else [])]
    if NAME_PATTERN.fullmatch(name):
        for parent in places:
            if (parent / name / "run.json").is_file():
                return Run(parent / name)  # a link to a run goes by its own name
    known = ", ".join(found.name for found in list_runs(runs_dir)) or "none"
    raise RunError(f"no run named {name!r}; there are: {known}")


def list_runs(runs_dir: str | os.PathLike[str] = RUNS_DIR) -> list[RunInfo]:
    """All readable runs: the shipped ones first, then those of `runs_dir`, newest first.

    A folder whose name no run may have (`NAME_PATTERN`) is left out: nobody could choose it by its name.
    """
    return read_runs(runs_dir)[0]


def read_runs(runs_dir: str | os.PathLike[str] = RUNS_DIR) -> tuple[list[RunInfo], list[str]]:
    """The runs, as `list_runs` has them; and what is wrong, in words, with each whose record is damaged."""
    found: dict[str, RunInfo] = {}
    damaged: dict[str, str] = {}
    # A source checkout's own runs lie beside the shipped ones; they are those of no other `runs_dir`.
    beside = (folder for folder in _run_folders(shipped_folder()) if folder.name in SHIPPED_RUNS)
    for folder in (*_run_folders(Path(runs_dir).resolve()), *beside):
        try:
            found.setdefault(folder.name, Run(folder).info())
        except RunError as error:
            if (folder / "run.json").exists():  # and has not been deleted meanwhile
                damaged[folder.name] = str(error)
    shipped = [found[name] for name in SHIPPED_RUNS if name in found]
    others = [info for info in found.values() if not info.is_shipped]
    return shipped + sorted(others, key=lambda info: info.created, reverse=True), list(damaged.values())


def running_runs(runs_dir: str | os.PathLike[str] = RUNS_DIR) -> list[RunInfo]:
    """Those of `list_runs` that are being trained now; far cheaper, as only their records are read."""
    running = []
    for folder in _run_folders(Path(runs_dir).resolve()):
        run = Run(folder)
        with suppress(RunError):
            if run.is_alive() and (info := run.info()).state == "running":
                running.append(info)
    return sorted(running, key=lambda info: info.created, reverse=True)


def load_run(run: str | os.PathLike[str], runs_dir: str | os.PathLike[str] = RUNS_DIR) -> LoadedRun:
    """A run with its model, settings, metrics and evaluation; `run` is a name or a folder's path.

    Raises:
        RunError: there is no such run, it has no weights yet, or a file of it is damaged.
    """
    found = find_run(run, runs_dir)
    return LoadedRun(found.info(), found.model(), found.all_metrics(), found.evaluation())


def create_run(runs_dir: Path, name: str, settings: Settings, data: dict[str, Any], device: str) -> RunWriter:
    """Makes a new run's folder, for the process that trains in it.

    Raises:
        RunError: the name is not usable or taken, or the folder cannot be written.
    """
    check_new_name(name, runs_dir)
    folder = runs_dir / name
    created = _after_all_others(runs_dir)
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise _taken(name) from error
    except OSError as error:
        raise cannot_write(runs_dir, error) from error
    try:
        (folder / "previews").mkdir()
        writer = RunWriter(folder)
        writer.begin(
            format=FORMAT, state="running", settings=settings.to_dict(), data=data, device=device,
            versions=_versions(), created=created, epoch=0, elapsed_seconds=0.0, results={}, error=None,
            process=os.getpid(), id=secrets.token_hex(8),
        )  # fmt: skip
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise cannot_write(runs_dir, error) from error
    except RunError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return writer


def tidy(runs_dir: Path) -> None:
    """Deletes what killed processes have left behind: files under temporary names, halves of what was to be
    brought in, folders of trainings that ended before they wrote a run.json.

    Nothing is touched of a run that is being trained, nor anything that is not of a run.
    """
    with suppress(OSError):
        sweep(runs_dir, INCOMING)
        for folder in [path for path in runs_dir.iterdir() if not path.is_symlink()]:
            with suppress(RunError, OSError):
                if (folder / "run.json").is_file():
                    if _has_temporary_files(folder):
                        RunWriter(folder).close()
                elif _was_never_begun(folder):
                    shutil.rmtree(folder)


def _has_temporary_files(folder: Path) -> bool:
    return any(TEMPORARY.fullmatch(path.name) for path in (*folder.iterdir(), *folder.glob("previews/.*")))


def _was_never_begun(folder: Path) -> bool:
    """Whether a folder holds what a training makes before its run.json, and nothing else."""
    names = {path.name for path in folder.iterdir() if not TEMPORARY.fullmatch(path.name)}
    return (
        {"previews"} <= names <= {"previews", "run.lock"}
        and not any((folder / "previews").iterdir())
        and not Run(folder).is_alive()
        and abs(time.time() - folder.stat().st_mtime) > STARTING_SECONDS
    )


def check_runs_dir(folder: Path) -> None:
    """Raises RunError unless runs can lie in it; it need not be there yet."""
    try:
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunError(f"{folder} cannot be the folder of runs: {reason_of(error)}") from error


def check_new_name(name: str, runs_dir: Path) -> None:
    """Raises RunNameError unless a new run in this folder may have this name, and none has it.

    Names that differ in capitals only are the same: on macOS and Windows they are one folder.
    """
    check_name(name)
    if (there := _names(runs_dir).get(name.lower())) is not None:
        raise _taken(there)


def _taken(name: str) -> RunNameError:
    return RunNameError(f"there is already a run named {name}; choose another name")


def _names(runs_dir: Path) -> dict[str, str]:
    """What there is in a folder, by its name in small letters."""
    with suppress(OSError):
        return {path.name.lower(): path.name for path in runs_dir.iterdir()}
    return {}


def check_name(name: str) -> None:
    """Raises RunNameError unless a run of a user's may have this name."""
    if not NAME_PATTERN.fullmatch(name) or name.endswith("."):
        raise RunNameError(f"a run's name must be {NAME_IN_WORDS}, not {in_short(name)}")
    if name.lower() in SHIPPED_RUNS:
        raise RunNameError(f"the name {name} is a shipped run's; choose another name")


def new_name(runs_dir: Path) -> str:
    """A name that is not taken, made of the time."""
    return free_name(runs_dir, f"run-{datetime.now():%Y%m%d-%H%M%S}")


def free_name(runs_dir: Path, wish: str) -> str:
    """The name wished for, numbered if it is taken, and then cut where it would be too long for a run's."""
    taken = _names(runs_dir)
    endings = ("" if number == 1 else f"-{number}" for number in range(1, 10_000))
    names = (wish[: MOST_NAME - len(ending)] + ending for ending in endings)
    return next(name for name in names if name.lower() not in taken)


def rename_run(run: Run, name: str) -> Run:
    """Gives a run another name, which is its folder's.

    Raises:
        RunError: it is a shipped or a running one, or the name cannot be used or is taken.
    """
    if name.lower() == run.name.lower():  # other capitals
        check_name(name)
    else:
        check_new_name(name, run.folder.parent)
    _check_ours(run, "renamed")
    target = run.folder.with_name(name)
    try:
        run.folder.rename(target)
    except OSError as error:
        raise RunError(f"run {run.name} cannot be renamed: {reason_of(error)}") from error
    return Run(target)


def delete_run(run: Run) -> None:
    """Deletes a run's folder for good.

    Raises:
        RunError: it is a shipped or a running one, or it cannot be deleted.
    """
    _check_ours(run, "deleted")
    try:
        shutil.rmtree(run.folder)
    except OSError as error:
        raise RunError(f"run {run.name} cannot be deleted: {reason_of(error)}") from error


def _check_ours(run: Run, what: str) -> None:
    """Raises RunError if a run came with the package, or somebody holds it."""
    info = run.info()
    if info.is_shipped:
        raise RunError(f"run {info.name} came with the package and cannot be {what}")
    if info.state == "running":
        raise HeldRunError(f"run {info.name} is being trained and cannot be {what}; stop it first")
    if run.is_alive():
        raise HeldRunError(
            f"run {info.name} is being written and cannot be {what} yet; try again in a moment"
        )


def _run_folders(parent: Path) -> Iterator[Path]:
    try:
        folders = sorted(path.parent for path in parent.glob("*/run.json"))
    except OSError:
        return
    yield from (folder for folder in folders if NAME_PATTERN.fullmatch(folder.name))


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), "vae_core": __version__, "torch": metadata.version("torch")}


def _after_all_others(runs_dir: Path) -> str:
    """The time, but later than all runs there were made: a clock set back makes no new run an old one."""
    created = datetime.now(UTC)
    for info in list_runs(runs_dir):
        with suppress(OverflowError):  # the last second there is
            if info.made is not None:
                created = max(created, info.made + timedelta(seconds=1))
    return created.isoformat(timespec="seconds")
