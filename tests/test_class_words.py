from __future__ import annotations

import pytest

from vae_core.class_words import class_words


@pytest.mark.parametrize(
    ("name", "noun", "third"),
    [
        ("MNIST", "digit", "3"),
        ("MNIST sample", "digit", "3"),
        ("Fashion-MNIST", "item", "Dress"),
        ("KMNIST", "character", "tsu"),
        ("28x28 IDX set “fashion” (not the original MNIST)", "item", "Dress"),
        ("28x28 IDX set “emnist-digits” (not the original MNIST)", "digit", "3"),
        ("28x28 IDX set “EMNIST-letters” (not the original MNIST)", "image", "3"),
        ("28x28 IDX set “shoes” (not the original MNIST)", "image", "3"),
        ("", "image", "3"),
    ],
)
def test_nothing_is_called_a_digit_that_is_none(name: str, noun: str, third: str) -> None:
    words = class_words(name)
    assert (words.noun, words.name(3)) == (noun, third)


@pytest.mark.parametrize(
    ("name", "label", "called"),
    [
        ("MNIST", 7, "a 7"),
        ("MNIST", 8, "an 8"),
        ("MNIST", 11, "an 11"),
        ("MNIST", 18, "an 18"),
        ("MNIST", 12, "a 12"),
        ("Fashion-MNIST", 7, "a Sneaker"),
        ("Fashion-MNIST", 9, "an Ankle boot"),
        ("Fashion-MNIST", 10, "class 10"),
        ("28x28 IDX set “shoes” (not the original MNIST)", 3, "class 3"),
    ],
)
def test_an_image_of_a_class_has_its_article(name: str, label: int, called: str) -> None:
    assert class_words(name).called(label) == called


def test_one_image_has_its_article() -> None:
    assert [class_words(name).one for name in ("MNIST", "KMNIST", "Fashion-MNIST")] == [
        "a digit", "a character", "an item",
    ]  # fmt: skip


def test_a_class_beyond_the_names_is_called_by_its_number() -> None:
    assert class_words("KMNIST").name(10) == "10"
