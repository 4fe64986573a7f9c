"""The settings of a training: one frozen dataclass, validated where it is made, passed whole.

The fields' metadata holds the sentence and the range that the command line and the app both show.
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

from vae_core.errors import SettingsError, in_short

DEVICES = "auto, cpu, cuda or cuda:N"
MOST_SEED = 2**32 - 1
"""Of every seed, wherever it is given: a browser's numbers hold it exactly."""


def _setting(default: Any, about: str, **limits: Any) -> Any:
    """A field. Its limits are what is refused beyond them, and under "usual" what one would try first."""
    return dataclasses.field(default=default, metadata={"about": about, **limits})


@dataclass(frozen=True)
class Settings:
    """What a training does. The defaults are the reference recipe of the MathWorks example.

    Attributes:
        epochs: 1 to 10,000; how often every training image is seen.
        batch_size: 1 to 60,000 images per step; a partial last batch is dropped.
        learning_rate: above 0, to 1e9; the optimiser's step size, with "one-cycle" the peak of it.
        latent_dim: K, 1 to 256 numbers in a latent vector.
        beta: 0 to 1e6, the weight of the KL term; 1 is the ELBO.
        likelihood: "gaussian", "bernoulli" or "calibrated", see `vae_core.loss.reconstruction_loss`.
        schedule: "constant" or "one-cycle" (up over the first 30% of the training, then down to zero).
        optimizer: "adam" or "soap", see `vae_core.engine.soap`.
        seed: 0 to 2**32 - 1; the same seed repeats a run.
        limit: train on the first so many images only, 1 to 10,000,000; None is all.
        device: "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        SettingsError: a value has the wrong type or is outside its range; names the field.
    """

    epochs: int = _setting(
        30, "How often every training image is seen.", minimum=1, maximum=10_000, usual=(2, 50)
    )
    batch_size: int = _setting(
        128,
        "Images per optimiser step; a partial last batch is dropped.",
        minimum=1, maximum=60_000, usual=(32, 512),
    )  # fmt: skip
    learning_rate: float = _setting(
        1e-3,
        "The optimiser's step size; the peak of it with the one-cycle schedule.",
        above=0.0, maximum=1e9, usual=(3e-4, 1e-2),
    )  # fmt: skip
    latent_dim: int = _setting(
        16, "Numbers in a latent vector: the knobs of the model.", minimum=1, maximum=256, usual=(2, 32)
    )
    beta: float = _setting(
        1.0,
        "Weight of the KL term; 1 is the ELBO, larger values cost detail.",
        minimum=0.0, maximum=1e6, usual=(0.5, 8),
    )  # fmt: skip
    likelihood: str = _setting(
        "gaussian",
        "How a pixel's error is counted: gaussian is the reference, bernoulli takes grey for the chance of "
        "white, calibrated learns sharper pictures.",
        choices=("gaussian", "bernoulli", "calibrated"),
    )
    schedule: str = _setting(
        "constant",
        "How the learning rate moves: constant, or one-cycle (up for 30% of the time, then down to zero).",
        choices=("constant", "one-cycle"),
    )
    optimizer: str = _setting(
        "adam",
        "What makes the steps: adam is the reference, soap gets further with each image.",
        choices=("adam", "soap"),
    )
    seed: int = _setting(
        0, "Start of all random numbers; the same seed repeats a run.", minimum=0, maximum=MOST_SEED
    )
    limit: int | None = _setting(
        None, "Train on the first so many images only, else on all.", minimum=1, maximum=10_000_000
    )
    device: str = _setting("auto", f"Where to compute: {DEVICES}.")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = _checked(field, getattr(self, field.name))
            object.__setattr__(self, field.name, value)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Settings:
        """Settings from what `to_dict` gave; unknown names are refused."""
        if not isinstance(values, dict):
            raise SettingsError(
                "settings", f"settings must be an object of names and values, not {in_short(values)}"
            )
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise SettingsError(
                str(unknown[0]),
                f"unknown setting {in_short(unknown[0])}; known are {', '.join(sorted(known))}",
            )
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return dataclasses.asdict(self)

    def iterations_per_epoch(self, images: int) -> int:
        """The full mini-batches of so many training images; 0 where there are fewer than in one."""
        return images // self.batch_size

    @property
    def loss_kind(self) -> str:
        """What sets its loss apart from the reference's, as "bernoulli, KL × 4"; empty where nothing does.

        Losses of different kinds cannot be compared.
        """
        likelihood = [] if self.likelihood == PRESETS["reference"].likelihood else [self.likelihood]
        weight = [] if self.beta == PRESETS["reference"].beta else [f"KL × {self.beta:g}"]
        return ", ".join(likelihood + weight)

    def changes(self, other: Settings | None = None) -> dict[str, Any]:
        """The fields in which these settings differ from `other` (the reference recipe by default)."""
        other = other or PRESETS["reference"]
        return {name: value for name, value in self.to_dict().items() if value != getattr(other, name)}


TYPES = get_type_hints(Settings)
"""Of the fields: a type each, or a union with None."""


def _is_whole(name: str) -> bool:
    return int in (TYPES[name], *get_args(TYPES[name]))


def _checked(field: dataclasses.Field, value: Any) -> Any:
    name, limits = field.name, field.metadata
    if TYPES[name] is str:
        return _checked_text(name, value, limits.get("choices"))
    if value is None and type(None) in get_args(TYPES[name]):
        return None
    whole = _is_whole(name)
    given = "" if value is None else f", not {in_short(value)}"
    expected = f"{name} must be {range_in_words(field)}{given}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SettingsError(name, expected)
    low, above, high = limits.get("minimum", -math.inf), limits.get("above", -math.inf), limits["maximum"]
    # NaN is not in any range, and an int too large for a float is compared exactly.
    if not low <= value <= high or value <= above:
        raise SettingsError(name, expected)
    if whole and value != int(value):
        raise SettingsError(name, expected)
    return int(value) if whole else float(value)


def _checked_text(name: str, value: Any, choices: tuple[str, ...] | None) -> str:
    if choices and value not in choices:
        raise SettingsError(name, f"{name} must be one of {', '.join(choices)}, not {in_short(value)}")
    if name == "device" and not _is_device(value):
        raise SettingsError(name, f"device must be {DEVICES}, not {in_short(value)}")
    return value


def _is_device(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    return re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", value) is not None


def range_in_words(field: dataclasses.Field) -> str:
    """What a field of Settings may be, such as "a whole number from 1 to 10,000"."""
    limits = field.metadata
    if field.name == "device":
        return DEVICES
    if choices := limits.get("choices"):
        return f"one of {', '.join(choices)}"
    kind = "a whole number" if _is_whole(field.name) else "a number"
    low = f"from {limits['minimum']:g}" if "minimum" in limits else f"above {limits['above']:g}"
    return f"{kind} {low} to {limits['maximum']:,.0f}"


def usual_in_words(field: dataclasses.Field) -> str:
    """What one would try first for a field of Settings, such as "usually 2 to 50"; "" where nothing is."""
    usual = field.metadata.get("usual")
    return f"usually {usual[0]:g} to {usual[1]:g}" if usual else ""


_QUICK = Settings(epochs=10, learning_rate=8e-3, schedule="one-cycle", optimizer="soap")
PRESETS: dict[str, Settings] = {
    "reference": Settings(),
    "minute": dataclasses.replace(_QUICK, epochs=2),
    "quick": _QUICK,
    "sharp": Settings(
        epochs=24, batch_size=64, learning_rate=4e-3, schedule="one-cycle", optimizer="soap",
        likelihood="calibrated",
    ),
}  # fmt: skip
"""Named settings: the MathWorks recipe, one to watch, one as good sooner, one for crisp pictures."""
