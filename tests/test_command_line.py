from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from support.browser import REPOSITORY
from support.runs import change_settings
from vae_core import __version__, data, load_run
from vae_core.__main__ import main
from vae_core.cli import train
from vae_core.data import Dataset, load_dataset
from vae_core.errors import SlowerWarning
from vae_core.inference import decode_latents, reconstruct_image, sample_latents
from vae_core.jobs.machine_slot import slot_files
from vae_core.latent_space import ClassGaussians
from vae_core.pictures import square_tiles
from vae_core.quality import assessment
from vae_core.run_folder import Run
from vae_core.runs import read_runs


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
    for name in ("data", "train", "evaluate", "generate", "reconstruct", "export", "runs"):
        assert name in result.stdout


def test_data_says_what_it_found(run_command: Any, small_mnist: Path) -> None:
    code, out, _ = run_command("data", "--data-dir", small_mnist)
    assert code == 0
    assert "training images: 700" in out
    assert "test images: 205" in out
    assert "classes: 10 (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)" in out


def test_data_names_the_classes_of_other_sets(run_command: Any, write_idx: Any, tmp_path: Path) -> None:
    folder = tmp_path / "my-fashion"
    folder.mkdir()
    for prefix in ("train", "t10k"):
        write_idx(folder, prefix, np.zeros((3, 28, 28), np.uint8), np.array([0, 9, 9], np.uint8))
    code, out, _ = run_command("data", "--data-dir", folder)
    assert code == 0
    assert "“my-fashion” (not the original MNIST)" in out
    assert "classes: 2 (T-shirt/top, Ankle boot)" in out


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["runs", "--json"], 0, ""),
        (["reconstruct", "reference", "GIANT"], 1, "error: GIANT: the picture has 10000x10000 pixels"),
        (["train", "--epochs", "many"], 2, "Usage:"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_exit_codes_and_the_one_line_of_a_process(
    tmp_path: Path, arguments: list[str], code: int, expected: str
) -> None:
    if "GIANT" in arguments:
        Image.new("1", (10_000, 10_000)).save(tmp_path / "GIANT", "PNG")
    result = subprocess.run(
        [sys.executable, "-m", "vae_core", *arguments], capture_output=True, text=True, check=False,
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert result.returncode == code
    assert result.stderr.startswith(expected)
    assert "Traceback" not in result.stderr
    if expected.startswith("error"):
        assert len(result.stderr.splitlines()) == 1
    if code == 0:
        assert len(result.stdout.splitlines()) == 1
        assert json.loads(result.stdout)["runs"][0]["name"] == "reference"
        assert result.stderr == ""


@pytest.fixture
def few(
    small_mnist: Path,
    dataset: Dataset,
    tmp_path: Path,
    write_idx: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The small data set with the first 30 of its test images only; bounds are of 100 samples, for speed."""
    monkeypatch.setattr(assessment, "BOUND_SAMPLES", 100)
    folder = Path(shutil.copytree(small_mnist, tmp_path / "few"))
    write_idx(folder, "t10k", dataset.test.images[:30], dataset.test.labels[:30])
    return folder


def test_train_evaluate_generate_and_reconstruct(run_command: Any, few: Path, tmp_path: Path) -> None:
    places = ["--runs-dir", tmp_path / "runs"]
    code, out, _ = run_command(
        "train", "--preset", "quick", "--epochs", 1, "--limit", 256, "--name", "mine", "--seed", 7,
        "--lr", 0.002, "--data-dir", few, *places,
    )  # fmt: skip
    assert code == 0
    assert "256 images to train on, 30 to test" in " ".join(out.split())
    assert "epoch 1: test loss" in out
    assert "mine is finished" in out

    code, out, _ = run_command("runs", "--json", *places)
    mine = next(run for run in json.loads(out)["runs"] if run["name"] == "mine")
    assert mine["settings"]["schedule"] == "one-cycle"
    assert mine["settings"]["seed"] == 7
    assert mine["settings"]["learning_rate"] == 0.002

    code, out, err = run_command("evaluate", "mine", "--json", "--data-dir", few, *places)
    assert code == 0
    steps = err.splitlines()  # it takes a while, and the answer is all of the output
    assert steps[0] == "measuring: test images"
    assert all(step.startswith("measuring: ") for step in steps)
    assert len(out.splitlines()) == 1
    figures = json.loads(out)
    assert set(figures) == {
        "total", "reconstruction", "kl", "mse_mean", "mse_median", "mse_p95", "active_units", "iwae",
        "images", "source", "total_unit_variance", "iwae_unit_variance", "frechet_prior", "frechet_mixture",
        "confident_prior", "confident_mixture", "samples_note",
    }  # fmt: skip
    assert figures["total"] == pytest.approx(figures["reconstruction"] + figures["kl"], rel=1e-6)
    assert figures["images"] == 30
    assert figures["iwae"] < figures["total"] + 1
    stored = load_run("mine", tmp_path / "runs").evaluation
    assert stored is not None
    assert stored.summary() == figures

    grid = tmp_path / "grid.png"
    assert (
        run_command("generate", "mine", "--count", 5, "--seed", 1, "--scale", 1, "--out", grid, *places)[0]
        == 0
    )
    assert Image.open(grid).size == (88, 58)

    assert "knows MNIST's digits alone" in figures["samples_note"]  # the few are another set
    assert figures["frechet_prior"] is figures["confident_mixture"] is None
    assert figures["total_unit_variance"] == pytest.approx(figures["total"], rel=1e-6)
    assert figures["iwae_unit_variance"] == figures["iwae"]
    other = tmp_path / "other.png"
    for sampler, picture in (("prior", tmp_path / "same.png"), ("mixture", other)):
        options = ["--count", 5, "--seed", 1, "--scale", 1, "--sampler", sampler, "--out", picture]
        assert run_command("generate", "mine", *options, *places)[0] == 0
    assert (tmp_path / "same.png").read_bytes() == grid.read_bytes()
    assert other.read_bytes() != grid.read_bytes()

    digit = np.zeros((50, 40), np.uint8)
    digit[8:42, 18:23] = 255
    Image.fromarray(255 - digit).save(tmp_path / "one.png")
    code, out, _ = run_command(
        "reconstruct", "mine", tmp_path / "one.png", "--out", tmp_path / "seen.png", *places
    )
    assert code == 0
    assert "per-pixel error" in out
    assert "the reconstruction is read as class " in out
    assert Image.open(tmp_path / "seen.png").size == (28, 28)

    # Of a set that is none of digits, as far as its name tells.
    aside = np.roll(load_dataset(few).test.images[0], (-4, 4), (0, 1))
    Image.fromarray(aside).save(tmp_path / "aside.png")
    error = reconstruct_image(load_run("mine", tmp_path / "runs").model, aside / np.float32(255)).error
    told = []
    for option in ([], ["--no-centre"], ["--centre"]):
        arguments = [tmp_path / "aside.png", "--out", tmp_path / "seen.png", *option, *places]
        code, out, _ = run_command("reconstruct", "mine", *arguments)
        assert code == 0
        told.append(f"per-pixel error {error:.4f}" in out)
    assert told == [True, True, False]


def test_a_picture_is_told_how_usual_it_is(run_command: Any, tmp_path: Path) -> None:
    bar, grid = np.zeros((2, 60, 60), np.uint8)
    bar[10:50, 27:33] = 255
    grid[[*range(5, 55, 12), *range(6, 56, 12)]] = 255
    told = []
    for ink in (bar, np.maximum(grid, grid.T)):
        Image.fromarray(ink).save(tmp_path / "one.png")
        code, out, _ = run_command(
            "reconstruct", "reference", tmp_path / "one.png", "--out", tmp_path / "seen.png"
        )
        assert code == 0
        told.append(out.splitlines())
    usual, unusual = told
    assert re.fullmatch(r"its error is higher than that of \d+% of the test images", usual[1])
    assert re.fullmatch(
        r"most like a 1 \(\d+%\), and farther from that class than \d\d?% of the test images are from theirs",
        usual[2],
    )
    assert re.fullmatch(r"farther out in the latent space than \d\d?% of the test images", usual[3])
    assert usual[4:] == ["the reconstruction is read as a 1"]
    assert unusual[1] == "its error is higher than that of 100% of the test images"
    assert unusual[-1] == "the model has not seen many like this"


def test_a_damaged_evaluation_keeps_no_picture_from_being_reconstructed(
    run_command: Any, run: Run, tmp_path: Path
) -> None:
    (run.folder / "evaluation.npz").write_bytes(b"damaged")
    picture = tmp_path / "bar.png"
    Image.fromarray(np.pad(np.full((20, 4), 255, np.uint8), 12)).save(picture)
    code, out, _ = run_command("reconstruct", run.folder, picture, "--out", tmp_path / "seen.png")
    assert code == 0
    assert "per-pixel error" in out


def test_the_mean_reconstructs_better_than_a_sample(
    run_command: Any, few: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assessment, "importance_weighted_bound", lambda *arguments, **options: 20.0)
    figures = {}
    for flag in ("--sampled", "--mean"):
        code, out, _ = run_command("evaluate", "reference", "--json", flag, "--data-dir", few)
        assert code == 0
        figures[flag] = json.loads(out)
    assert figures["--mean"]["mse_mean"] < figures["--sampled"]["mse_mean"]
    assert figures["--mean"]["kl"] == figures["--sampled"]["kl"]
    code, out, err = run_command("evaluate", "reference", "--mean", "--data-dir", few)
    assert "measuring: test images" in err  # where no bar is seen
    assert "posterior mean" in out
    assert f"{figures['--mean']['mse_mean']:.4f}" in out
    assert "from the mean, total is no bound" in out


def test_figures_that_do_not_belong_to_the_run_are_told_and_not_stored(
    run_command: Any, few: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assessment, "importance_weighted_bound", lambda *arguments, **options: 20.0)
    before = run.info().results
    code, out, err = run_command("evaluate", run.folder, "--json", "--data-dir", few)
    assert code == 0
    assert json.loads(out)["images"] == 30
    said, _, measured = " ".join(err.split()).partition("measuring")
    assert "note: run copied has another test set: " in said  # before the minutes that it takes
    assert "Measured here, not stored: " in said
    assert "30 images" in said
    assert "stored" not in measured
    assert run.info().results == before


def test_a_loss_that_cannot_be_compared_is_marked(run_command: Any, run: Run) -> None:
    change_settings(run.folder, beta=4.0, likelihood="bernoulli")
    listed = run_command("runs", "--runs-dir", run.folder.parent)[1]
    assert "(bernoulli, KL × 4: " in " ".join(listed.split())


def test_a_run_that_cannot_be_read_is_named_beside_the_list(run_command: Any, run: Run) -> None:
    (run.folder / "run.json").write_text("{")
    code, out, err = run_command("runs", "--runs-dir", run.folder.parent)
    assert code == 0
    assert run.name not in out
    assert f"left out: run {run.name}: run.json is damaged" in err
    (run.folder / "run.json").unlink()
    (run.folder / "run.json").mkdir()
    told = read_runs(run.folder.parent)[1]
    assert told == [f"run {run.name}: run.json is damaged or cannot be read (Is a directory)"]  # no path


def test_the_list_of_runs_tells_their_test_errors(run_command: Any, run: Run) -> None:
    error = run.required_evaluation().summary()["mse_mean"]
    listed = run_command("runs", "--runs-dir", run.folder.parent)[1]
    assert f" {error:.4f} " in next(line for line in listed.splitlines() if line.startswith(run.name))
    found = json.loads(run_command("runs", "--json", "--runs-dir", run.folder.parent)[1])["runs"]
    assert {one["name"]: one["test_mse"] for one in found}[run.name] == pytest.approx(error)


def test_a_run_without_a_mixture_says_how_to_get_one(run_command: Any, tiny_run: Path) -> None:
    code, _, err = run_command("generate", tiny_run, "--sampler", "mixture")
    assert code == 1
    assert "run tiny has no mixture yet" in err
    assert f"evaluate {tiny_run}" in err


def test_a_class_and_the_temperature_of_generated_images(run_command: Any, run: Run, tmp_path: Path) -> None:
    measured = run.required_evaluation()
    classes = ClassGaussians.fit(measured.means, measured.labels)
    expected = decode_latents(run.model(), sample_latents(16, 4, 0, 0.5, classes, 3))
    threes = tmp_path / "threes.png"
    options = ["--count", 4, "--scale", 1, "--label", 3, "--temperature", 0.5, "--out", threes]
    assert run_command("generate", run.folder, *options)[0] == 0
    assert np.array_equal(np.asarray(Image.open(threes)), square_tiles(expected))
    code, _, err = run_command("generate", run.folder, "--label", 12)
    assert code == 1
    assert "the model knows no class 12; it knows 0, 1" in err
    (run.folder / "evaluation.npz").unlink()
    code, _, err = run_command("generate", run.folder, "--label", 3)
    assert code == 1
    assert f"run copied is not measured yet; measure it: python -m vae_core evaluate {run.folder}" in err


def test_a_calibrated_runs_figures_at_unit_variance_are_its_own_too(
    run_command: Any, few: Path, tmp_path: Path
) -> None:
    places = ["--runs-dir", tmp_path / "runs", "--data-dir", few]
    options = ["--likelihood", "calibrated", "--epochs", 1, "--limit", 256, "--name", "sharper"]
    assert run_command("train", *options, *places)[0] == 0
    _, out, _ = run_command("evaluate", "sharper", "--json", *places)
    figures = json.loads(out)
    assert figures["total_unit_variance"] == pytest.approx(
        392 * figures["mse_mean"] + figures["kl"], rel=1e-5
    )
    assert figures["total_unit_variance"] != pytest.approx(figures["total"], rel=0.1)
    assert 0 < figures["iwae_unit_variance"] < figures["total_unit_variance"] + 1
    assert figures["iwae_unit_variance"] != figures["iwae"]
    _, out, _ = run_command("runs", *places[:2])
    losses = {line.split()[0]: " ".join(line.split()[3:6]) for line in out.splitlines()[1:]}
    own, comparable = figures["total"], figures["total_unit_variance"]
    assert losses["sharper"] == f"{comparable:.2f} (calibrated: {own:.2f})"
    listed = json.loads(run_command("runs", "--json", *places[:2])[1])["runs"]
    told = next(run for run in listed if run["name"] == "sharper")
    assert (told["test_total"], told["test_unit_variance"]) == (own, comparable)
    assert losses["reference"].startswith("18.48 0.0282 ")


def test_output_that_nobody_reads_ends_a_command_as_from_outside(tmp_path: Path) -> None:
    for arguments in (["runs"], ["runs", "--json"], ["--help"]):
        reading, writing = os.pipe()
        os.close(reading)
        ended = subprocess.run(
            [sys.executable, "-m", "vae_core", *arguments],
            stdout=writing, stderr=subprocess.PIPE, timeout=120,
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        )  # fmt: skip
        os.close(writing)
        assert (ended.returncode, ended.stderr) == (130, b""), arguments


@pytest.mark.skipif(shutil.which("bash") is None, reason="no shell to close a stream with")
@pytest.mark.parametrize("arguments", ["runs", "runs --json"])
def test_output_that_goes_nowhere_is_no_mistake(arguments: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m vae_core {arguments} >&-"],
        capture_output=True, timeout=120, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_files_name_that_is_no_text_is_told_all_the_same(
    run_command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="strict")
    monkeypatch.setattr(sys, "stdout", told)
    out = tmp_path / os.fsdecode(b"seven-\xff.png")
    code, _, err = run_command("generate", "reference", "--label", 7, "--out", out)
    assert (code, err) == (0, "")
    assert out.is_file()
    told.flush()
    assert b"seven-" in told.buffer.getvalue()  # type: ignore[attr-defined]


def test_a_training_beside_another_is_refused_in_one_line(
    run_command: Any, few: Path, tmp_path: Path
) -> None:
    record, lock = slot_files()
    record.parent.mkdir(exist_ok=True)
    record.unlink(missing_ok=True)  # of a test before, which has ended
    with FileLock(lock):
        code, out, err = run_command("train", "--data-dir", few, "--runs-dir", tmp_path / "runs")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"error: .* is being trained on this machine; .*\n", err)
    (tmp_path / "file").touch()
    code, out, err = run_command("train", "--data-dir", few, "--runs-dir", tmp_path / "file")
    assert (code, out) == (1, "")
    assert re.fullmatch(rf"error: cannot write to folder file: .* \({tmp_path}/file\)\n", err)


def test_that_a_run_was_trained_on_other_images_is_told_before_how_few_they_are(
    run_command: Any, tiny_run: Path, dataset: Dataset, tmp_path: Path, write_idx: Callable[..., None]
) -> None:
    shutil.copytree(tiny_run, tmp_path / "runs" / "tiny")
    for prefix in ("train", "t10k"):
        write_idx(tmp_path, prefix, dataset.train.images[:10], dataset.train.labels[:10])
    code, _, err = run_command(
        "train", "--resume", "tiny", "--epochs", 3, "--runs-dir", tmp_path / "runs", "--data-dir", tmp_path
    )
    assert code == 1
    assert "run tiny was trained on" in err


def test_resuming_goes_on_to_more_epochs(
    run_command: Any, small_mnist: Path, tiny_run: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_run, tmp_path / "tiny")
    options = ["--runs-dir", tmp_path, "--data-dir", small_mnist]
    code, _, err = run_command("train", "--resume", "tiny", *options)
    assert code == 1
    assert "has finished its 2 epochs" in err
    code, out, _ = run_command("train", "--resume", "tiny", "--epochs", 3, *options)
    assert code == 0
    assert "epoch 3: test loss" in out
    assert "epoch 2: test loss" not in out
    assert load_run("tiny", tmp_path).info.epoch == 3


def test_event_files_are_written_where_they_are_asked_for(
    run_command: Any, few: Path, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard", reason="the optional extra tensorboard is not installed")
    short = ["--epochs", 1, "--limit", 64, "--batch-size", 64, "--name", "logged", "--runs-dir", tmp_path]
    code, _, err = run_command("train", *short, "--data-dir", few, "--tensorboard")
    assert code == 0, err
    assert list((tmp_path / "logged").rglob("events.out.tfevents.*"))


def test_runs_are_listed_with_what_differs(run_command: Any, tiny_run: Path) -> None:
    code, out, told = run_command("runs", "--runs-dir", tiny_run.parent / "typo")
    assert code == 0
    assert out.split()[:9] == ["run", "state", "epochs", "test", "loss", "test", "error", "data", "made"]
    assert told == f"There is no folder {tiny_run.parent / 'typo'}: these are the shipped runs.\n"
    code, out, told = run_command("runs", "--runs-dir", tiny_run.parent)
    assert told == ""
    assert code == 0
    tiny = next(line for line in out.splitlines() if "tiny" in line)
    assert "finished" in tiny
    assert "2/2" in tiny
    assert "reference" in out
    sharp = load_run("sharp").settings.changes()
    assert " ".join(f"{name}={value}" for name, value in sharp.items()) in out  # no line of a file is broken


def test_the_version_is_the_packages(run_command: Any) -> None:
    assert run_command("--version") == (0, f"{__version__}\n", "")


def test_a_picture_that_cannot_be_written_is_one_line(run_command: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.png").mkdir()
    code, out, err = run_command("generate", "reference", "--count", 1, "--out", tmp_path / "folder.png")
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {tmp_path}")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("command", "name"), [("generate", "grid.png"), ("reconstruct", "seen.png"), ("export", "decoder.onnx")]
)
@pytest.mark.parametrize("folder", ["file", "mistyped"])
def test_nothing_is_written_into_a_folder_that_is_not_there(
    run_command: Any, tmp_path: Path, command: str, name: str, folder: str
) -> None:
    (tmp_path / "file").write_text("")
    picture = [tmp_path / "any.png"] if command == "reconstruct" else []
    code, out, err = run_command(command, "reference", *picture, "--out", tmp_path / folder / name)
    assert (code, out) == (2, "")
    assert err == f"error: --out: there is no folder {tmp_path / folder}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_app_is_started_by_the_installed_command_too(run_command: Any) -> None:
    code, out, _ = run_command("app", "--version")
    assert (code, out) == (0, f"VAE Studio {__version__}\n")
    code, _, err = run_command("app", "--port", "0")
    assert code == 2
    assert err.startswith("usage: vae-studio app")


def test_only_png_is_written_and_nothing_under_another_name(run_command: Any, tmp_path: Path) -> None:
    code, out, err = run_command("generate", "reference", "--count", 1, "--out", tmp_path / "grid.jpg")
    assert (code, out) == (2, "")
    assert err == "error: --out: expected a file name that ends in .png, not 'grid.jpg'\n"
    assert list(tmp_path.iterdir()) == []


def test_the_help_of_export_names_its_extra(run_command: Any) -> None:
    _, out, _ = run_command("export", "--help")
    assert '".[onnx]"' in out


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
        (["train", "--resume", "reference", "--beta", "2"], 2, "only --epochs and --device can change"),
        (["train", "--resume", "reference", "--preset", "sharp", "--name", "a"], 2, "not name, preset"),
        (["evaluate", "nope"], 1, "no run named 'nope'"),
        (["evaluate", "reference", "--data-dir", "nowhere"], 1, "is not there, or not a folder"),
        (["reconstruct", "reference", "nowhere.png"], 1, "nowhere.png: No such file"),
        (["reconstruct", "reference", "pyproject.toml"], 1, "not a picture"),
        (["generate", "reference", "--count", "401"], 2, "equal to 400"),
        (["generate", "reference", "--temperature", "nan"], 2, "less than or equal to 2"),
        (["generate", "reference", "--sampler", "dice"], 2, "--sampler must be one of prior, mixture"),
        (["generate", "reference", "--seed", "x"], 2, "as an integer"),
        (["export", "reference", "--out", "decoder.pt2"], 2, "ends with .onnx, not 'decoder.pt2'"),
        (["data", "--data-dir", "nowhere"], 1, "is not there, or not a folder"),
        (["bogus"], 2, "bogus"),
        (["train", "--bogus"], 2, "bogus"),
    ],
)
def test_mistakes_are_said_clearly(
    run_command: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, expected: str
) -> None:
    monkeypatch.chdir(REPOSITORY)
    ended, out, err = run_command(*arguments)
    assert ended == code
    assert expected in " ".join(err.split())
    assert "Traceback" not in out + err
    if code == 1:
        assert len(err.strip().splitlines()) == 1


def test_the_sample_is_named_as_a_subset(
    run_command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    data.cache_folder().mkdir(parents=True)
    (data.cache_folder() / data.FAILURE_MARK).touch()  # the network has just been asked, in vain
    code, out, err = run_command("data")
    assert code == 0
    assert "This is a subset" in " ".join(err.split())
    assert "training images: 4,500" in out
    assert "test images: 500" in out


def test_benchmark_as_json_is_one_object(run_command: Any, small_mnist: Path) -> None:
    code, out, err = run_command(
        "benchmark", "--json", "--rounds", 2, "--iterations", 2, "--device", "cpu", "--data-dir", small_mnist
    )
    assert code == 0
    assert err == "measuring: 2 rounds of engine and plain loop\n1 of 2 done\n2 of 2 done\n"
    measured = json.loads(out)
    assert {"engine_images_per_second", "plain_images_per_second", "ratio", "device"} <= set(measured)
    assert len(measured["engine_rounds"]) == len(measured["plain_rounds"]) == 2
    ratios = [a / b for a, b in zip(measured["engine_rounds"], measured["plain_rounds"], strict=True)]
    assert measured["ratio"] == pytest.approx(sum(ratios) / 2)


def test_benchmark_as_a_table_names_both_loops(run_command: Any, small_mnist: Path) -> None:
    code, out, _ = run_command(
        "benchmark", "--rounds", 1, "--iterations", 1, "--device", "cpu", "--data-dir", small_mnist
    )
    assert code == 0
    assert "engine, training" in out
    assert "plain loop, training" in out
    assert "engine / plain loop" in out


def test_what_slows_a_training_is_said_in_one_line(
    run_command: Any, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing that a library warns of."""

    def slower(*_: object) -> None:
        warnings.warn("goes by\nslower kernels", SlowerWarning, stacklevel=2)
        warnings.warn("of a library", RuntimeWarning, stacklevel=2)

    load = train.load
    monkeypatch.setattr(train, "load", lambda *places: slower() or load(*places))
    options = ["--epochs", 1, "--limit", 128, "--runs-dir", tmp_path / "runs", "--data-dir", few]
    with warnings.catch_warnings():  # and Python's own way to show them comes back
        code, _, err = run_command("train", *options)
    assert code == 0
    assert [line for line in err.splitlines() if "goes by" in line] == ["note: goes by slower kernels"]
    assert "of a library" not in err
