from __future__ import annotations

import numpy as np

from vae_core.class_words import class_words
from vae_core.ui.figures import Overlay, error_histogram

ERRORS = np.array([0.0, 0.01, 0.01, 0.02, 1.0])
LABELS = np.array([0, 0, 1, 1, 1], np.uint8)
WORDS = class_words("MNIST")


def test_on_a_log_scale_no_line_has_a_zero() -> None:
    overlay = Overlay("other", ERRORS[::2], is_same_set=True)
    figure = error_histogram(ERRORS, LABELS, WORDS, log=True, overlay=overlay)
    lines = [trace for trace in figure.data if "overlay" in (trace.meta or {}) or trace.customdata]
    assert len(lines) == 3  # two digits and the other model
    for line in lines:
        assert None in line.y
        assert 0 not in line.y
    plain = error_histogram(ERRORS, None, WORDS, overlay=overlay, name="first")
    assert plain.data[0].name == "first"
    assert 0 in next(trace for trace in plain.data if "overlay" in (trace.meta or {})).y


def test_among_the_digits_the_second_model_is_no_further_colour() -> None:
    overlay = Overlay("other", ERRORS, is_same_set=True)
    figures = [error_histogram(ERRORS, labels, WORDS, overlay=overlay) for labels in (None, LABELS)]
    whole, split = (
        next(trace.line for trace in figure.data if "overlay" in (trace.meta or {})) for figure in figures
    )
    assert whole.color == "var(--second)"
    assert (split.color, split.dash) == ("var(--body-text-color)", "dashdot")
