"""A folder of the app's own for what Gradio keeps for a while: uploads, and pictures that were answered.

Gradio's default is shared by all its apps on the machine and outlives them; this one ends with the app, and
those of apps that were killed are swept away by the next one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vae_core.scratch import scratch_folder, sweep

PREFIX = "vae-studio-"
VARIABLE = "GRADIO_TEMP_DIR"


@contextmanager
def temporary_folder() -> Iterator[None]:
    """While active, Gradio's temporary folder; to be entered before Gradio is imported."""
    if os.environ.get(VARIABLE):
        yield
        return
    parent = Path(tempfile.gettempdir())
    sweep(parent, PREFIX)
    with scratch_folder(parent, PREFIX) as folder:
        os.environ[VARIABLE] = str(folder)
        try:
            yield
        finally:
            del os.environ[VARIABLE]
