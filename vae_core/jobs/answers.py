"""What a training process answers to its job, as one line of text: that it has begun, or why not."""

from __future__ import annotations

import json

from vae_core import errors
from vae_core.errors import SettingsError, TrainingError, VAEStudioError

MARK = "worker: "
"""Begins the line, as other output may come before it."""
STARTED = f"{MARK}null"


def refusal(error: VAEStudioError) -> str:
    """The answer that says why a training does not begin."""
    told = {"kind": type(error).__name__, "words": str(error)}
    if isinstance(error, SettingsError):
        told["field"] = error.field
    return MARK + json.dumps(told)


def check(answer: str) -> None:
    """Raises what an answer tells, as an error of the kind it was; nothing if the training has begun.

    Raises:
        TrainingError: the last line of a process that has ended without an answer.
    """
    if not answer.startswith(MARK):
        raise TrainingError(answer or "the training process ended before it began")
    told = json.loads(answer.removeprefix(MARK))
    if told is None:
        return
    kind = getattr(errors, told["kind"])
    raise kind(*([told["field"]] if "field" in told else []), told["words"])
