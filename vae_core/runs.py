"""The run folder: write, read, list. Whoever reads one needs nothing but the folder.

Files are written to a temporary name and renamed; metrics.jsonl alone grows by whole lines.
A run is alive while its training process holds the folder's lock, which the system releases when the
process ends in whatever way: no process id is ever compared or signalled.
"""

from __future__ import annotations

import errno
import json
import math
import os
import platform
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from vae_core import __version__
from vae_core.errors import RunError, SettingsError, in_short
from vae_core.leftovers import TEMPORARY, remove_temporary_files, sweep, write_whole
from vae_core.mixture import LatentMixture
from vae_core.records import Evaluation
from vae_core.settings import Settings

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

if TYPE_CHECKING:
    from torch import Tensor

    from vae_core.model import VAE

FORMAT = 1
SHIPPED_RUNS = ("reference", "quick", "sharp", "plane")
"""Names of the runs that come with VAE Studio; a user's run cannot take one."""

STATES = ("running", "stopped", "finished", "failed", "interrupted")
MOST_WEIGHT_BYTES = 512 * 2**20
MOST_RECORD_BYTES = 2**20
MOST_METRIC_BYTES = 64 * 2**20
LATEST_METRIC_BYTES = 2**14
SAMPLES_NAME = re.compile(r"([0-9]+)-samples\.png")
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
METRIC_NAMES = (
    "epoch", "iteration", "total", "reconstruction", "kl", "images_per_second", "elapsed_seconds",
)  # fmt: skip
INCOMING = ".incoming-"
"""Begins the name of a folder in which a run is unpacked before it is known to be sound."""
STARTING_SECONDS = 60.0
"""A folder without a run.json is left alone for so long: its training may be about to write it."""
TEST_METRIC_NAMES = ("test_total", "test_reconstruction", "test_kl", "test_mse")


def shipped_folder() -> Path:
    """Where the shipped runs lie: `checkpoints` of a source checkout, or inside the installed package."""
    package = Path(__file__).parent
    checkout = package.parent / "checkpoints"
    return checkout if checkout.is_dir() and (package.parent / "app.py").is_file() else package / "shipped"


@dataclass(frozen=True)
class RunInfo:
    """What run.json says, with the state as it really is: "running" only if a process is at it.

    Attributes:
        name: of the run and its folder.
        state: "running", "finished", "stopped", "failed" or "interrupted".
        settings: what it was trained by.
        data: of the data set: "name", "source" in words, "training_images", "test_images", "is_sample".
        device: where it was trained, in words.
        versions: of this package, Python and the libraries, by name.
        created: ISO 8601, in UTC.
        epoch: finished epochs.
        elapsed_seconds: of training, all sittings together.
        results: `Evaluation.summary()` of the last evaluation, and "mse_mean_decoded", the error of the mean.
        baselines: per-pixel errors on the test images of "mean_image" and of "pca" with as many components.
        warning: advice on how the training goes.
        error: why it failed.
        generation: how often reports were dropped from metrics.jsonl; an offset in it is of one generation.
    """

    name: str
    folder: Path
    state: str
    settings: Settings
    data: dict[str, Any]
    device: str
    versions: dict[str, str]
    created: str
    epoch: int
    elapsed_seconds: float
    results: dict[str, Any]
    baselines: dict[str, float]
    warning: str | None
    error: str | None
    generation: int

    @property
    def is_shipped(self) -> bool:
        """Whether it came with the package and cannot be changed."""
        return self.name in SHIPPED_RUNS

    @property
    def has_model(self) -> bool:
        """Whether it has weights yet: from its first epoch on."""
        return (self.folder / "model.safetensors").is_file()


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
    model: VAE
    metrics: list[dict[str, Any]]
    evaluation: Evaluation | None

    @property
    def settings(self) -> Settings:
        """What it was trained by."""
        return self.info.settings


class Run:
    """A run folder, for reading."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name

    def info(self) -> RunInfo:
        """run.json, checked.

        Raises:
            RunError: there is no such run, or run.json is damaged.
        """
        record = self._record()
        try:
            state = record["state"]
            if state not in STATES:
                raise RunError(f"run {self.name}: state must be one of {', '.join(STATES)}, not {state!r}")
            settings = Settings.from_dict(record["settings"])
            if state == "running" and not self.is_alive():  # killed, if only after its last epoch
                state = "interrupted" if int(record["epoch"]) < settings.epochs else "finished"
            return RunInfo(
                name=self.name,
                folder=self.folder,
                state=state,
                settings=settings,
                data=_data_record(record["data"]),
                device=str(record["device"]),
                versions=dict(record["versions"]),
                created=str(record["created"]),
                epoch=int(record["epoch"]),
                elapsed_seconds=float(record["elapsed_seconds"]),
                results=_results(record["results"]),
                baselines={
                    str(name): float(value) for name, value in (record.get("baselines") or {}).items()
                },
                warning=None if record.get("warning") is None else str(record["warning"]),
                error=record["error"] if record["error"] is None else str(record["error"]),
                generation=int(record.get("generation", 0)),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, SettingsError) as error:
            raise RunError(f"run {self.name}: run.json is not one of ours ({error})") from error

    def _record(self) -> dict[str, Any]:
        try:
            content = _read_limited(self.folder / "run.json", MOST_RECORD_BYTES)
            record = json.loads(content)
            json.dumps(record, allow_nan=False, ensure_ascii=False).encode()  # as it is passed on to pages
        except FileNotFoundError as error:
            raise RunError(f"{self.folder} is not a run folder: it has no run.json") from error
        except (OSError, ValueError, RecursionError) as error:  # NaN and half characters are ValueErrors too
            raise RunError(f"run {self.name}: run.json is damaged or cannot be read ({error})") from error
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise RunError(f"run {self.name}: run.json is not of format {FORMAT}, which this version reads")
        return record

    def is_alive(self) -> bool:
        """Whether a training process holds the folder's lock."""
        try:
            return _is_locked(self.folder / "run.lock")
        except OSError:  # there is none, or it may not even be read
            return False

    def metrics(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """The reports from a byte offset of metrics.jsonl on, and the offset to go on from.

        At most 64 MiB at a time. A last line still being written is left for the next call. An offset beyond
        the file's end (the run was resumed and its file shortened) starts again from 0.
        """
        path = self.folder / "metrics.jsonl"
        try:
            with path.open("rb") as file:
                if offset > file.seek(0, os.SEEK_END) or offset < 0:
                    offset = 0
                file.seek(offset)
                content = file.read(MOST_METRIC_BYTES)
        except FileNotFoundError:
            return [], 0
        except OSError as error:
            raise RunError(f"run {self.name}: metrics.jsonl cannot be read ({error})") from error
        whole = content[: content.rfind(b"\n") + 1]
        return [row for line in whole.splitlines() if (row := _metric_row(line))], offset + len(whole)

    def all_metrics(self) -> list[dict[str, Any]]:
        """All reports there are, however large the file."""
        rows, offset = self.metrics()
        while True:
            more, end = self.metrics(offset)
            if end <= offset:  # no more; or it was cut meanwhile
                return rows
            rows += more
            offset = end

    def latest_metrics(self) -> list[dict[str, Any]]:
        """The last reports, in order: those of the file's last 16 KiB, at least one if there is any."""
        try:
            size = (self.folder / "metrics.jsonl").stat().st_size
        except OSError:
            return []
        return self.metrics(max(0, size - LATEST_METRIC_BYTES))[0]

    def evaluation(self) -> Evaluation | None:
        """evaluation.npz, or None before the first epoch's end.

        Raises:
            RunError: the file is damaged.
        """
        try:
            evaluation = Evaluation.from_bytes(
                _read_limited(self.folder / "evaluation.npz", MOST_WEIGHT_BYTES)
            )
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RunError(f"run {self.name}: evaluation.npz cannot be read ({error})") from error
        except RunError as error:
            raise RunError(f"run {self.name}: {error}") from error
        latents, expected = len(evaluation.kl_per_dimension), self.info().settings.latent_dim
        if latents != expected:
            raise RunError(f"run {self.name}: evaluation.npz is of {latents} latents; expected {expected}")
        return evaluation

    def evaluation_or_none(self) -> Evaluation | None:
        """As `evaluation`, but a damaged file is none: it does not keep the model from being used."""
        try:
            return self.evaluation()
        except RunError:
            return None

    def mixture(self) -> LatentMixture | None:
        """mixture.npz, to sample from where the training images lie; None until `evaluate` has made it.

        Raises:
            RunError: the file is damaged, or does not fit the settings.
        """
        try:
            content = _read_limited(self.folder / "mixture.npz", MOST_WEIGHT_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RunError(f"run {self.name}: mixture.npz cannot be read ({error})") from error
        try:
            mixture = LatentMixture.from_bytes(content)
        except RunError as error:
            raise RunError(f"run {self.name}: {error}") from error
        latent_dim = self.info().settings.latent_dim
        if mixture.latent_dim != latent_dim:
            raise RunError(
                f"run {self.name}: mixture.npz is of {mixture.latent_dim} latents; expected {latent_dim}"
            )
        return mixture

    def required_mixture(self) -> LatentMixture:
        """As `mixture`, for whoever cannot do without.

        Raises:
            RunError: there is none yet, says how to get one; or it is damaged.
        """
        mixture = self.mixture()
        if mixture is None:
            raise RunError(
                f"run {self.name} has no mixture yet; make one: python -m vae_core evaluate {self.name}"
            )
        return mixture

    def model(self) -> VAE:
        """The trained model, on the CPU, ready to evaluate.

        Raises:
            RunError: there are no weights yet, or they do not fit the settings.
        """
        import torch

        from vae_core.model import VAE

        settings = self.info().settings
        model = VAE(settings.latent_dim)
        try:
            model.load_state_dict(self._tensors("model.safetensors"))
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise RunError(f"run {self.name}: the weights do not fit the settings ({reason})") from error
        if not all(torch.isfinite(weight).all() for weight in model.parameters()):
            raise RunError(f"run {self.name}: the weights are not finite numbers")
        return model.to(memory_format=torch.channels_last).eval()

    def training_state(self) -> dict[str, Tensor]:
        """What a resumed training starts from.

        Raises:
            RunError: the run keeps none (shipped runs do not, nor runs without a finished epoch).
        """
        return self._tensors("training_state.safetensors")

    def _tensors(self, file_name: str) -> dict[str, Tensor]:
        import safetensors
        import safetensors.torch

        try:
            return safetensors.torch.load(_read_limited(self.folder / file_name, MOST_WEIGHT_BYTES))
        except FileNotFoundError as error:
            raise RunError(f"run {self.name} has no {file_name}: no epoch of it was finished") from error
        except (safetensors.SafetensorError, KeyError, ValueError, OSError) as error:
            raise RunError(f"run {self.name}: {file_name} is damaged ({error})") from error

    def previews(self) -> list[int]:
        """The iterations for which there are preview pictures, in order."""
        paths = (self.folder / "previews").glob("*-samples.png")
        return sorted(int(found[1]) for path in paths if (found := SAMPLES_NAME.fullmatch(path.name)))

    def stop_requested(self) -> bool:
        """Whether somebody has asked the training process to stop."""
        return (self.folder / "stop").exists()

    def request_stop(self) -> None:
        """Asks the training process to finish its step, write everything and end.

        Raises:
            RunError: the folder cannot be written.
        """
        try:
            (self.folder / "stop").touch()
        except OSError as error:
            raise RunError(
                f"run {self.name} cannot be asked to stop: {error.strerror or error}; free some space, or "
                "stop it as the user who started it"
            ) from error


class RunWriter(Run):
    """A run folder, for the one process that trains in it. Holds the folder's lock until closed.

    Raises:
        RunError: the folder is gone, another process holds it, or it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        if not folder.is_dir():  # the lock would make it anew
            raise RunError(f"run {self.name} is gone: there is no folder {folder}")
        self._lock = FileLock(folder / "run.lock")
        try:
            # Readers try the lock for a moment to see whether it is held; a short wait passes them by.
            self._lock.acquire(timeout=2)
        except Timeout as error:
            raise RunError(
                f"run {self.name} is being trained, or writing its last results; try again when it has ended"
            ) from error
        except OSError as error:
            raise RunError(_cannot_write(folder, error)) from error
        with suppress(OSError):
            (folder / "stop").unlink(missing_ok=True)
        for written in (folder, folder / "previews"):  # by one who was killed
            remove_temporary_files(written)

    @classmethod
    def create(
        cls, runs_dir: Path, name: str, settings: Settings, data: dict[str, Any], device: str
    ) -> RunWriter:
        """Makes a new run folder.

        Raises:
            RunError: the name is not usable or taken, or the folder cannot be written.
        """
        check_name(name)
        folder = runs_dir / name
        created = _after_all_others(runs_dir)
        try:
            folder.mkdir(parents=True)
        except FileExistsError as error:
            raise RunError(
                f"there is already a run named {name} in {runs_dir}; choose another name"
            ) from error
        except OSError as error:
            raise RunError(_cannot_write(runs_dir, error)) from error
        try:
            (folder / "previews").mkdir()
            writer = cls(folder)
            writer.update(
                format=FORMAT, state="running", settings=settings.to_dict(), data=data, device=device,
                versions=_versions(), created=created, epoch=0, elapsed_seconds=0.0, results={}, error=None,
                process=os.getpid(),
            )  # fmt: skip
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise RunError(_cannot_write(runs_dir, error)) from error
        except RunError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return writer

    def update(self, **changes: Any) -> None:
        """Writes run.json anew with these fields changed."""
        try:
            record = self._record()
        except RunError:
            record = {}
        record |= changes | {"updated": _now()}
        write_whole(self.folder / "run.json", json.dumps(record, indent=1).encode())

    def append_metrics(self, row: dict[str, Any]) -> None:
        """One line at the end of metrics.jsonl: to six significant digits, lists to four decimals."""
        line = json.dumps({name: _short(value) for name, value in row.items()})
        with (self.folder / "metrics.jsonl").open("ab") as file:
            file.write(line.encode() + b"\n")

    def forget_after(self, epoch: int) -> None:
        """Drops the reports and previews of the epochs after this one, before they are trained again.

        Whoever follows the file learns of it by the run's generation, however soon it has grown again.
        """
        kept = [row for row in self.all_metrics() if row["epoch"] <= epoch]
        write_whole(self.folder / "metrics.jsonl", b"".join(json.dumps(row).encode() + b"\n" for row in kept))
        self.update(generation=self.info().generation + 1)  # after the file: else its old end could be kept
        last = kept[-1]["iteration"] if kept else -1
        for iteration in self.previews():
            if iteration > last:
                for path in (self.folder / "previews").glob(f"{iteration:06d}-*.png"):
                    path.unlink()

    def save_model(self, model: VAE, settings: Settings) -> None:
        """The weights, float32, with the settings as the file's metadata."""
        import safetensors.torch

        (self.folder / "mixture.npz").unlink(missing_ok=True)  # it belongs to the weights it was fitted to
        weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
        description = {"settings": json.dumps(settings.to_dict()), "format": "vae-studio"}
        write_whole(self.folder / "model.safetensors", safetensors.torch.save(weights, description))

    def save_training_state(self, tensors: dict[str, Tensor]) -> None:
        """What `training_state` reads."""
        import safetensors.torch

        write_whole(self.folder / "training_state.safetensors", safetensors.torch.save(tensors))

    def save_evaluation(self, evaluation: Evaluation) -> None:
        """What `evaluation` reads, and its summary in run.json."""
        write_whole(self.folder / "evaluation.npz", evaluation.to_bytes())
        self.update(results=evaluation.summary() | {"mse_mean_decoded": float(evaluation.errors_mean.mean())})

    def save_mixture(self, mixture: LatentMixture) -> None:
        """What `mixture` reads."""
        write_whole(self.folder / "mixture.npz", mixture.to_bytes())

    def save_preview(self, iteration: int, kind: str, png: bytes) -> None:
        """A picture of how the model stood at an iteration; kind is "reconstructions" or "samples"."""
        write_whole(self.folder / "previews" / f"{iteration:06d}-{kind}.png", png)

    def close(self) -> None:
        """Releases the folder."""
        with suppress(OSError):
            (self.folder / "stop").unlink(missing_ok=True)
        self._lock.release()


def find_run(run: str | os.PathLike[str], runs_dir: str | os.PathLike[str] = "checkpoints") -> Run:
    """A run by its folder's path, or by name in `runs_dir` or among the shipped runs.

    Raises:
        RunError: there is none; says which there are.
    """
    as_path = Path(run)
    with suppress(OSError):  # too long for a path, or in a folder that may not be looked into
        if (as_path / "run.json").is_file():
            return Run(as_path.resolve())
    return run_named(str(run), runs_dir)


def run_named(name: str, runs_dir: str | os.PathLike[str] = "checkpoints") -> Run:
    """A run by its name alone, in `runs_dir` or among the shipped runs; never one that lies elsewhere.

    Raises:
        RunError: there is none; says which there are.
    """
    if NAME_PATTERN.fullmatch(name):
        for parent in (Path(runs_dir), shipped_folder()):
            if (parent / name / "run.json").is_file():
                return Run((parent / name).resolve())
    known = ", ".join(found.name for found in list_runs(runs_dir)) or "none"
    raise RunError(f"no run named {name!r}; there are: {known}")


def list_runs(runs_dir: str | os.PathLike[str] = "checkpoints") -> list[RunInfo]:
    """All readable runs: the shipped ones first, then those of `runs_dir`, newest first."""
    found: dict[str, RunInfo] = {}
    for parent in (Path(runs_dir), shipped_folder()):
        for folder in _run_folders(parent):
            try:
                found.setdefault(folder.name, Run(folder.resolve()).info())
            except RunError:
                continue
    shipped = [found[name] for name in SHIPPED_RUNS if name in found]
    others = [info for info in found.values() if not info.is_shipped]
    return shipped + sorted(others, key=lambda info: info.created, reverse=True)


def load_run(run: str | os.PathLike[str], runs_dir: str | os.PathLike[str] = "checkpoints") -> LoadedRun:
    """A run with its model, settings, metrics and evaluation; `run` is a name or a folder's path.

    Raises:
        RunError: there is no such run, it has no weights yet, or a file of it is damaged.
    """
    found = find_run(run, runs_dir)
    return LoadedRun(found.info(), found.model(), found.all_metrics(), found.evaluation())


def store_evaluation(info: RunInfo, evaluation: Evaluation, mixture: LatentMixture | None = None) -> bool:
    """Keeps an evaluation, and the mixture it was made with, if it is of the run's own test set; returns
    whether it is.

    What came with the package, a folder that cannot be written, or that a training is writing, keeps what it
    has; so does a full disk.
    """
    test_set = evaluation.name, len(evaluation.errors)
    is_own = test_set == (info.data.get("name"), info.data.get("test_images"))
    run = _writer_of(info) if is_own else None
    if run is None:
        return False
    try:
        if mixture is not None:
            run.save_mixture(mixture)
        run.save_evaluation(evaluation)  # last: whoever watches it finds the mixture there
    except OSError:
        return False
    finally:
        run.close()
    return True


def store_mixture(info: RunInfo, mixture: LatentMixture) -> bool:
    """Keeps a mixture with its run; returns whether that could be done. As `store_evaluation`."""
    run = _writer_of(info)
    if run is None:
        return False
    try:
        run.save_mixture(mixture)
    except OSError:
        return False
    finally:
        run.close()
    return True


def tidy(runs_dir: Path) -> None:
    """Deletes what killed processes have left behind: files under temporary names, halves of what was to be
    brought in, folders of trainings that ended before they wrote a run.json.

    Nothing is touched of a run that is being trained, nor anything that is not of a run.
    """
    with suppress(OSError):
        sweep(runs_dir, INCOMING)
        for folder in [path for path in runs_dir.iterdir() if path.is_dir() and not path.is_symlink()]:
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


def _writer_of(info: RunInfo) -> RunWriter | None:
    """For a run that is there; None if it came with the package, is being trained, or cannot be written."""
    if info.is_shipped or not os.access(info.folder, os.W_OK):
        return None
    try:
        return RunWriter(info.folder)
    except RunError:
        return None


def check_runs_dir(folder: Path) -> None:
    """Raises RunError unless runs can lie in it; it need not be there yet."""
    try:
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunError(f"{folder} cannot be the folder of runs: {error.strerror or error}") from error


def check_name(name: str) -> None:
    """Raises RunError unless a new run may have this name."""
    if not NAME_PATTERN.fullmatch(name) or name.endswith("."):
        raise RunError(
            f"a run's name has 1 to 64 letters, digits, dots, dashes or underscores and begins with a "
            f"letter or digit, not {in_short(name)}"
        )
    if name in SHIPPED_RUNS:
        raise RunError(f"{name} is the name of a shipped run; choose another name")


def new_name(runs_dir: Path, stem: str = "run") -> str:
    """A name that is not taken, of the stem and the time."""
    return free_name(runs_dir, f"{stem}-{datetime.now():%Y%m%d-%H%M%S}")


def free_name(runs_dir: Path, wish: str) -> str:
    """The name wished for, numbered if it is taken."""
    names = (wish if number == 1 else f"{wish}-{number}" for number in range(1, 10_000))
    return next(name for name in names if not (runs_dir / name).exists())


def rename_run(run: Run, name: str) -> Run:
    """Gives a run another name, which is its folder's.

    Raises:
        RunError: it is a shipped or a running one, or the name cannot be used or is taken.
    """
    check_name(name)
    _check_ours(run, "renamed")
    target = run.folder.with_name(name)
    if target.exists():
        raise RunError(f"there is already a run named {name}; choose another name")
    try:
        run.folder.rename(target)
    except OSError as error:
        raise RunError(f"run {run.name} cannot be renamed: {error.strerror or error}") from error
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
        raise RunError(f"run {run.name} cannot be deleted: {error.strerror or error}") from error


def _check_ours(run: Run, what: str) -> None:
    info = run.info()
    if info.is_shipped:
        raise RunError(f"{info.name} is a shipped run and cannot be {what}")
    if info.state == "running":
        raise RunError(f"run {info.name} is being trained and cannot be {what}; stop it first")


def _run_folders(parent: Path) -> Iterator[Path]:
    try:
        yield from sorted(path.parent for path in parent.glob("*/run.json"))
    except OSError:
        return


def _metric_row(line: bytes) -> dict[str, Any] | None:
    """One report, or None for a line that is not one (torn by a crash)."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not all(_is_number(row.get(name)) for name in METRIC_NAMES):
        return None
    kept = {name: row[name] for name in (*METRIC_NAMES, *TEST_METRIC_NAMES) if _is_number(row.get(name))}
    kl = row.get("kl_per_dimension")
    if isinstance(kl, list) and all(map(_is_number, kl)):
        kept["kl_per_dimension"] = kl
    return kept


def _results(values: Any) -> dict[str, Any]:
    """The figures of run.json: numbers, texts or nothing.

    Raises:
        ValueError: they are not.
    """
    results = dict(values)
    for name, value in results.items():
        if not (value is None or isinstance(value, str) or _is_number(value)):
            raise ValueError(f"result {name} is no figure")
    for name in ("total", "mse_mean"):
        if not (results.get(name) is None or _is_number(results[name])):
            raise ValueError(f"result {name} must be a number")
    return results


def _data_record(values: Any) -> dict[str, Any]:
    """What run.json says of the data: its name, where it came from, how many images.

    Raises:
        ValueError: a field that is there is of another kind.
    """
    data = dict(values)
    for name in ("name", "source"):
        if not isinstance(data.get(name, ""), str):
            raise ValueError(f"data.{name} must be a text")
    for name in ("training_images", "test_images"):
        count = data.get(name, 0)
        if not isinstance(count, int) or count < 0:
            raise ValueError(f"data.{name} must be a count of images")
    if not isinstance(data.get("is_sample", False), bool):
        raise ValueError("data.is_sample must be true or false")
    return data


def _short(value: Any) -> Any:
    if isinstance(value, list):
        return [round(number, 4) for number in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int of more than 308 digits
        return False


def _read_limited(path: Path, most_bytes: int) -> bytes:
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise RunError(f"{path.name} is larger than {most_bytes:,} bytes; expected far less")
    return content


def _is_locked(path: Path) -> bool:
    """Whether a process holds this lock file.

    Raises:
        OSError: there is none, or it may not be read.
    """
    with path.open("rb") as file:
        try:
            if fcntl is not None:
                # Shared: of many who look at the same moment, none takes another for the training.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno != errno.ENOSYS:  # a file system without such locks: FileLock has another way
                raise
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def _cannot_write(folder: Path, error: OSError) -> str:
    return f"cannot write to {folder}: {error.strerror or error}; free some space or choose another folder"


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), "vae_core": __version__, "torch": metadata.version("torch")}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _after_all_others(runs_dir: Path) -> str:
    """The time, but later than all runs there were made: a clock set back makes no new run an old one."""
    created = datetime.now(UTC)
    for info in list_runs(runs_dir):
        with suppress(ValueError, TypeError, OverflowError):  # a date of another make
            if not info.is_shipped:
                created = max(created, datetime.fromisoformat(info.created) + timedelta(seconds=1))
    return created.isoformat(timespec="seconds")
