"""One run folder: read it, write it. Whoever reads one needs nothing but the folder.

Files are written to a temporary name and renamed; metrics.jsonl alone grows by whole lines.
A run is alive while its training process holds the folder's lock, which the system releases when the
process ends in whatever way: no process id is ever compared or signalled.
"""

from __future__ import annotations

import errno
import json
import os
import re
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from filelock import FileLock, Timeout

from vae_core.errors import RunError, reason_of
from vae_core.evaluated import Evaluation
from vae_core.mixture import LatentMixture
from vae_core.run_record import FORMAT, RunInfo, metric_row
from vae_core.scratch import remove_temporary_files, write_together, write_whole
from vae_core.settings import Settings

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

if TYPE_CHECKING:
    from torch import Tensor

    from vae_core.model import VAE

MOST_WEIGHT_BYTES = 512 * 2**20
MOST_RECORD_BYTES = 2**20
MOST_METRIC_BYTES = 64 * 2**20
LATEST_METRIC_BYTES = 2**14
LOCK_SECONDS = 2.0
"""So long a writer waits for the lock: readers try it for a moment to see whether it is held."""
FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # Windows knows no quota
SAMPLES_NAME = re.compile(r"([0-9]+)-samples\.png")
Kept = TypeVar("Kept")


class Run:
    """A run folder, for reading."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name

    def info(self) -> RunInfo:
        """run.json, checked, with the state as it really is.

        Raises:
            RunError: there is no such run, or run.json is damaged.
        """
        info = RunInfo.from_record(self._record(), self.folder)
        if info.state == "running" and not self.is_alive():
            info = RunInfo.from_record(self._record(), self.folder)  # it may have ended since it was read
        if info.state == "running" and not self.is_alive():  # killed, if only after its last epoch
            return replace(info, state="interrupted" if info.epoch < info.settings.epochs else "finished")
        return info

    def _record(self) -> dict[str, Any]:
        try:
            content = _read_limited(self.folder / "run.json", MOST_RECORD_BYTES)
            record = json.loads(content)
            json.dumps(record, allow_nan=False, ensure_ascii=False).encode()  # as it is passed on to pages
        except FileNotFoundError as error:
            raise RunError(f"{self.name} is not a run folder: it has no run.json", self.folder) from error
        except (OSError, ValueError, RecursionError) as error:  # NaN and half characters are ValueErrors too
            raise RunError(
                f"run {self.name}: run.json is damaged or cannot be read ({reason_of(error)})"
            ) from error
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise RunError(f"run {self.name}: run.json is not of format {FORMAT}, which this version reads")
        return record

    def is_alive(self) -> bool:
        """Whether a training process holds the folder's lock."""
        try:
            return _is_locked(self.folder / "run.lock")
        except OSError:  # there is none, or it may not even be read
            return False

    def weights_version(self) -> int:
        """Changes whenever the weights do, also where another run takes this one's name.

        Raises:
            RunError: it has none yet.
        """
        try:
            return (self.folder / "model.safetensors").stat().st_mtime_ns
        except OSError as error:
            raise RunError(f"run {self.name} has no model yet: its first epoch is not finished") from error

    def evaluation_version(self) -> int:
        """Changes whenever the evaluation does; 0 without one."""
        return self._version("evaluation.npz")

    def mixture_version(self) -> int:
        """Changes whenever the mixture does; 0 without one."""
        return self._version("mixture.npz")

    def _version(self, name: str) -> int:
        try:
            return (self.folder / name).stat().st_mtime_ns
        except OSError:
            return 0

    def metrics(self, offset: int = 0, most: int | None = None) -> tuple[list[dict[str, Any]], int]:
        """The reports from a byte offset of metrics.jsonl on, and the offset to go on from.

        At most 64 MiB at a time. A last line still being written is left for the next call. An offset outside
        the file (the run was resumed and its file shortened) starts again from 0.

        Args:
            offset: in bytes.
            most: of more reports about so many are read, evenly spread; those of an epoch's end and the last
                are always among them.

        Raises:
            RunError: the file cannot be read.
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
            raise RunError(f"run {self.name}: metrics.jsonl cannot be read ({reason_of(error)})") from error
        whole = content[: content.rfind(b"\n") + 1]
        lines = whole.splitlines()
        if most is not None and len(lines) > most:
            step, last = -(-len(lines) // most), len(lines) - 1
            read = (at for at, line in enumerate(lines) if at % step == 0 or b'"test_total"' in line)
            lines = [lines[at] for at in sorted({*read, last})]
        return [row for line in lines if (row := metric_row(line))], offset + len(whole)

    def all_metrics(self, most: int | None = None) -> list[dict[str, Any]]:
        """All reports there are, however large the file; of each 64 MiB about so many as `metrics` says."""
        rows, offset = self.metrics(most=most)
        while True:
            more, end = self.metrics(offset, most)
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
        return self.metrics(size - LATEST_METRIC_BYTES)[0]

    def evaluation(self) -> Evaluation | None:
        """evaluation.npz, or None before the first epoch's end.

        Raises:
            RunError: the file is damaged, or does not fit the settings.
        """
        try:
            evaluation = Evaluation.from_bytes(
                _read_limited(self.folder / "evaluation.npz", MOST_WEIGHT_BYTES)
            )
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RunError(f"run {self.name}: evaluation.npz cannot be read ({reason_of(error)})") from error
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
            raise RunError(f"run {self.name}: mixture.npz cannot be read ({reason_of(error)})") from error
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

    def mixture_or_none(self) -> LatentMixture | None:
        """As `mixture`, but a damaged file is none: another is fitted in its place."""
        try:
            return self.mixture()
        except RunError:
            return None

    def required_mixture(self) -> LatentMixture:
        """As `mixture`, for whoever cannot do without.

        Raises:
            RunError: there is none yet, says how to get one; or it is damaged.
        """
        return self._required(self.mixture(), "has no mixture yet; make one")

    def required_evaluation(self) -> Evaluation:
        """As `evaluation`, for whoever cannot do without.

        Raises:
            RunError: there is none yet, says how to get one; or it is damaged.
        """
        return self._required(self.evaluation(), "is not measured yet; measure it")

    def _required(self, kept: Kept | None, lack: str) -> Kept:
        if kept is None:
            raise RunError(f"run {self.name} {lack}: python -m vae_core evaluate {self.folder}")
        return kept

    def model(self) -> VAE:
        """The trained model, on the CPU, ready to evaluate.

        Raises:
            RunError: there are no weights yet, or they do not fit the settings.
        """
        import torch

        from vae_core.model import VAE

        settings = self.info().settings
        with torch.random.fork_rng(devices=[]):  # the weights it begins with are drawn, and thrown away
            model = VAE(settings.latent_dim)
        try:
            model.load_state_dict(self._tensors("model.safetensors"))
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise RunError(f"run {self.name}: the weights do not fit the settings ({reason})") from error
        if not all(torch.isfinite(weight).all() for weight in model.parameters()):
            raise RunError(f"run {self.name}: the weights are not finite numbers")
        return model.to(memory_format=torch.channels_last).eval()

    @property
    def has_training_state(self) -> bool:
        """Whether a training can go on from its last finished epoch: shipped runs keep nothing for it."""
        return (self.folder / "training_state.safetensors").is_file()

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
            count = self.info().epoch
            why = f", though it has finished epoch {count}" if count else ": no epoch of it was finished"
            raise RunError(f"run {self.name} has no {file_name}{why}") from error
        except (safetensors.SafetensorError, KeyError, ValueError, OSError) as error:
            raise RunError(f"run {self.name}: {file_name} is damaged ({reason_of(error)})") from error

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
                f"run {self.name} cannot be asked to stop: {reason_of(error)}; free some space, or "
                "stop it as the user who started it"
            ) from error


class RunWriter(Run):
    """A run folder, for the one process that writes in it: a training, or one that measures or tidies up.

    Holds the folder's lock until closed.

    Raises:
        RunError: the folder is gone, another process holds it, or it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        if not folder.is_dir():  # the lock would make it anew
            raise RunError(f"run {self.name} is gone: its folder is not there", folder)
        self._lock = FileLock(folder / "run.lock", thread_local=False)  # whichever thread closes it
        try:
            self._lock.acquire(timeout=LOCK_SECONDS)
        except Timeout as error:
            raise RunError(
                f"run {self.name} is being trained, or writing its last results; try again when it has ended"
            ) from error
        except OSError as error:
            raise cannot_write(folder, error) from error
        with suppress(OSError):
            (folder / "stop").unlink()
        for written in (folder, folder / "previews"):  # by one who was killed
            remove_temporary_files(written)

    def begin(self, **record: Any) -> None:
        """Writes the first run.json."""
        self._write_record(record)

    def update(self, **changes: Any) -> None:
        """Writes run.json anew with these fields changed.

        Raises:
            RunError: it is damaged or cannot be read, and stays as it is.
        """
        self._write_record(self._record() | changes)

    def _write_record(self, record: dict[str, Any]) -> None:
        content = json.dumps(record | {"updated": _now()}, indent=1, allow_nan=False)
        write_whole(self.folder / "run.json", content.encode())

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

    def save_model(self, model: VAE, settings: Settings, evaluation: Evaluation | None = None) -> None:
        """The weights, float32, with the settings as the file's metadata; together with what they measure, as
        `write_together` says, or else without any figures, which would be those of the weights before."""
        import safetensors.torch

        weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
        description = {"settings": json.dumps(settings.to_dict()), "format": "vae-studio"}
        contents = {self.folder / "model.safetensors": safetensors.torch.save(weights, description)}
        # First, as both belong to the weights before; a mixture that is lost is fitted anew.
        (self.folder / "mixture.npz").unlink(missing_ok=True)
        if evaluation is not None:
            contents[self.folder / "evaluation.npz"] = evaluation.to_bytes()
        else:
            (self.folder / "evaluation.npz").unlink(missing_ok=True)
            self.update(results={})
        write_together(contents)
        if evaluation is not None:
            self._record_results(evaluation)

    def delete_model(self) -> None:
        """What `save_model` wrote without an evaluation is not worth keeping."""
        (self.folder / "model.safetensors").unlink(missing_ok=True)

    def save_training_state(self, tensors: dict[str, Tensor]) -> None:
        """What `training_state` reads."""
        import safetensors.torch

        write_whole(self.folder / "training_state.safetensors", safetensors.torch.save(tensors))

    def save_evaluation(self, evaluation: Evaluation) -> None:
        """What `evaluation` reads, and its summary in run.json."""
        write_whole(self.folder / "evaluation.npz", evaluation.to_bytes())
        self._record_results(evaluation)

    def _record_results(self, evaluation: Evaluation) -> None:
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
            (self.folder / "stop").unlink()
        self._lock.release()


def _short(value: Any) -> Any:
    if isinstance(value, list):
        return [round(number, 4) for number in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


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
        except OSError:  # a file system without such locks: FileLock has another way
            pass
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def cannot_write(folder: Path, error: OSError) -> RunError:
    """What is raised where nothing can be kept in a folder; its words are for everyone's eyes."""
    name = folder.absolute().name or folder
    space = "free some space or " if error.errno in FULL else ""
    return RunError(
        f"cannot write to folder {name}: {reason_of(error)}; {space}choose another folder", where=folder
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
