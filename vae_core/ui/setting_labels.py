"""What the page calls the settings: in the form, in the runs and on their cards."""

from __future__ import annotations

import dataclasses
from typing import Any

from vae_core.settings import Settings

OWN = {"latent_dim": "Latents", "limit": "Limit of training images", "beta": "Beta (KL weight)"}
LABELS = {
    field.name: OWN.get(field.name, field.name.replace("_", " ").capitalize())
    for field in dataclasses.fields(Settings)
}


def changes(settings: Settings) -> dict[str, Any]:
    """What differs from the reference recipe, by its labels."""
    return {LABELS[name]: value for name, value in settings.changes().items()}
