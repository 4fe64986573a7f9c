"""What several tests do, and no fixture can."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vae_core.data import Dataset
from vae_core.evaluation import evaluate
from vae_core.jobs.job import Job, prepare, prepare_resume
from vae_core.jobs.recording import perform
from vae_core.mixture import LatentMixture
from vae_core.run_folder import Run, RunWriter
from vae_core.settings import Settings


def one_component(latent_dim: int) -> LatentMixture:
    factors = np.eye(latent_dim, dtype=np.float32)[None]
    return LatentMixture(np.ones(1, np.float32), np.full((1, latent_dim), 0.5, np.float32), factors)


def change_settings(run: Path, **changes: Any) -> None:
    """What the run.json in this folder says that the run was trained by, and nothing else."""
    change_record(run, settings=json.loads((run / "run.json").read_text())["settings"] | changes)


def change_record(run: Path, **changes: Any) -> None:
    """Fields of the run.json in this folder."""
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | changes))


def train_here(settings: Settings, runs_dir: Path, dataset: Dataset, name: str = "run") -> Run:
    """A run that is trained to its end, beside whatever trains on this machine."""
    go_through(prepare(settings, runs_dir, name, alone=False), dataset)
    return Run(runs_dir / name)


def go_on(run: Run, dataset: Dataset, epochs: int | None = None) -> None:
    """Resumes a run, to its end or to so many epochs."""
    go_through(prepare_resume(run.name, run.folder.parent, epochs, alone=False), dataset)


def go_through(job: Job, dataset: Dataset) -> None:
    for _ in perform(job, dataset):
        pass


def same_weights(first: Run, second: Run) -> bool:
    a, b = first.model().state_dict(), second.model().state_dict()
    return all(torch.equal(a[name], b[name]) for name in a)


def save_altered_copy(run: Path, copy: Path, dataset: Dataset) -> Run:
    """A run of another model, evaluated on the same images: one that decodes all darker."""
    writer = RunWriter(Path(shutil.copytree(run, copy)))
    model, settings = writer.model(), writer.info().settings
    with torch.no_grad():
        [*model.decoder.parameters()][-1].sub_(1.0)
    writer.save_model(model, settings)
    writer.save_evaluation(evaluate(model, dataset.test, settings.likelihood, settings.beta, settings.seed))
    writer.close()
    return Run(copy)
