"""How a model stands while it is trained, in pictures of the same images and the same latents."""

from __future__ import annotations

import numpy as np
import torch

from vae_core.data import ImageSet
from vae_core.model import as_batch
from vae_core.pictures import png_bytes, tile, to_grey
from vae_core.run_folder import RunWriter
from vae_core.settings import Settings
from vae_core.training import Report

PREVIEW_SAMPLES = 16


class Previews:
    """Ten fixed test images, one per class, and sixteen fixed latents, decoded as training goes."""

    def __init__(self, test_set: ImageSet, settings: Settings) -> None:
        _, first = np.unique(test_set.labels, return_index=True)
        self._images = as_batch(torch.from_numpy(np.array(test_set.images[first[:10]])))
        fixed = torch.Generator().manual_seed(0)
        self._latents = torch.randn(PREVIEW_SAMPLES, settings.latent_dim, generator=fixed)

    def save(self, run: RunWriter, report: Report) -> None:
        """Two pictures of a report's model: the images above their reconstructions, and the samples."""
        model = report.state.model
        device = next(model.parameters()).device
        with torch.inference_mode():
            images = self._images.to(device)
            reconstructions = model.decode(model.encode(images)[0])
            samples = model.decode(self._latents.to(device))
        pairs = torch.cat([images, reconstructions]).squeeze(1).cpu().numpy()
        run.save_preview(report.iteration, "reconstructions", png_bytes(tile(to_grey(pairs), len(images))))
        samples = samples.squeeze(1).cpu().numpy()
        run.save_preview(report.iteration, "samples", png_bytes(tile(to_grey(samples), 8)))
