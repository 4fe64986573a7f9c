"""Folders and files that last no longer than the process that made them, even if it was killed.

A scratch folder holds a lock, which the system releases when its process ends in whatever way; whoever comes
next sweeps away those whose lock nobody holds.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = ".lock"
"""No run has such a name: one is unpacked beside it."""
TEMPORARY = re.compile(r"\..+\.[0-9]+\.tmp")
IS_WINDOWS = os.name == "nt"
REPLACE_TRIES = 50
REPLACE_SECONDS = 0.02


def temporary_name(path: Path) -> Path:
    """Beside the file, for this process alone: where its content is written before it is renamed."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def write_whole(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Under a temporary name, then renamed: a reader sees the old file or the new one, whole.

    Args:
        mode: who may read and write it, as far as the process's umask lets them.
    """
    write_together({path: content}, mode)


def write_together(contents: dict[Path, bytes], mode: int = 0o666) -> None:
    """As `write_whole`, of files that belong together: without space for one, all stay as they were.

    Only a process that is killed between the two renames leaves one new and one old.
    """
    try:
        for path, content in contents.items():
            temporary = temporary_name(path)
            temporary.unlink(missing_ok=True)  # another mode's
            with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path in contents:
            _replace(temporary_name(path), path)
    except BaseException:
        for path in contents:
            with suppress(OSError):
                temporary_name(path).unlink(missing_ok=True)
        raise


def _replace(temporary: Path, path: Path) -> None:
    """Renames; Windows does not where someone is just reading the old file, which takes milliseconds."""
    for _ in range(REPLACE_TRIES - 1):
        try:
            temporary.replace(path)
            return
        except PermissionError:
            if not IS_WINDOWS:
                raise
            time.sleep(REPLACE_SECONDS)
    temporary.replace(path)


def remove_temporary_files(folder: Path) -> None:
    """Deletes the files of a folder that were never renamed; only for whoever alone writes there."""
    with suppress(OSError):
        for path in folder.iterdir():
            if TEMPORARY.fullmatch(path.name):
                path.unlink(missing_ok=True)


@contextmanager
def scratch_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder that ends with the block, or with the next `sweep` if this process is killed in it."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        with FileLock(folder / LOCK):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path, prefix: str) -> None:
    """Deletes the scratch folders of processes that are no more; of another user's it can delete nothing."""
    for lock in parent.glob(f"{prefix}*/{LOCK}"):
        try:
            if lock.is_symlink() or lock.parent.is_symlink() or not _is_ours(lock):
                continue
            with FileLock(lock, timeout=0):
                shutil.rmtree(lock.parent, ignore_errors=True)
        except (OSError, Timeout):
            continue


def _is_ours(path: Path) -> bool:
    return not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()
