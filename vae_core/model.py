"""The variational autoencoder of the reference recipe: encoder, sampling, decoder. Nothing about training."""

from __future__ import annotations

from numbers import Integral

import torch
from torch import Tensor, nn

from vae_core.errors import check_type, in_short
from vae_core.images import IMAGE_SIZE


class VAE(nn.Module):
    """A convolutional variational autoencoder for 28x28 grey images (Kingma and Welling, 2013).

    The network of MathWorks' "Train Variational Autoencoder (VAE) to Generate Images", layer by layer:
    228,193 learnable parameters at 16 latents, Glorot-uniform weights and zero biases.
    MATLAB's "same" padding at stride 2 adds its odd row and column at the bottom right, PyTorch's
    `padding=1` at the top left: the same network, mirrored.

    Args:
        latent_dim: K, the numbers in a latent vector.

    Raises:
        ValueError: latent_dim is not a whole number from 1.
    """

    def __init__(self, latent_dim: int = 16) -> None:
        super().__init__()
        if isinstance(latent_dim, bool) or not isinstance(latent_dim, Integral) or latent_dim < 1:
            raise ValueError(f"latent_dim must be a whole number from 1, not {in_short(latent_dim)}")
        self.latent_dim = int(latent_dim)
        self.encoder = nn.Sequential(  # images (N, 1, 28, 28)
            nn.Conv2d(1, 32, 3, stride=2, padding=1),  # (N, 32, 14, 14)
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),  # (N, 64, 7, 7)
            nn.ReLU(),
            nn.Flatten(),  # (N, 3136)
            nn.Linear(64 * 7 * 7, 2 * self.latent_dim),  # (N, 2K): mean, then log-variance
        )
        self.decoder = nn.Sequential(  # latents (N, K)
            nn.Linear(self.latent_dim, 64 * 7 * 7),  # (N, 3136)
            nn.Unflatten(1, (64, 7, 7)),  # (N, 64, 7, 7), no activation
            nn.ConvTranspose2d(64, 64, 3, stride=2, padding=1, output_padding=1),  # (N, 64, 14, 14)
            nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1),  # (N, 32, 28, 28)
            nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 3, stride=1, padding=1),  # (N, 1, 28, 28)
            nn.Sigmoid(),
        )
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.constant_(layer.get_parameter("bias"), 0.0)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The posterior of each image: a normal distribution per latent.

        Args:
            images: float (N, 1, 28, 28) in [0, 1].

        Returns:
            mean and log_variance, float (N, K) each.

        Raises:
            TypeError: the images are not a tensor.
            ValueError: they have another shape, or hold no floats. Their range is not looked at.
        """
        images = self._checked(images, "images", (1, IMAGE_SIZE, IMAGE_SIZE), " in [0, 1]")
        mean, log_variance = self.encoder(images).chunk(2, dim=1)
        return mean, log_variance

    def sample(self, mean: Tensor, log_variance: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draws from the posterior, see `reparameterize`.

        In training and in prediction alike, as the reference's sampling layer does.

        Args:
            mean, log_variance: float (N, K).
            generator: where eps comes from; PyTorch's global generator by default.

        Returns:
            z, float (N, K).
        """
        return reparameterize(mean, log_variance, torch.empty_like(mean).normal_(generator=generator))

    def decode(self, z: Tensor) -> Tensor:
        """Latent vectors, float (N, K), to images, float (N, 1, 28, 28) in [0, 1].

        Raises:
            TypeError: the vectors are not a tensor.
            ValueError: they have another shape, or hold no floats.
        """
        return self.decoder(self._checked(z, "latent vectors", (self.latent_dim,)))

    def forward(
        self, images: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Encodes, samples, decodes.

        Args:
            images: float (N, 1, 28, 28) in [0, 1].
            generator: where eps comes from; PyTorch's global generator by default.

        Returns:
            reconstruction (N, 1, 28, 28) in [0, 1]; mean and log_variance (N, K).
        """
        mean, log_variance = self.encode(images)
        z = self.sample(mean, log_variance, generator)
        return self.decode(z), mean, log_variance

    def _checked(self, batch: Tensor, what: str, shape: tuple[int, ...], span: str = "") -> Tensor:
        """A batch of so many numbers each, in the precision of the weights."""
        check_type(what, batch, Tensor)
        if batch.shape[1:] != shape or not batch.is_floating_point():
            sizes = ", ".join(["N", *map(str, shape)])
            found = f"{batch.dtype} {tuple(batch.shape)}"
            raise ValueError(f"expected {what} as float ({sizes}){span}, not {found}")
        precision = self.get_parameter("encoder.0.weight").dtype
        return batch if batch.dtype == precision else batch.to(precision)


def reparameterize(mean: Tensor, log_variance: Tensor, eps: Tensor) -> Tensor:
    """z = mean + exp(log_variance / 2) * eps, which is a sample of the posterior where eps ~ N(0, I).

    Kingma and Welling (2013), section 2.4.

    Args:
        mean, log_variance: float (N, K), or of one image (1, K).
        eps: float (N, K).

    Returns:
        z, float (N, K).
    """
    return mean + torch.exp(0.5 * log_variance) * eps


def as_batch(images: Tensor) -> Tensor:
    """uint8 (N, 28, 28) to float32 (N, 1, 28, 28) in [0, 1], not normalised further."""
    return images.unsqueeze(1).float().div_(255)


def count_parameters(model: nn.Module) -> int:
    """Learnable numbers in a model."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
