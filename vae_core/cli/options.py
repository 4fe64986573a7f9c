"""The options that several commands have."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from vae_core.settings import Settings, usual_in_words


def option_of(field_name: str, *short: str) -> Any:
    """A command-line option for a field of Settings, with the field's own sentence as its help."""
    field = next(field for field in dataclasses.fields(Settings) if field.name == field_name)
    choices = field.metadata.get("choices")
    about = field.metadata["about"] + (f" [{'|'.join(choices)}]" if choices else "")
    if usual := usual_in_words(field):
        about += f" {usual.capitalize()}."
    flag = "--" + field_name.replace("_", "-")
    reference = "all" if field.default is None else field.default
    return typer.Option(flag, *short, help=f"{escape(about)} Reference: {reference}.", show_default=False)


RunArgument = Annotated[str, typer.Argument(help="A run's name, or the path of its folder.", metavar="RUN")]
DataDir = Annotated[
    str | None, typer.Option(help="Folder with the four IDX files; else $MNIST_DIR, the cache, a download.")
]
RunsDir = Annotated[Path, typer.Option(help="Folder of the runs, read beside the shipped ones.")]
Device = Annotated[str, option_of("device")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
