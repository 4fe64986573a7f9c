"""Starts VAE Studio's server: `python app.py`, then open the address it prints."""

from __future__ import annotations

import sys
from pathlib import Path

from vae_core.ui.server import main

if __name__ == "__main__":
    sys.exit(main(runs_dir=Path(__file__).resolve().parent / "checkpoints"))
