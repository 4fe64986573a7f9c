"""What the commands print and write, and how they get the images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from vae_core.errors import SettingsError

if TYPE_CHECKING:
    from vae_core.data import Dataset

LINE_OF_A_FILE = 1000
"""Characters: in a file, which is searched rather than looked at, no line is broken."""

out = Console(highlight=False, width=None if sys.stdout and sys.stdout.isatty() else LINE_OF_A_FILE)
err = Console(stderr=True, highlight=False)


def load(data_dir: str | None, quiet: bool = False) -> Dataset:
    """The data set; says so on standard error if it is only the sample.

    Raises:
        DataError: as `load_dataset`.
    """
    from vae_core.data import HOW_TO_GET_ALL, load_dataset

    dataset = load_dataset(data_dir)
    if dataset.train.is_sample and not quiet:
        print(f"Using {dataset.train.source}. {HOW_TO_GET_ALL}", file=sys.stderr)
    return dataset


def say_to_log(text: str) -> None:
    """Says on standard error what a progress bar says on a terminal."""
    if not err.is_terminal:
        err.print(text)


def check_png(path: Path) -> None:
    """Raises SettingsError unless a picture can be written under this name, in a folder that is there."""
    if path.suffix.lower() != ".png":
        raise SettingsError("out", f"--out: expected a file name that ends in .png, not {path.name!r}")
    check_folder(path)


def check_folder(path: Path) -> None:
    """Raises SettingsError where a file is to be written into a folder that is not there."""
    if not path.parent.is_dir():
        raise SettingsError("out", f"--out: there is no folder {path.parent}")
