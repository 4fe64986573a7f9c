"""A Python that need not import PyTorch and Gradio: its programs begin as copies of a process that has them.

That saves some seconds of every start. Run as a program, this is that process: see `warm_python`.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

IMPORTED = ["torch", "torch._dynamo", "plotly.graph_objects", "gradio"]  # dynamo: for several processes
ENDED = struct.Struct("i")
"""How a program ended, as `subprocess.Popen.returncode` tells it."""


@functools.cache
def warm_python() -> str:
    """The path of a program to start in the place of `sys.executable`, with the same arguments, environment,
    streams and signals.

    What is killed by SIGKILL ends a moment later than the process that was started. What PyTorch and Gradio
    read of the environment as they are imported stays as it is here. Where there is no fork, it is
    `sys.executable` itself.
    """
    if not hasattr(os, "fork"):
        return sys.executable
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    python, address = folder / "python", folder / "socket"
    client = Path(__file__).with_name("warm_client.py")
    command = shlex.join([sys.executable, "-IS", str(client), str(address)])
    python.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    python.chmod(0o755)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(address))
    listener.listen()
    nursery = subprocess.Popen(
        [sys.executable, __file__, str(listener.fileno()), str(python)],
        stdin=subprocess.PIPE,
        pass_fds=[listener.fileno()],
        start_new_session=True,  # a Ctrl-C at the tests' terminal is passed on by those that it reaches
    )
    listener.close()
    atexit.register(shutil.rmtree, folder)
    atexit.register(nursery.communicate)  # its standard input closes, and it ends
    return str(python)


def serve(listener: socket.socket) -> list[str] | None:
    """Returns in each process that is to become a program, with its arguments; at last with None, once
    whoever started this is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            return None
        caller, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return _start(caller)
        caller.close()


def _start(caller: socket.socket) -> list[str]:
    """Makes the caller's program of a copy of this process, and of itself its keeper, who passes on what
    signals it gets and tells the caller how it ended."""
    head, streams, _, _ = socket.recv_fds(caller, 4, 3)
    length = struct.unpack("I", head)[0] if head else 1
    sent = b""
    while len(sent) < length:  # and no byte more: what follows are signals
        piece = caller.recv(length - len(sent))
        if not piece:  # the caller has ended before it had said all
            os._exit(1)
        sent += piece
    call = json.loads(sent)
    is_over, ends = os.pipe()
    program = os.fork()
    if program == 0:
        caller.close()
        os.close(is_over)  # the other end stays, for as long as the program does
        _become(call, streams)
        return call["arguments"]
    for file in [*streams, ends]:
        os.close(file)
    while is_over not in (ready := select.select([caller, is_over], [], [])[0]):
        assert caller in ready
        number = caller.recv(1)
        os.kill(program, number[0] if number else signal.SIGKILL)
        if not number:
            break
    ended = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
    with contextlib.suppress(OSError):
        caller.sendall(ENDED.pack(ended))
    os._exit(0)


def _become(call: dict, streams: list[int]) -> None:
    os.setsid()
    os.chdir(call["folder"])
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # The old ones know what kind of file theirs was.
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(call["environment"])
    tempfile.tempdir = None  # it was known before the environment was


def run(arguments: list[str]) -> int:
    """Does what `python ARGUMENTS` does. They are -u or -P, then -m MODULE, -c CODE or a file, and the rest.

    Returns the exit code. The interpreter is to end without its own tidying up, which takes a second.
    """
    try:
        _run(arguments)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except Exception:
        sys.excepthook(*sys.exc_info())
        return 1
    finally:
        threading._shutdown()  # waits for the threads
        atexit._run_exitfuncs()
        sys.stdout.flush()
    return 0


def _run(arguments: list[str]) -> None:
    path = [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    arguments = list(arguments)
    options = set()
    while arguments[0] in ("-u", "-P"):
        options.add(arguments.pop(0))
    is_safe = "-P" in options
    sys.stdout.reconfigure(write_through="-u" in options)  # type: ignore[union-attr]
    kind, *rest = arguments
    if kind == "-m":
        sys.argv = rest
        sys.path[0:1] = path if is_safe else [os.getcwd(), *path]
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = ["-c", *rest[1:]]
        sys.path[0:1] = ["", *path]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = [kind, *rest]
        sys.path[0:1] = [str(Path(kind).resolve().parent), *path]
        runpy.run_path(kind, run_name="__main__")


if __name__ == "__main__":
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # what all have in common is not looked through, and so copied, by each
    inherited, sys.executable = int(sys.argv[1]), sys.argv[2]
    called = serve(socket.socket(fileno=inherited))
    os._exit(0 if called is None else run(called))
