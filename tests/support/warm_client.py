"""Stands for a program that `warm_start` runs: hands over all it was started with, passes signals on,
and ends as the program does. It imports little, as its start is what is saved."""

import contextlib
import json
import os
import signal
import socket
import struct
import sys

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(address: str, arguments: list[str]) -> int:
    """Returns the exit code, negative for a signal."""
    call = {"arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}
    words = json.dumps(call).encode()
    with socket.socket(socket.AF_UNIX) as nursery:
        nursery.connect(address)
        socket.send_fds(nursery, [struct.pack("I", len(words))], [0, 1, 2])
        nursery.sendall(words)

        def pass_on(number: int, _: object) -> None:
            with contextlib.suppress(OSError):  # it has just ended
                nursery.send(bytes([number]))

        for number in PASSED_ON:
            signal.signal(number, pass_on)
        os.closerange(0, 3)  # who reads from the program learns from its end, not from this one's
        (ended,) = struct.unpack("i", nursery.recv(4))
        for number in PASSED_ON:
            signal.signal(number, signal.SIG_IGN)  # it has ended: how, is not to be changed any more
    return ended


if __name__ == "__main__":
    ended = main(sys.argv[1], sys.argv[2:])
    if ended < 0:
        if -ended in PASSED_ON:
            signal.signal(-ended, signal.SIG_DFL)
        os.kill(os.getpid(), -ended)
    os._exit(ended)  # Python's own end would let signals through
