from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vae_core.__main__ import main


@pytest.fixture
def run_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command in this process; returns its exit code, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vae-studio", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_the_module_and_its_help_answer() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "vae_core", "--help"], capture_output=True, text=True, check=True
    )
    for name in ("data", "train", "evaluate", "generate", "reconstruct", "runs"):
        assert name in result.stdout


def test_data_says_what_it_found(run_command: Any, small_mnist: Path) -> None:
    code, out, _ = run_command("data", "--data-dir", small_mnist)
    assert code == 0
    assert "training images: 700" in out
    assert "test images: 205" in out


def test_train_evaluate_generate_and_reconstruct(run_command: Any, small_mnist: Path, tmp_path: Path) -> None:
    places = ["--runs-dir", tmp_path / "runs"]
    code, out, _ = run_command(
        "train", "--preset", "quick", "--epochs", 1, "--limit", 256, "--name", "mine", "--seed", 7,
        "--data-dir", small_mnist, *places,
    )  # fmt: skip
    assert code == 0
    assert "epoch 1: test loss" in out
    assert "mine is finished" in out

    code, out, _ = run_command("runs", "--json", *places)
    mine = next(run for run in json.loads(out)["runs"] if run["name"] == "mine")
    assert mine["settings"]["schedule"] == "one-cycle"
    assert mine["settings"]["seed"] == 7

    code, out, _ = run_command("evaluate", "mine", "--json", "--data-dir", small_mnist, *places)
    assert code == 0
    figures = json.loads(out)
    assert set(figures) == {
        "total", "reconstruction", "kl", "mse_mean", "mse_median", "mse_p95", "active_units", "iwae",
        "images", "source",
    }  # fmt: skip
    assert figures["total"] == pytest.approx(figures["reconstruction"] + figures["kl"], rel=1e-6)
    assert figures["images"] == 205
    assert figures["iwae"] < figures["total"] + 1

    grid = tmp_path / "grid.png"
    assert (
        run_command("generate", "mine", "--count", 5, "--seed", 1, "--scale", 1, "--out", grid, *places)[0]
        == 0
    )
    assert Image.open(grid).size == (88, 58)

    digit = np.zeros((50, 40), np.uint8)
    digit[8:42, 18:23] = 255
    Image.fromarray(255 - digit).save(tmp_path / "one.png")
    code, out, _ = run_command(
        "reconstruct", "mine", tmp_path / "one.png", "--out", tmp_path / "seen.png", *places
    )
    assert code == 0
    assert "per-pixel error" in out
    assert Image.open(tmp_path / "seen.png").size == (28, 28)


def test_the_same_seed_draws_the_same_picture(run_command: Any, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        run_command("generate", "reference", "--seed", 3, "--out", tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["train", "--epochs", "0"], 2, "epochs must be a whole number from 1"),
        (["train", "--learning-rate", "nan"], 2, "learning_rate must be"),
        (["train", "--preset", "best"], 2, "--preset must be one of"),
        (["train", "--device", "tpu"], 2, "device must be"),
        (["train", "--name", "../x"], 1, "a run's name"),
        (["train", "--name", "reference"], 1, "shipped run"),
        (["train", "--resume", "nope"], 1, "no run named 'nope'"),
        (["train", "--resume", "reference", "--beta", "2"], 2, "only --epochs can change"),
        (["evaluate", "nope"], 1, "no run named 'nope'"),
        (["evaluate", "reference", "--data-dir", "nowhere"], 1, "is not a folder"),
        (["reconstruct", "reference", "nowhere.png"], 1, "nowhere.png: No such file"),
        (["reconstruct", "reference", "pyproject.toml"], 1, "not a picture"),
        (["generate", "reference", "--count", "401"], 2, "equal to 400"),
        (["generate", "reference", "--seed", "x"], 2, "as an integer"),
        (["data", "--data-dir", "nowhere"], 1, "is not a folder"),
        (["bogus"], 2, "bogus"),
        (["train", "--bogus"], 2, "bogus"),
    ],
)
def test_mistakes_are_said_clearly(
    run_command: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, expected: str
) -> None:
    monkeypatch.chdir(Path(__file__).parent.parent)
    ended, out, err = run_command(*arguments)
    assert ended == code
    assert expected in " ".join(err.split())
    assert "Traceback" not in out + err
    if code == 1:
        assert len(err.strip().splitlines()) == 1


def test_the_sample_is_named_as_a_subset(run_command: Any) -> None:
    code, out, err = run_command("data")
    assert code == 0
    if "sample" in out:  # with a network, the whole set is fetched instead
        assert "This is a subset" in " ".join(err.split())
        assert "training images: 4,500" in out
