"""What the images of a data set are called, one by one and class by class, so that no shoe is called a digit.

The words are found by the data set's name, as `ImageSet.name` and `Evaluation.name` hold it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class ClassWords:
    """The words of one data set.

    Attributes:
        noun, plural: what one image, or more of them, shows.
        names: of the classes, by their number; a class beyond them is called by its number.
    """

    noun: str
    plural: str
    names: tuple[str, ...] = ()

    @property
    def one(self) -> str:
        """The noun with its article."""
        return _with_article(self.noun)

    @property
    def are_centred(self) -> bool:
        """Whether the images are as MNIST's, fitted into 20x20 and centred by mass: then a picture is too,
        before a model of theirs reads it. Those of other sets fill their picture."""
        return self.noun == DIGITS.noun

    def called(self, label: int) -> str:
        """What one image of a class is called: a 7, an Ankle boot, or class 7 where it has no name."""
        is_named = label < len(self.names) or self == DIGITS
        return _with_article(self.name(label)) if is_named else f"class {label}"

    def name(self, label: int) -> str:
        """What a class is called."""
        return self.names[label] if label < len(self.names) else str(label)


def _with_article(word: str) -> str:
    """As it is spoken: an eight, an eleven, an eighteen."""
    is_open = word[0].lower() in "aeiou8" or word in ("11", "18")
    return f"{'an' if is_open else 'a'} {word}"


DIGITS = ClassWords("digit", "digits")
IMAGES = ClassWords("image", "images")
"""For a set of which nothing is known."""
FASHION = ClassWords(
    "item",
    "items",
    (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
        "Ankle boot",
    ),
)  # fmt: skip
KUZUSHIJI = ClassWords(
    "character", "characters", ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
)

BY_WORD = (
    (r"fashion", FASHION),
    (r"kmnist|kuzushiji", KUZUSHIJI),
    (r"letters|balanced|byclass|bymerge", IMAGES),  # EMNIST's other sets
    (r"mnist|digits", DIGITS),
)
"""The first of these that is in a set's name decides."""


def class_words(name: str) -> ClassWords:
    """The words for a data set of this name.

    Args:
        name: as in `ImageSet.name`. Of a set that is named by its folder only the folder's name counts.
    """
    folder = re.search("“(.*)”", name)
    said = (folder[1] if folder else name).lower()
    return next((words for pattern, words in BY_WORD if re.search(pattern, said)), IMAGES)
