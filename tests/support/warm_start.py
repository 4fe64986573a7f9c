"""Python programs in processes of their own that need not import PyTorch and Gradio: each begins as a copy
of a process that has, which saves some seconds of every start."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

IMPORTED = ["torch", "plotly.graph_objects", "gradio"]

_NURSERY = multiprocessing.get_context("forkserver")
_NURSERY.set_forkserver_preload(IMPORTED)


class WarmProcess:
    """`python PROGRAM OPTIONS` with its output in a file, and the methods of subprocess.Popen that tests use.

    It ends without Python's own tidying up: a test of how a program ends starts it in the ordinary way.

    Args:
        program: a file, or the name of a module to run as `python -m` does.
        environment: all of it, but for what PyTorch reads as it is imported.
        log: the file for standard output and standard error.
    """

    def __init__(
        self, program: Path | str, options: list[str], environment: dict[str, str], log: Path
    ) -> None:
        self._process = _NURSERY.Process(
            target=_run, args=(program, options, environment, str(log)), daemon=True
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("a warm process", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(program: Path | str, options: list[str], environment: dict[str, str], log: str) -> None:
    """In the new process: makes it what Python would be with these, and runs the program."""
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(written, 1)
    os.dup2(written, 2)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # it was known before the environment was
    sys.argv = [str(program), *options]
    path = environment.get("PYTHONPATH", "").split(os.pathsep)
    try:
        if isinstance(program, Path):
            sys.path[0:0] = [str(program.parent), *filter(None, path)]
            runpy.run_path(str(program), run_name="__main__")
        else:
            sys.path[0:0] = [os.getcwd(), *filter(None, path)]
            runpy.run_module(program, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # a copy ends without them
