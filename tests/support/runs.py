"""What several tests do, and no fixture can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from vae_core.mixture import LatentMixture


def one_component(latent_dim: int) -> LatentMixture:
    factors = np.eye(latent_dim, dtype=np.float32)[None]
    return LatentMixture(np.ones(1, np.float32), np.full((1, latent_dim), 0.5, np.float32), factors)


def change_settings(run: Path, **changes: Any) -> None:
    """What the run.json in this folder says that the run was trained by, and nothing else."""
    record = json.loads((run / "run.json").read_text())
    record["settings"] |= changes
    (run / "run.json").write_text(json.dumps(record))
