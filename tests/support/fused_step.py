"""The fused step beside autograd's in double precision; a program, too, for Triton's interpreter."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass

import torch

from vae_core.engine import fused_step
from vae_core.engine.fused_step import FusedStep
from vae_core.engine.soap import Soap
from vae_core.engine.training_state import TrainingState, new_state
from vae_core.loss import elbo_loss
from vae_core.model import VAE, as_batch, reparameterize
from vae_core.settings import Settings


@dataclass(frozen=True)
class Differences:
    """Between a fused step's results and autograd's: relative, of norms."""

    losses: list[float]
    posterior: float
    gradients: dict[str, float]
    weights: float
    """After this step and two more of the optimisers, beside PyTorch's own Adam, and SOAP for the matrices if
    it is asked for, with the same gradients."""


def state_of(settings: Settings, device: torch.device) -> TrainingState:
    """A state as on a GPU, with biases that are not zero."""
    state = new_state(settings, device)
    state.optimizer.learning_rate = torch.tensor(settings.learning_rate, device=device)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in state.model.named_parameters():
        if name.endswith("bias"):
            parameter.data.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return state


def differences(
    likelihood: str, optimizer: str, count: int, beta: float, latent_dim: int, device: torch.device
) -> Differences:
    """Of the step of a mini-batch of so many random images."""
    settings = Settings(likelihood=likelihood, optimizer=optimizer, beta=beta, latent_dim=latent_dim)
    state = state_of(settings, device)
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (count + 3, 28, 28), dtype=torch.uint8, generator=generator)
    indices = torch.randperm(len(images), generator=generator)[:count]
    eps = torch.randn(count, latent_dim, generator=generator)

    plain = VAE(latent_dim).double()
    plain.load_state_dict({name: value.cpu().double() for name, value in state.model.state_dict().items()})
    others = [torch.nn.Parameter(parameter.detach().clone()) for parameter in state.model.parameters()]
    matrices = [parameter for parameter in others if optimizer == "soap" and parameter.dim() > 1]
    rest = [parameter for parameter in others if not (optimizer == "soap" and parameter.dim() > 1)]
    adam = torch.optim.Adam(rest, lr=settings.learning_rate)
    soap = Soap(matrices, settings.learning_rate) if matrices else None
    batch = as_batch(images[indices]).double()
    mean, log_variance = plain.encode(batch)
    reconstruction = plain.decode(reparameterize(mean, log_variance, eps.double()))
    expected = elbo_loss(reconstruction, batch, mean, log_variance, beta, likelihood)
    expected.total.backward()

    step = FusedStep(state, settings, images.to(device))
    gradients = {name: value.grad for name, value in state.model.named_parameters() if value.grad is not None}
    loss = step(indices.to(device), eps.to(device))
    exact = {name: value.grad for name, value in plain.named_parameters()}
    off_by = {name: off(gradients[name], value) for name, value in exact.items() if value is not None}
    for number in range(3):
        if number:  # the optimiser alone, with other gradients
            for gradient in gradients.values():
                gradient.copy_(torch.randn(gradient.shape, generator=generator))
            step._update()
        for other, gradient in zip(others, gradients.values(), strict=True):
            other.grad = gradient.clone()
        adam.step()
        if soap is not None and state.soap is not None:
            soap.step()
            soap.turn()
            state.soap.turn()
    weights = [
        torch.cat([value.detach().flatten() for value in side]) for side in (state.model.parameters(), others)
    ]
    return Differences(
        losses=[off(ours, theirs) for ours, theirs in zip(loss[:3], expected, strict=True)],
        posterior=off(torch.cat([loss.mean, loss.log_variance]), torch.cat([mean, log_variance])),
        gradients=off_by,
        weights=off(*weights),
    )


def off(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """How far one is from the other, as a share of the other."""
    ours, theirs = ours.detach().cpu().double(), theirs.detach().cpu().double()
    return float((ours - theirs).norm() / theirs.norm())


def loss_with_nan(likelihood: str, device: torch.device) -> float:
    """The loss of a step with one weight that is not a number, behind which there are only ReLUs."""
    settings = Settings(likelihood=likelihood)
    state = state_of(settings, device)
    state.model.encoder[2].weight.data[0, 0, 0, 0] = torch.nan
    images = torch.full((1, 28, 28), 128, dtype=torch.uint8, device=device)
    step = FusedStep(state, settings, images)
    return float(
        step(torch.zeros(1, dtype=torch.int64, device=device), torch.zeros(1, 16, device=device)).total
    )


if __name__ == "__main__":
    # Where each program of a kernel is run by Python, few of them must do. Shares do not come out even.
    fused_step.SHARES = fused_step.PIXEL_SHARES = 3
    fused_step.ADDED_COLUMNS, fused_step.UPDATED = 8192, 1 << 16
    cpu = torch.device("cpu")
    found = [asdict(differences(*case, cpu)) for case in json.loads(sys.argv[1])]
    print(json.dumps({"differences": found, "loss_with_nan": loss_with_nan("gaussian", cpu)}))
