"""What a user should hear of an error that Python or PyTorch raised in a training."""

from __future__ import annotations

import torch

from vae_core.engine.distributed import LOST_PROCESS, is_lost_process

AFTER_GPU_FAILURE = "resume the run when it is back, or train on the CPU (device cpu)"
OUT_OF_MEMORY = "out of memory: try a smaller batch size or close other programs"


def in_words(error: MemoryError | RuntimeError) -> str | None:
    """What a user should hear of an error that Python or PyTorch raised; None if it should not have come."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "allocate memory" in str(error):
        return OUT_OF_MEMORY
    if is_lost_process(error):
        return LOST_PROCESS
    text = str(error)
    if isinstance(error, torch.distributed.DistError):
        return f"the processes cannot reach each other ({text.splitlines()[0]})"
    if isinstance(error, torch.AcceleratorError) or "CUDA" in text or "cuDNN" in text:  # gone, or broken
        return f"the GPU failed ({text.splitlines()[0]}); {AFTER_GPU_FAILURE}"
    return None
