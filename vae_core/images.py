"""The form of an image, of which everything here is made, and which images those of a set are."""

from __future__ import annotations

from dataclasses import dataclass

IMAGE_SIZE = 28
"""Height and width, in pixels."""
PIXELS = IMAGE_SIZE * IMAGE_SIZE


@dataclass(frozen=True)
class Identity:
    """Which images a model was trained or tested on.

    Attributes:
        name: of their set, as `ImageSet.name`.
        count: how many there are.
        digest: of pixels and labels, as `ImageSet.digest`; "" in records of versions that kept none.
    """

    name: str
    count: int
    digest: str = ""

    def is_same_as(self, other: Identity) -> bool:
        """By the digests, wherever the images lie and whatever their set is called; by name and number where
        one of the two has none."""
        if self.digest and other.digest:
            return self.digest == other.digest
        return (self.name, self.count) == (other.name, other.count)

    def __str__(self) -> str:
        return f"{self.name}, {self.count} images"

    def beside(self, other: Identity) -> str:
        """In words that tell it from the other, which it is not."""
        return f"{self}, which are others" if str(self) == str(other) else str(self)
