"""A folder of the app's own for what Gradio keeps for a while: uploads, and pictures that were answered.

Gradio's default is shared by all its apps on the machine and outlives them; this one ends with the app, and
those of apps that were killed are swept away by the next one.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "vae-studio-"
LOCK = "lock"
VARIABLE = "GRADIO_TEMP_DIR"


@contextmanager
def temporary_folder() -> Iterator[None]:
    """While active, Gradio's temporary folder; to be entered before Gradio is imported."""
    if os.environ.get(VARIABLE):
        yield
        return
    _sweep(Path(tempfile.gettempdir()))
    folder = tempfile.mkdtemp(prefix=PREFIX)
    with FileLock(Path(folder) / LOCK):
        os.environ[VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[VARIABLE]
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Deletes the folders of apps that are no more; of another user's it can delete nothing."""
    for lock in parent.glob(f"{PREFIX}*/{LOCK}"):
        try:
            if lock.is_symlink() or lock.parent.is_symlink() or not _is_ours(lock):
                continue
            with FileLock(lock, timeout=0):
                shutil.rmtree(lock.parent, ignore_errors=True)
        except (OSError, Timeout):
            continue


def _is_ours(path: Path) -> bool:
    return not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()
