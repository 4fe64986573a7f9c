"""Sees from a training's losses when it goes wrong, and says why and what to change."""

from __future__ import annotations

from collections import deque

COLLAPSED_NATS = 0.5
"""A KL term below this carries less than one bit: every image decodes to nearly the same picture."""
PATIENCE_ITERATIONS = 300
"""The reference recipe's KL dips to 0.9 nats at iteration 60 and has recovered by 150; judged after that."""
WINDOW = 20
RISING_FACTOR = 1.5

COLLAPSE = (
    "The KL term is nearly zero: the posterior is collapsing, the latents carry nothing and every "
    "image decodes to the same blur. Lower beta (1 is the ELBO), or the learning rate if it was raised."
)
DIVERGENCE = (
    "The loss is rising well above where it has been: the training diverges. Lower the learning rate; "
    "0.001 is the reference, 0.004 works with the one-cycle schedule."
)

NOTHING_LEARNED = (
    "It has learned next to nothing yet: always showing the mean image would do no worse. Train it for more "
    "epochs or on more images; where that does not help, look at the learning rate."
)


def advice_at_end(error: float, mean_image: float, kl: float, beta: float) -> str | None:
    """What a training that has ended well still lacks, None if nothing.

    Args:
        error: per pixel, of the test images from sampled latents.
        mean_image: the same of the training images' mean.
        kl: of the test images, nats.
        beta: the weight that it was given. At 1 a training has no latents at first either; above, less
            weight is the first thing to try.
    """
    if kl < COLLAPSED_NATS and beta > 1:
        return COLLAPSE
    return NOTHING_LEARNED if error >= mean_image else None


class Adviser:
    """Follows one training, report by report."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._lowest = float("inf")

    def advice(self, iteration: int, total: float, kl: float) -> str | None:
        """What is going wrong at this report, None if nothing is.

        Args:
            iteration: counted from the training's beginning.
            total, kl: nats per image.
        """
        self._recent.append(total)
        if len(self._recent) == WINDOW:
            average = sum(self._recent) / WINDOW
            self._lowest = min(self._lowest, average)
            # A calibrated loss may be negative: "above" is measured in its distance from the lowest.
            if average - self._lowest > max((RISING_FACTOR - 1) * abs(self._lowest), 5.0):
                return DIVERGENCE
        if iteration >= PATIENCE_ITERATIONS and kl < COLLAPSED_NATS:
            return COLLAPSE
        return None
