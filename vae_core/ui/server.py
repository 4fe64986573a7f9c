"""The server's command line: `python app.py`, or `vae-studio app` where only the package is installed.

Gradio, which takes seconds, is imported once the options are known to be right.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

from vae_core.run_record import RUNS_DIR
from vae_core.version import __version__

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before gradio is imported

ROOT_PATH = re.compile(r"(/[\w.~-]+)+", re.ASCII)
EVERYWHERE = {
    "0.0.0.0": (socket.AF_INET, "127.0.0.1", "192.0.2.1"),
    "::": (socket.AF_INET6, "::1", "2001:db8::1"),
}
"""To listen on all addresses of one kind: which kind, the one of this machine for itself, and one that is far
away: for documentation (RFC 5737, RFC 3849), it belongs to nobody."""


def parse_options(
    arguments: list[str] | None = None, runs_dir: Path = RUNS_DIR, program: str | None = None
) -> argparse.Namespace:
    """The options of the command line; a wrong one ends the process with its usage and code 2."""
    parser = argparse.ArgumentParser(
        program, description="VAE Studio: a variational autoencoder in your browser."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on (default: %(default)s)")
    parser.add_argument(
        "--data-dir", help="folder with the four IDX files; else $MNIST_DIR, the cache, a download"
    )
    parser.add_argument(
        "--runs-dir", type=Path, default=runs_dir,
        help="where new runs go, read beside the shipped ones (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--device", default="auto", help="where to train: auto, cpu, cuda, cuda:N (default: auto)"
    )
    parser.add_argument(
        "--read-only", action="store_true",
        help="for looking only: nothing is trained, stopped, renamed, deleted or brought in",
    )  # fmt: skip
    parser.add_argument(
        "--auth-file", type=Path, metavar="FILE",
        help="let in only the users of this file, made by: python -m vae_core password FILE NAME",
    )  # fmt: skip
    parser.add_argument("--allow-embedding", action="store_true", help="let other sites frame the app")
    parser.add_argument(
        "--root-path", metavar="PATH", help="where a proxy serves the app, if not at a site's root: /vae"
    )
    parser.add_argument("--version", action="version", version=f"VAE Studio {__version__}")
    parser.add_argument("--lesson", help='what the page shows, as in its links: "tabs=explore,draw"')
    options = parser.parse_args(arguments)
    if not 1 <= options.port <= 65535:
        parser.error(f"argument --port: expected 1 to 65535, not {str(options.port)[:20]}")
    if not options.host:
        parser.error("argument --host: expected an address of this machine")
    if options.root_path is not None and not ROOT_PATH.fullmatch(options.root_path):
        parser.error("argument --root-path: expected a path such as /vae, without a slash at its end")
    return options


def main(arguments: list[str] | None = None, runs_dir: Path = RUNS_DIR, program: str | None = None) -> int:
    """Builds the app and serves it until it is interrupted.

    Args:
        arguments: the options; by default those of the process.
        runs_dir: where runs go unless an option says otherwise.
        program: what the usage calls the command; by default the process's own name.

    Returns:
        the exit code: 0 once the server has ended; 1, or 2 for a wrong lesson or device, with one line
        on standard error.
    """
    options = parse_options(arguments, runs_dir, program)
    if find_spec("gradio") is None:
        return _failed("the app's packages are not installed yet; do first, in its folder: pip install .")
    if problem := _port_problem(options.host, options.port):
        return _failed(problem)

    from vae_core.ui.temporary import temporary_folder

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # tidies up first
    with temporary_folder():
        return _serve(options)


def _serve(options: argparse.Namespace) -> int:
    from vae_core.errors import LessonError, SettingsError, VAEStudioError
    from vae_core.ui.gate.connections import serve
    from vae_core.ui.gate.guard import Access
    from vae_core.ui.page import build_app

    access = Access(options.host, options.read_only, options.auth_file, options.allow_embedding)
    try:
        app = build_app(
            options.runs_dir, options.data_dir, options.device, access, options.lesson, options.root_path
        )
    except VAEStudioError as error:
        return _failed(error, 2 if isinstance(error, LessonError | SettingsError) else 1)
    if access.warning:
        print(access.warning, file=sys.stderr, flush=True)
    found_at = places(options.host, options.port)
    print(f"VAE Studio is on {found_at} (Ctrl-C ends it; a training goes on)", flush=True)
    serve(app, options.host, options.port)
    return 0


def places(host: str, port: int) -> str:
    """Where a browser finds the app: one that listens everywhere, under the address that others know too."""
    if host not in EVERYWHERE:
        return f"http://{_address(host, port)}"
    family, itself, far_away = EVERYWHERE[host]
    here = f"http://{_address(itself, port)}"
    network = _address_towards(far_away, family)
    return here if network is None else f"{here}, for others on http://{_address(network, port)}"


def _address_towards(far_away: str, family: socket.AddressFamily) -> str | None:
    """This machine's address in the network that leads to others, or None."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as unsent:
            unsent.connect((far_away, 9))  # which sends nothing: it only finds the way
            return unsent.getsockname()[0]
    except OSError:
        return None


def _address(host: str, port: int) -> str:
    """As it stands in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _port_problem(host: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family):
            return None
    except (OSError, UnicodeError) as error:
        from vae_core.errors import reason_of

        reason = reason_of(error).partition(" (while")[0]
        return f"cannot listen on {_address(host[:100], port)} ({reason}); choose another --host or --port"


def _failed(problem: object, code: int = 1) -> int:
    print("error:", " ".join(str(problem).split()), file=sys.stderr)
    return code
