"""VAE Studio's engine: a reference variational autoencoder, its training and what is learned from it.

The names below are the public face. They are imported when first used, so that `import vae_core`
costs nothing (torch alone takes seconds).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vae_core.data import load_mnist
    from vae_core.loss import elbo_loss
    from vae_core.model import VAE
    from vae_core.runs import load_run
    from vae_core.settings import Settings
    from vae_core.training import train

__version__ = "0.1.0"

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
