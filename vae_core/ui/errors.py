"""Test errors: the histogram of the per-image error on the test set."""

from __future__ import annotations

from vae_core.ui.parts import part


def build() -> None:
    """Lays the tab out; static/errors.js draws what the run's evaluation says."""
    part("errors", elem_id="test-errors")
