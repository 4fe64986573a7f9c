"""What the README says is so: every command in it is run, every figure of a shipped run is the run's own."""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.browser import REPOSITORY, App, free_port, wait_for_answer
from support.warm_start import warm_python
from vae_core.data import Dataset, read_idx_folder
from vae_core.quality import assessment
from vae_core.run_record import SHIPPED_RUNS
from vae_core.runs import find_run
from vae_core.settings import PRESETS
from vae_core.ui.lesson import PARTS, RESTRICTIONS, START, STEPS, TABS

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.split("  #")[0].strip()
    for kind, block in BLOCKS
    if kind == ""
    for line in block.splitlines()
    if line
]
PROGRAMS = [block for kind, block in BLOCKS if kind == "python"]
(OF_PICTURES,) = [program for program in PROGRAMS if "ubyte" in program]
PROGRAMS.remove(OF_PICTURES)
IN_ORDER = [command for command in COMMANDS if command.startswith(("python -m vae_core", "torchrun"))]
"""They build on each other: what one has trained, the next evaluates."""
ENVIRONMENT = "python3 -m venv .venv && . .venv/bin/activate"
SETTING_UP = re.compile(r"pip install (\.|'\.\[\w+\]'|\"\.\[\w+\]\")( && (python app\.py|pytest))?")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset) -> Path:
    """A folder in which a reader follows the README, with a picture of a digit."""
    folder = tmp_path_factory.mktemp("reader")
    seven = dataset.test.images[dataset.test.labels.tolist().index(7)]
    Image.fromarray(255 - np.array(seven)).save(folder / "digit.png")
    for split, label, index in (("train", 0, 1), ("train", 1, 2), ("train", 1, 3), ("test", 0, 4)):
        place = folder / "pictures" / split / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.array(dataset.test.images[index])).resize((56, 56)).save(place / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def environment(small_mnist: Path) -> dict[str, str]:
    return os.environ | {"MNIST_DIR": str(small_mnist), "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}


def run(command: list[str], workplace: Path, environment: dict[str, str], **more: object) -> str:
    result = subprocess.run(
        command, cwd=workplace, env=environment, capture_output=True, text=True, timeout=300, **more
    )  # type: ignore[call-overload]
    assert result.returncode == 0, f"{shlex.join(command)}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def test_every_command_is_of_a_kind_that_is_run_here() -> None:
    kinds = ("python -m vae_core ", "torchrun ", "python app.py", "pip install ", "curl ", ENVIRONMENT)
    assert [command for command in COMMANDS if not command.startswith(kinds)] == []
    assert len(IN_ORDER) > 10


def test_the_commands_that_set_up_name_extras_that_there_are() -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    setting_up = [command for command in COMMANDS if command.startswith("pip install")]
    assert "pip install . && python app.py" in setting_up
    assert 'pip install ".[test]" && pytest' in setting_up
    for command in setting_up:
        assert SETTING_UP.fullmatch(command), command
        assert set(re.findall(r"\[(\w+)\]", command)) <= set(extras)


def run_here(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What `python ARGUMENTS` runs, in this process, which has PyTorch loaded already."""
    assert arguments[0] == "-m"
    monkeypatch.setattr(sys, "argv", arguments[1:])
    monkeypatch.setattr(sys, "stdin", io.StringIO("correct horse\n"))  # where a password is asked for
    # runpy warns of a module that is there already
    monkeypatch.delitem(sys.modules, f"{arguments[1]}.__main__", raising=False)
    try:
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code:
            pytest.fail(f"{shlex.join(arguments)} ends with {ended.code}")


def test_the_commands_of_the_command_line_work(
    workplace: Path, environment: dict[str, str], small_mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("MNIST_DIR", str(small_mnist))
    monkeypatch.setattr(assessment, "BOUND_SAMPLES", 100)  # of 1000, for speed
    for command in IN_ORDER:
        program, *arguments = shlex.split(command)
        if " benchmark" in command:
            arguments += ["--rounds", "1", "--iterations", "2"]
        if program == "torchrun":
            launched = environment | {"PYTHON_EXEC": warm_python()}
            run([warm_python(), "-m", "torch.distributed.run", *arguments], workplace, launched)
        else:
            run_here(arguments, monkeypatch)
    for name in re.findall(r"--out (\S+)", "\n".join(IN_ORDER)):
        assert (workplace / name).stat().st_size > 100


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("python app.py")])
def test_the_app_starts_as_it_is_told_to(command: str, workplace: Path, environment: dict[str, str]) -> None:
    if "--help" in command:
        run([sys.executable, str(REPOSITORY / "app.py"), "--help"], workplace, environment)
        return
    if "users.txt" in command and not (workplace / "users.txt").exists():
        run(
            [sys.executable, "-m", "vae_core", "password", "users.txt", "alice"], workplace, environment,
            input="correct horse\n",
        )  # fmt: skip
    port = free_port()
    arguments = [*shlex.split(command)[2:], "--port", str(port), "--runs-dir", str(workplace / "served")]
    arguments = [
        "127.0.0.1" if value == "0.0.0.0" else value for value in arguments
    ]  # no test opens the door
    server = subprocess.Popen(
        [warm_python(), str(REPOSITORY / "app.py"), *arguments], cwd=workplace, env=environment
    )
    try:
        wait_for_answer(f"http://127.0.0.1:{port}", server)
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(20)
        server.kill()


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_the_programs_in_python_work(
    number: int, app: App, workplace: Path, environment: dict[str, str]
) -> None:
    program = PROGRAMS[number].replace("http://127.0.0.1:7860", app.url)
    run([warm_python(), "-c", program], workplace, environment)


def test_pictures_of_ones_own_become_a_data_set(workplace: Path, environment: dict[str, str]) -> None:
    run([sys.executable, "-c", OF_PICTURES], workplace, environment)
    found = read_idx_folder(workplace / "pictures")
    assert (sorted(found.train.labels), found.test.labels.tolist()) == ([0, 1, 1], [0])
    assert 0 < found.train.images.mean() < 128  # light on black


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("curl ")])
def test_the_addresses_answer(command: str, app: App, workplace: Path, environment: dict[str, str]) -> None:
    run(shlex.split(command.replace("http://127.0.0.1:7860", app.url)), workplace, environment)


@pytest.mark.parametrize("name", SHIPPED_RUNS)
def test_the_table_of_presets_has_each_shipped_runs_own_figures(name: str) -> None:
    results = find_run(name, REPOSITORY / "checkpoints").info().results
    row = next(line for line in README.splitlines() if line.startswith(f"| `{name}` |"))
    figures = [float(cell) for cell in re.findall(r"(?<=\| )[\d.]+(?= \||$)", row)]
    expected = [
        results["total_unit_variance"], results["mse_mean"], results["mse_mean_decoded"],
        results["active_units"], results["iwae_unit_variance"], results["frechet_prior"],
        results["frechet_mixture"],
    ]  # fmt: skip
    assert figures[: len(expected)] == pytest.approx(expected, rel=5e-3), row


def test_all_that_a_lesson_can_leave_out_is_named() -> None:
    rows = {line.split("|")[1].strip(): line.split("|")[2] for line in README.splitlines() if "|" in line}
    for name, known in (("`tabs`", TABS), ("`hide`", PARTS), ("`preset`", PRESETS)):
        assert rows[name].split(":")[1].strip().split(", ") == list(known)
    assert rows["`step`"].split(":")[1].split(";")[0].strip().split(", ") == list(STEPS)
    first_column = "".join(line.split("|")[1] for line in README.splitlines() if line.startswith("| `"))
    assert {*RESTRICTIONS, *START} <= set(re.findall(r"`(\w+)`", first_column))


def test_the_pictures_are_there_and_nothing_is_left_open() -> None:
    assert "@@" not in README + (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    pictures = re.findall(r"\]\((assets/[^)]+)\)", README)
    assert pictures
    assert [path for path in pictures if not (REPOSITORY / path).is_file()] == []


def test_what_is_shipped_is_small_and_whole() -> None:
    folder = REPOSITORY / "checkpoints"
    for name in SHIPPED_RUNS:
        info = find_run(name, folder).info()
        assert info.state == "finished"
        assert info.epoch == info.settings.epochs
        assert info.data["training_images"] == 60_000
        files = {path.name for path in info.folder.iterdir()}
        assert files == {
            "run.json",
            "metrics.jsonl",
            "model.safetensors",
            "evaluation.npz",
            "mixture.npz",
            "previews",
        }
    shipped = [path for name in SHIPPED_RUNS for path in (folder / name).rglob("*")]
    assert sum(path.stat().st_size for path in shipped if path.is_file()) < 12e6
