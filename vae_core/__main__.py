"""The command line: `python -m vae_core COMMAND`, also installed as `vae-studio`.

As thin as the app: each command reads options, calls one function of the package and shows what came of it.
Slow imports wait until the command that needs them.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from vae_core.cli.app import serve
from vae_core.cli.benchmark import benchmark
from vae_core.cli.data import data
from vae_core.cli.evaluate import evaluate
from vae_core.cli.export import export
from vae_core.cli.generate import generate
from vae_core.cli.parity import parity
from vae_core.cli.password import password
from vae_core.cli.reconstruct import reconstruct
from vae_core.cli.runs import runs
from vae_core.cli.train import train
from vae_core.errors import SettingsError, SlowerWarning, VAEStudioError, reason_of
from vae_core.version import __version__

FAILED, WRONG_USAGE, ENDED_FROM_OUTSIDE = 1, 2, 130

app = typer.Typer(
    help="VAE Studio on the command line: train, evaluate and use variational autoencoders.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", is_eager=True)
    ] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


app.command(
    "app",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(serve)
for command in (
    data, train, evaluate, generate, reconstruct, export, runs, password, benchmark, parity,
):  # fmt: skip
    app.command()(command)


def main() -> None:
    """Runs the command line; every mistake ends as one line on standard error and an exit code."""
    if not sys.warnoptions:  # a library's warnings are not that line; python -W shows them
        warnings.simplefilter("ignore")
        warnings.simplefilter("default", SlowerWarning)
        warnings.showwarning = _note
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not where it was closed before Python began
            stream.reconfigure(errors="backslashreplace")  # a file's name need not be text
    try:
        try:
            app()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # what nobody reads is noticed here, not after the last line of Python
    except SettingsError as error:
        _complain(error)
        sys.exit(WRONG_USAGE)
    except VAEStudioError as error:
        _complain(f"{error} ({error.where})" if error.where else error)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(ENDED_FROM_OUTSIDE)
    except BrokenPipeError:
        _end_unread()
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # which typer itself ends with 1
            _end_unread()
        raise
    except OSError as error:
        _complain(f"{error.filename or 'file'}: {reason_of(error)}")
        sys.exit(FAILED)


def _note(message: Warning | str, *_: object) -> None:
    """In the place of `warnings.showwarning`: without a line of code, which says nothing to a user."""
    print(f"note: {' '.join(str(message).split())}", file=sys.stderr)


def _end_unread() -> NoReturn:
    """Nobody reads the output: Python, which tries again as it ends, finds a place for it."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(ENDED_FROM_OUTSIDE)


def _complain(problem: object) -> None:
    line = " ".join(str(problem).split())
    print(f"error: {line}", file=sys.stderr)


if __name__ == "__main__":
    main()
