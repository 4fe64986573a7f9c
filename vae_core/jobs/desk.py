"""Starts and stops training processes for the app.

A process belongs to nobody: it outlives the app and the browser that started it, and is watched through
its run folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

from vae_core.errors import BusyError, ReadOnlyError
from vae_core.jobs import answers
from vae_core.jobs.job import Job, prepare, prepare_resume
from vae_core.run_folder import Run
from vae_core.run_record import RunInfo
from vae_core.runs import run_named, running_runs
from vae_core.settings import Settings

_APART: dict[str, Any] = {"start_new_session": True}
"""So that Ctrl-C, and the end of the terminal, are the app's alone."""
if sys.platform == "win32":
    _APART = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}


class TrainingDesk:
    """Starts and stops trainings for an app, one at a time, and keeps one process warm.

    Importing torch and reading the data takes seconds; a warm process has done both and waits for a
    job on its standard input. It ends by itself when the app does, unless a job has come.

    Args:
        runs_dir: where the runs are.
        data_dir: of the data set, see `load_dataset`.
        read_only: it starts and stops nothing: whoever asks is told so (`ReadOnlyError`).
        device: where to train what is for "auto"; another than "auto" also what is resumed.
    """

    def __init__(
        self, runs_dir: Path, data_dir: str | None = None, read_only: bool = False, device: str = "auto"
    ) -> None:
        self.device = device
        self.runs_dir = runs_dir
        self.data_dir = data_dir
        self.read_only = read_only
        self._lock = threading.Lock()
        self._warm: subprocess.Popen[str] | None = None
        self._last: subprocess.Popen[str] | None = None

    def running(self, name: str = "") -> RunInfo | None:
        """The run that is being trained now, by whomever, or None; with a name only that of this name."""
        running = running_runs(self.runs_dir)
        return next((info for info in running if name in ("", info.name)), None)

    def trains(self, info: RunInfo) -> bool:
        """Whether this run is being trained now, and is not to stop."""
        running = self.running()
        return running is not None and running.folder == info.folder and not Run(info.folder).stop_requested()

    def start(self, settings: Settings, name: str | None = None) -> str:
        """Starts a new run; returns its name once its folder is there.

        Raises:
            BusyError: another training is running, here or on this machine.
            TrainingError: the process ended before it began.
            RunError: the name cannot be used.
            SettingsError, DataError: as the process says that is to train.
        """
        return self._launch(lambda: prepare(self._here(settings), self.runs_dir, name, self.data_dir))

    def resume(self, name: str, epochs: int | None = None) -> str:
        """Goes on with the run of this name; returns it. Raises as `start` and `prepare_resume` do."""
        device = None if self.device == "auto" else self.device
        return self._launch(
            lambda: prepare_resume(
                run_named(name, self.runs_dir).folder, self.runs_dir, epochs, self.data_dir, device=device
            )
        )

    def _here(self, settings: Settings) -> Settings:
        """On the app's own device, where the settings leave it open."""
        return replace(settings, device=self.device) if settings.device == "auto" else settings

    def stop(self, name: str = "") -> str | None:
        """Asks a training to stop: of the run of this name, or without one whichever runs or just starts.

        Returns:
            its name; None if it is not being trained, or without a name none is.
        """
        if self.read_only:
            raise ReadOnlyError("stopped")
        info = self.running(name)
        if info is None and not name:
            with self._lock:  # held while a training starts
                info = self.running()
        if info is not None:
            Run(info.folder).request_stop()
            return info.name
        return None

    def warm_up(self) -> None:
        """Makes sure that a process gets ready for the next job; asks for none while one starts."""
        if self.read_only or not self._lock.acquire(blocking=False):
            return
        try:
            if self._warm is None or self._warm.poll() is not None:
                self._warm = self._spawn()
        finally:
            self._lock.release()

    def _spawn(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", "vae_core.jobs.worker"]  # not from the folder one stands in
        if self.data_dir is not None:
            command += ["--data-dir", self.data_dir]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(_import_path())}
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env=environment,
            **_APART,
        )

    def _launch(self, make_job: Callable[[], Job]) -> str:
        if self.read_only:
            raise ReadOnlyError("trained")
        with self._lock:
            if (info := self.running()) is not None:
                if Run(info.folder).stop_requested():
                    raise BusyError(f"run {info.name} is still stopping; try again when it has stopped")
                raise BusyError(
                    f"run {info.name} is being trained now; watch it, or stop it before you start another"
                )
            job = make_job()
            warm, self._warm = self._warm, None
            answer = None
            if warm is not None and warm.poll() is None:
                answer = self._hand_over(job, warm)
            if answer is None:  # there was none, or it has ended while it waited: killed, or out of memory
                answer = self._hand_over(job, self._spawn())
            answers.check(answer or "")
            return job.name

    def _hand_over(self, job: Job, process: subprocess.Popen[str]) -> str | None:
        """What a process says first of its job; None if it takes none."""
        self._last = process  # a handle that is dropped while its process runs makes Python complain
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(asdict(job)) + "\n")
            process.stdin.close()
        except OSError:
            return None
        return _first_answer(process.stdout)


def _first_answer(output: IO[str]) -> str:
    """What the worker answers; other output is passed by. If it ends without an answer, its last line."""
    line = ""
    for line in output:
        if line.startswith(answers.MARK):
            return line
    return line.strip()


def _import_path() -> list[str]:
    """Where the worker finds this very package, and what was on the path before."""
    package_parent = str(Path(__file__).parents[2])
    before = os.environ.get("PYTHONPATH")
    return [package_parent, *([before] if before else [])]
