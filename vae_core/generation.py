"""What can be asked of generated images: how many, how far out, from where. They are made by `inference`."""

from __future__ import annotations

from typing import Literal, get_args

GENERATED_IMAGES = 64
"""How many images the reference generates."""
MOST_GENERATED_IMAGES = 400
MOST_TEMPERATURE = 2
"""Of the noise that is decoded; 1 is N(0, I) itself."""
Sampler = Literal["prior", "mixture"]
"""Where the latent vectors of generated images come from: N(0, I), or what `vae_core.mixture` has fitted."""
SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)
