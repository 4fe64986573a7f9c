"""`password`: who may log in to the app."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def password(
    file: Annotated[Path, typer.Argument(help="The auth file; made if it is not there.")],
    name: Annotated[str, typer.Argument(help="The user to add, or to give another password.")],
) -> None:
    """Add a user to a file for `app.py --auth-file`. Asks for the password, or reads it from a pipe."""
    from vae_core.errors import PasswordError
    from vae_core.passwords import LEAST_CHARACTERS, check_length, set_password

    if sys.stdin.isatty():
        secret = typer.prompt(f"Password ({LEAST_CHARACTERS} characters or more)", hide_input=True)
        check_length(secret)  # before it is typed once more
        if typer.prompt("The same again", hide_input=True) != secret:
            raise PasswordError("the two passwords differ; nothing was changed")
    else:
        secret = sys.stdin.readline().rstrip("\r\n")
    is_new = set_password(file, name, secret)
    print(f"{name} {'was added to' if is_new else 'has another password in'} {file}")
