"""Where PyTorch computes: chosen by name, and told in words."""

from __future__ import annotations

import torch

from vae_core.errors import SettingsError
from vae_core.settings import Settings


def choose_device(name: str) -> torch.device:
    """The torch device for auto, cpu, cuda or cuda:N; auto takes the GPU when there is one.

    Raises:
        SettingsError: it is another name, or a CUDA device that is not there.
    """
    name = Settings(device=name).device
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise SettingsError(
            "device", f"device {name} is not there: PyTorch sees {torch.cuda.device_count()} CUDA devices"
        )
    return torch.device(name)


def device_in_words(device: torch.device) -> str:
    """Such as "CPU, 2 threads" or "NVIDIA H200"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'' if threads == 1 else 's'}"
