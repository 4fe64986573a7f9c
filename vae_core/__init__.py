"""VAE Studio's engine: a reference variational autoencoder, its training and what is learned from it.

The public face:

- `VAE`: the network; `encode`, `sample`, `decode`.
- `elbo_loss`: reconstruction + beta * KL, in nats per image.
- `Settings`: what a training is to do; the reference recipe by default.
- `load_mnist`: the images of a split.
- `train`: a training as a stream of reports.
- `load_run`: a trained model with its record.

They are imported when first used, so that `import vae_core` costs nothing (torch alone takes seconds).
More is in the modules: `evaluation`, `inference`, `latent_space`, `jobs.recording`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vae_core.version import __version__ as __version__

if TYPE_CHECKING:
    from vae_core.data import load_mnist
    from vae_core.loss import elbo_loss
    from vae_core.model import VAE
    from vae_core.runs import load_run
    from vae_core.settings import Settings
    from vae_core.training import train

__all__ = ["VAE", "Settings", "elbo_loss", "load_mnist", "load_run", "train"]

_HOMES = {
    "VAE": "model",
    "Settings": "settings",
    "elbo_loss": "loss",
    "load_mnist": "data",
    "load_run": "runs",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"vae_core.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'vae_core' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
