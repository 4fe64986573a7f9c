"""`app`: starts the browser app."""

from __future__ import annotations

import typer


def serve(context: typer.Context) -> None:
    """Start the app, as python app.py does; its options: vae-studio app --help."""
    from vae_core.ui.server import main as serve_app

    raise typer.Exit(serve_app(context.args, program="vae-studio app"))
