"""What a run's run.json and metrics.jsonl say, checked: the state, the settings, the data, the figures.

The files are read by `run_folder`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vae_core.errors import RunError, SettingsError, in_short
from vae_core.images import Identity
from vae_core.settings import Settings

FORMAT = 1
SHIPPED_RUNS = ("reference", "quick", "sharp", "plane")
"""Names of the runs that come with VAE Studio; a user's run cannot take one."""
RUNS_DIR = Path("checkpoints")
"""Where runs are unless another folder is named; there is none before the first training elsewhere."""
STATES = ("running", "stopped", "finished", "failed", "interrupted")
METRIC_NAMES = (
    "epoch", "iteration", "total", "reconstruction", "kl", "images_per_second", "elapsed_seconds",
)  # fmt: skip
TEST_METRIC_NAMES = ("test_total", "test_reconstruction", "test_kl", "test_mse")


@dataclass(frozen=True)
class RunInfo:
    """What run.json says; from `Run.info`, the state as it really is: "running" only if a process is at it.

    Attributes:
        name: of the run and its folder.
        folder: where it lies.
        state: "running", "finished", "stopped", "failed" or "interrupted".
        settings: what it was trained by.
        data: of the data set: `Dataset.facts`, "source" in words and "is_sample".
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
        id: the same in all copies of a run, and in no other; "" in records of versions that kept none.
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
    id: str

    @classmethod
    def from_record(cls, record: dict[str, Any], folder: Path) -> RunInfo:
        """What the run.json of this folder says, checked; the state is the one that was written last.

        Raises:
            RunError: it is not one of ours.
        """
        try:
            state = record["state"]
            if state not in STATES:
                raise RunError(f"run {folder.name}: state must be one of {', '.join(STATES)}, not {state!r}")
            return cls(
                name=folder.name,
                folder=folder,
                state=state,
                settings=Settings.from_dict(record["settings"]),
                data=_data_record(record["data"]),
                device=str(record["device"]),
                versions=dict(record["versions"]),
                created=str(record["created"]),
                epoch=int(record["epoch"]),
                elapsed_seconds=_number(record["elapsed_seconds"]),
                results=_results(record["results"]),
                baselines={
                    str(name): _number(value) for name, value in (record.get("baselines") or {}).items()
                },
                warning=None if record.get("warning") is None else str(record["warning"]),
                error=record["error"] if record["error"] is None else str(record["error"]),
                generation=int(record.get("generation", 0)),
                id=str(record.get("id") or ""),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, SettingsError) as error:
            raise RunError(f"run {folder.name}: run.json is not one of ours ({error})") from error

    @property
    def made(self) -> datetime | None:
        """When it was made; None where its date is none."""
        try:
            made = datetime.fromisoformat(self.created)
            return (made if made.tzinfo else made.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            return None

    @property
    def trained_on(self) -> Identity:
        """The images it was trained on."""
        own = self._images("training")
        # Before there were digests, the sample's training images came in another order.
        return replace(own, digest="by digit") if self.data.get("is_sample") and not own.digest else own

    @property
    def tested_on(self) -> Identity:
        """The images it was tested on."""
        return self._images("test")

    def _images(self, split: str) -> Identity:
        counted, digest = self.data.get(f"{split}_images", 0), self.data.get(f"{split}_digest", "")
        return Identity(self.data.get("name", ""), counted, digest)

    @property
    def is_shipped(self) -> bool:
        """Whether it came with the package and cannot be changed."""
        return self.name in SHIPPED_RUNS

    @property
    def has_model(self) -> bool:
        """Whether it has weights yet: from its first epoch on."""
        return (self.folder / "model.safetensors").is_file()

    @property
    def tested(self) -> dict[str, float | None]:
        """Its figures on the test images, by their names in lists of runs; None where there is none."""
        names = {"test_total": "total", "test_unit_variance": "total_unit_variance", "test_mse": "mse_mean"}
        return {called: self.results.get(name) for called, name in names.items()}

    def brief(self) -> dict[str, Any]:
        """Its line in a list of runs, for programs: JSON values."""
        return {
            "name": self.name,
            "state": self.state,
            "epoch": self.epoch,
            **self.tested,
            "settings": self.settings.to_dict(),
            "data": self.data,
            "created": self.created,
            "error": self.error,
        }


def metric_row(line: bytes) -> dict[str, Any] | None:
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
    for name in ("total", "total_unit_variance", "mse_mean"):
        if not (results.get(name) is None or _is_number(results[name])):
            raise ValueError(f"result {name} must be a number")
    return results


def _data_record(values: Any) -> dict[str, Any]:
    """What run.json says of the data: its name, where it came from, how many images.

    Raises:
        ValueError: a field that is there is of another kind.
    """
    data = dict(values)
    for name in ("name", "source", "training_digest", "test_digest"):
        if not isinstance(data.get(name, ""), str):
            raise ValueError(f"data.{name} must be a text")
    for name in ("training_images", "test_images"):
        count = data.get(name, 0)
        if not isinstance(count, int) or count < 0:
            raise ValueError(f"data.{name} must be a count of images")
    if not isinstance(data.get("is_sample", False), bool):
        raise ValueError("data.is_sample must be true or false")
    return data


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):  # the text "nan" is one to Python
        raise ValueError(f"expected a finite number, not {in_short(value)}")
    return number


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int of more than 308 digits
        return False
