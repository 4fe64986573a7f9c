"""Every mistake a user can make, one class per kind; the message says what was expected.

The command line prints the message as one line, the app shows it where it happened.
"""

import reprlib
from pathlib import Path
from typing import Any

DIVERGED = "the training diverged"
"""In the message of a training whose loss is not finite. Resuming repeats exactly, so it would diverge again;
such runs, old ones too, are known by these words in their run.json."""
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 100


def in_short(value: Any) -> str:
    """What was given instead, as a message repeats it: on one line, and not long whatever it is."""
    return _SHORT.repr(value)


def check_type(what: str, value: object, expected: type) -> None:
    """Raises TypeError unless a caller gave what was asked for, such as a run's model and not the run."""
    if not isinstance(value, expected):
        hint = f"; use its .{what}" if hasattr(value, what) else ""
        raise TypeError(f"{what} must be of type {expected.__name__}, not {type(value).__name__}{hint}")


def reason_of(error: Exception) -> str:
    """What the system says of a file, without its path: the app's visitors read it."""
    return getattr(error, "strerror", None) or str(error)


class VAEStudioError(Exception):
    """The base of all errors that are meant for a user's eyes.

    Attributes:
        where: the folder it is about, where that helps: for the command line, whose user may see where it
            lies. The message says nothing of it, as the app's visitors read that.
    """

    def __init__(self, message: str, where: Path | None = None) -> None:
        super().__init__(message)
        self.where = where


class SettingsError(VAEStudioError):
    """A training setting is out of its range; `field` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class DataError(VAEStudioError):
    """A data set is missing, damaged or not what it claims to be."""


class RunError(VAEStudioError):
    """A run folder is missing, damaged, or cannot do what was asked of it."""


class RunNameError(RunError):
    """A run cannot have this name, or another one has it."""

    field = "name"


class HeldRunError(RunError):
    """A run is being trained or written, and cannot be changed until that ends."""


class TrainingError(VAEStudioError):
    """A training cannot go on: the loss is not finite, or another training is in the way."""


class SlowerWarning(RuntimeWarning):
    """A training goes, but more slowly than it could on this machine."""


class BusyError(TrainingError):
    """Another training is in the way, until it ends."""


class PictureError(VAEStudioError):
    """A drawing or picture cannot be read, or there is nothing on it."""


class EmptyPictureError(PictureError):
    """There is nothing on a drawing."""


class LatentError(VAEStudioError):
    """A latent vector does not fit the model: wrong length, or not finite numbers."""


class ExportError(VAEStudioError):
    """A model cannot be exported: an optional package is missing, or a file cannot be written."""


class RequestError(VAEStudioError):
    """A request to the app is not one it answers: too large, or not from its own page."""


class NotYetError(RequestError):
    """What a request asks for is still being computed; it may be asked again."""


class ReadOnlyError(VAEStudioError):
    """Something was to be changed in an app that is for looking only (`--read-only`)."""

    def __init__(self, what: str = "changed") -> None:
        super().__init__(f"this studio is for looking only: nothing can be {what} here")


class PasswordError(VAEStudioError):
    """A file of users and passwords cannot be read or written, or a name or password cannot be used."""


class LessonError(VAEStudioError):
    """What `--lesson` asks for is not there: a tab, a part, a recipe, a model."""
