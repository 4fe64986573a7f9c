"""The training process of the app: gets ready, waits for one job on standard input, performs it.

It answers with one line, see `answers`. After that it writes nothing: the run folder tells the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import suppress

NICENESS = 10


def main() -> int:
    """Performs one job; ends quietly if standard input closes without one."""
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir")
    options = parser.parse_args()

    from vae_core.data import load_dataset, without_folder
    from vae_core.errors import DataError, VAEStudioError
    from vae_core.jobs.answers import STARTED, refusal
    from vae_core.jobs.job import Job
    from vae_core.jobs.recording import perform

    dataset = None
    with suppress(VAEStudioError):  # it may be mended until there is a job, and is said then
        dataset = load_dataset(options.data_dir)
    if hasattr(os, "nice"):  # not on Windows
        with suppress(OSError):  # the app, and whoever drags its sliders, comes first
            os.nice(NICENESS)
    line = sys.stdin.readline()
    if not line:
        return 0
    started = False
    try:
        if dataset is None or not dataset.is_current:
            dataset = load_dataset(options.data_dir)
        for _ in perform(Job(**json.loads(line)), dataset):
            if not started:
                _say(STARTED)
                started = True
        if not started:  # its last epoch was done, only not recorded as such
            _say(STARTED)
    except VAEStudioError as error:
        if not started:
            if isinstance(error, DataError):  # which a visitor of the app reads
                error = DataError(without_folder(str(error), options.data_dir))
            _say(refusal(error))
        return 1
    return 0


def _say(answer: str) -> None:
    """The one answer to the app; it may be gone, and later output must not end the training."""
    with suppress(OSError):
        print(answer, flush=True)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, sys.stdout.fileno())
    os.dup2(silence, sys.stderr.fileno())


if __name__ == "__main__":
    sys.exit(main())
