"""One run folder: what is written is read again, and what is damaged is one clear error."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from support.runs import change_record, one_component
from vae_core import __version__, load_run, run_folder
from vae_core.errors import RunError
from vae_core.model import VAE
from vae_core.quality.classifier import shipped_classifier
from vae_core.run_folder import Run, RunWriter
from vae_core.run_results import store_mixture
from vae_core.runs import (
    create_run,
    delete_run,
    list_runs,
    rename_run,
)
from vae_core.settings import Settings


def test_a_damaged_record_is_one_clear_error(run: Run) -> None:
    whole = (run.folder / "run.json").read_text()
    record = json.loads(whole)
    damaged: list[str | bytes] = [
        "", "[]", "null", "{", "[" * 100_000, whole[: len(whole) // 2], b"\xff\xfe\x00",
        json.dumps(record | {"format": 2}), json.dumps(record | {"settings": []}),
        json.dumps(record | {"settings": {"epochs": "x"}}),
        json.dumps(record | {"epoch": None}), json.dumps(record | {"baselines": [1]}),
        json.dumps(record | {"x": math.nan}), json.dumps(record | {"x": "\ud800"}),
        json.dumps(record | {"versions": "3"}), json.dumps(record | {"elapsed_seconds": 10**400}),
        json.dumps({key: value for key, value in record.items() if key != "data"}),
    ]  # fmt: skip
    for content in damaged:
        (run.folder / "run.json").write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(RunError, match="copied"):
            run.info()
        assert "copied" not in [info.name for info in list_runs(run.folder.parent)]


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("data.name must be a text", {"name": 1}),
        ("data.source must be a text", {"source": None}),
        ("data.training_images must be a count of images", {"training_images": -1}),
        ("data.test_images must be a count of images", {"test_images": 0.5}),
        ("data.is_sample must be true or false", {"is_sample": 1}),
        ("result total must be a number", {"total": "much"}),
        ("result mse_mean must be a number", {"mse_mean": ""}),
        ("result total_unit_variance must be a number", {"total_unit_variance": "x"}),
        ("result x is no figure", {"x": [1]}),
        ("result x is no figure", {"x": True}),
    ],
)
def test_a_field_of_another_kind_is_named(run: Run, reason: str, change: dict[str, Any]) -> None:
    record = json.loads((run.folder / "run.json").read_text())
    record["data" if reason.startswith("data") else "results"].update(change)
    (run.folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=rf"^run copied: run.json is not one of ours \({reason}\)$"):
        run.info()


def test_a_state_that_there_is_not_is_refused_with_those_there_are(run: Run) -> None:
    change_record(run.folder, state="asleep")
    states = "running, stopped, finished, failed, interrupted"
    with pytest.raises(RunError, match=f"^run copied: state must be one of {states}, not 'asleep'$"):
        run.info()


def test_what_a_record_says_is_of_the_kind_that_is_announced(run: Run) -> None:
    of_another_kind = {
        "device": 1, "created": 2, "epoch": "2", "elapsed_seconds": 3, "baselines": {"pca": "0.5"},
        "warning": 4, "error": 5, "generation": "6",
    }  # fmt: skip
    change_record(run.folder, **of_another_kind)
    info = run.info()
    assert (info.device, info.created, info.epoch, info.baselines) == ("1", "2", 2, {"pca": 0.5})
    assert (info.elapsed_seconds, type(info.elapsed_seconds)) == (3, float)
    assert (info.warning, info.error, info.generation) == ("4", "5", 6)


def test_a_folder_that_is_no_run_of_this_version_is_told_from_a_damaged_one(run: Run) -> None:
    change_record(run.folder, format=2)
    with pytest.raises(RunError, match=r"^run copied: run.json is not of format 1, which"):
        run.info()
    (run.folder / "run.json").unlink()
    with pytest.raises(RunError, match=r"copied is not a run folder: it has no run.json$"):
        run.info()


def test_a_record_of_a_mebibyte_is_read_and_no_larger_one(run: Run) -> None:
    whole = (run.folder / "run.json").read_bytes()
    (run.folder / "run.json").write_bytes(whole.ljust(2**20))
    assert run.info().state == "finished"
    (run.folder / "run.json").write_bytes(whole.ljust(2**20 + 1))
    with pytest.raises(RunError, match="larger than 1,048,576 bytes"):
        run.info()


def test_a_reader_is_told_what_the_writer_recorded(tmp_path: Path) -> None:
    data = {
        "name": "a set",
        "source": "a folder",
        "training_images": 0,
        "test_images": 205,
        "is_sample": True,
    }
    writer = create_run(tmp_path / "new", "mine", Settings(latent_dim=2), data, "CPU, 2 threads")
    run = Run(tmp_path / "new" / "mine")
    info = run.info()
    assert (info.name, info.folder, info.state, info.epoch) == ("mine", run.folder, "running", 0)
    assert (info.settings, info.data, info.device) == (Settings(latent_dim=2), data, "CPU, 2 threads")
    assert info.versions == {
        "python": platform.python_version(), "vae_core": __version__, "torch": version("torch"),
    }  # fmt: skip
    assert (info.elapsed_seconds, info.results, info.baselines) == (0, {}, {})
    assert (info.warning, info.error, info.generation) == (None, None, 0)
    assert (info.has_model, info.is_shipped) == (False, False)
    assert abs(datetime.now(UTC) - datetime.fromisoformat(info.created)) < timedelta(minutes=5)
    changes = {
        "state": "failed", "epoch": 3, "elapsed_seconds": 2.5, "warning": "slow", "error": "no space",
        "results": {"total": 1.5, "iwae": None, "source": "a folder"}, "baselines": {"pca": 0.5},
    }  # fmt: skip
    writer.update(**changes)
    writer.close()
    told = run.info()
    assert told == replace(info, **changes)
    record = json.loads((run.folder / "run.json").read_text())
    assert record["process"] == os.getpid()
    assert record["created"] <= record["updated"]
    for name in ("created", "updated"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", record[name])


def test_a_run_without_a_finished_epoch_has_nothing_to_show_yet(tmp_path: Path) -> None:
    create_run(tmp_path, "mine", Settings(), {"name": "a set"}, "CPU").close()
    run = Run(tmp_path / "mine")
    assert run.info().state == "interrupted"
    assert (run.metrics(), run.latest_metrics()) == (([], 0), [])
    assert run.evaluation() is run.evaluation_or_none() is run.mixture() is None
    assert run.previews() == []
    for read in (run.model, run.training_state):
        with pytest.raises(RunError, match=r"^run mine has no (model|training_state).safetensors: no epoch"):
            read()
    way = re.escape(f"python -m vae_core evaluate {run.folder}")  # by its folder, wherever it lies
    with pytest.raises(RunError, match=rf"^run mine has no mixture .*: {way}$"):
        run.required_mixture()


def test_weights_that_are_lost_are_not_called_not_yet_there(run: Run) -> None:
    (run.folder / "model.safetensors").unlink()
    lost = r"^run copied has no model\.safetensors, though it has finished epoch 2$"
    with pytest.raises(RunError, match=lost):
        run.model()


def test_a_model_is_loaded_without_a_draw_from_the_callers_random_numbers(run: Run) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    run.model()
    shipped_classifier()
    assert torch.equal(torch.rand(3), expected)


def test_a_mixture_belongs_to_the_weights_it_was_fitted_to(run: Run) -> None:
    store_mixture(run.info(), run.weights_version(), one_component(16))
    assert np.array_equal(run.required_mixture().means, one_component(16).means)
    other = VAE(16)
    writer = RunWriter(run.folder)
    writer.save_model(other, run.info().settings)
    writer.close()
    assert run.mixture() is None
    assert torch.equal(run.model().encoder[0].weight, other.encoder[0].weight)
    with safe_open(run.folder / "model.safetensors", "pt") as file:
        described = file.metadata()
    assert Settings.from_dict(json.loads(described.pop("settings"))) == run.info().settings
    assert described == {"format": "vae-studio"}


def test_weights_that_are_not_measured_yet_have_not_the_figures_of_those_before(run: Run) -> None:
    writer = RunWriter(run.folder)
    writer.save_model(VAE(16), run.info().settings)
    writer.close()
    assert run.evaluation() is None
    assert run.evaluation_version() == 0
    assert run.info().results == {}


def test_a_run_is_let_go_by_whichever_thread_closes_it(run: Run) -> None:
    writer = RunWriter(run.folder)
    with ThreadPoolExecutor(1) as another:
        another.submit(writer.close).result()
    assert not run.is_alive()
    RunWriter(run.folder).close()


def test_what_is_of_another_number_of_latents_is_refused(run: Run) -> None:
    evaluation = run.evaluation_or_none()
    assert evaluation is not None
    of_two = replace(
        evaluation,
        kl_per_dimension=evaluation.kl_per_dimension[:2],
        variance_of_mean=evaluation.variance_of_mean[:2],
        class_means=evaluation.class_means[:, :2],
        means=evaluation.means[:, :2],
    )
    (run.folder / "evaluation.npz").write_bytes(of_two.to_bytes())
    (run.folder / "mixture.npz").write_bytes(one_component(2).to_bytes())
    for read in (run.evaluation, run.mixture):
        with pytest.raises(RunError, match=r"^run copied: .* is of 2 latents; expected 16$"):
            read()
    assert run.evaluation_or_none() is None
    (run.folder / "mixture.npz").write_bytes(b"no mixture")
    with pytest.raises(RunError, match=r"^run copied: mixture.npz is damaged"):
        run.mixture()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=400))
def test_any_bytes_in_any_file_give_one_clear_error(run: Run, content: bytes) -> None:
    for name, read in (("model.safetensors", run.model), ("evaluation.npz", run.evaluation)):
        whole = (run.folder / name).read_bytes()
        for damaged in (content, whole[: len(whole) - len(content) - 1]):
            (run.folder / name).write_bytes(damaged)
            with pytest.raises(RunError, match=f"^run copied: {name} is damaged"):
                read()
        (run.folder / name).write_bytes(whole)


def test_weights_that_do_not_fit_are_refused(run: Run) -> None:
    weights = {name: value.contiguous() for name, value in run.model().state_dict().items()}
    save_file(weights | {"decoder.0.bias": torch.zeros(7)}, run.folder / "model.safetensors")
    with pytest.raises(
        RunError, match=r"^run copied: the weights do not fit the settings \(size mismatch.*\)$"
    ):
        run.model()
    save_file(weights | {"decoder.0.bias": torch.full((3136,), torch.nan)}, run.folder / "model.safetensors")
    with pytest.raises(RunError, match=r"^run copied: the weights are not finite numbers$"):
        run.model()
    header = b'{"decoder.0.bias": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}'  # unknown to torch
    (run.folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0")
    with pytest.raises(RunError, match=r"^run copied: model.safetensors is damaged \(.*\)$"):
        run.model()


def test_a_model_is_ready_to_evaluate(run: Run) -> None:
    model = run.model()
    assert not model.training
    assert model.encoder[2].weight.is_contiguous(memory_format=torch.channels_last)


def test_an_evaluation_that_unpacks_to_gigabytes_is_refused(run: Run) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.npy", bytes(100 * 2**20))
    (run.folder / "evaluation.npz").write_bytes(buffer.getvalue())
    with pytest.raises(RunError, match="256 MiB"):
        run.evaluation()


def test_a_torn_last_line_waits_and_other_rubbish_is_passed_by(run: Run) -> None:
    rows, offset = run.metrics()
    with (run.folder / "metrics.jsonl").open("ab") as file:
        file.write(b'not json\n{"epoch": 1}\n[1]\n' + b"[" * 50_000 + b"\n")
        for total in ("NaN", "true", '"1"', "null", "1" + 400 * "0"):
            file.write(json.dumps(rows[-1]).replace(str(rows[-1]["total"]), total).encode() + b"\n")
        file.write(b'{"epoch": 3, "itera')
    assert run.metrics()[0] == rows
    more, middle = run.metrics(offset)
    assert more == []
    with (run.folder / "metrics.jsonl").open("ab") as file:
        file.write(b'tion": 9, "total": 1, "reconstruction": 1, "kl": 1, ')
        file.write(b'"images_per_second": 1, "elapsed_seconds": 1}\n')
    more, _ = run.metrics(middle)
    assert [row["iteration"] for row in more] == [9]


def test_an_offset_outside_the_file_starts_again(run: Run) -> None:
    _, end = run.metrics()
    assert end == (run.folder / "metrics.jsonl").stat().st_size
    assert run.metrics(end + 1) == run.metrics(-1) == run.metrics(0)


def test_reports_come_back_rounded_and_without_what_is_no_figure(run: Run) -> None:
    row = {
        "epoch": 2, "iteration": 1234567, "total": 1.23456789, "reconstruction": 1, "kl": 0.5,
        "images_per_second": 123456.7, "elapsed_seconds": 1e-9, "test_total": 2.5,
        "test_reconstruction": 2.0, "test_kl": 0.5, "test_mse": 0.25, "kl_per_dimension": [0.123456, 2.0],
    }  # fmt: skip
    _, offset = run.metrics()
    writer = RunWriter(run.folder)
    writer.append_metrics(row)
    writer.close()
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(row | {"test_mse": "small", "kl_per_dimension": [1, "much"], "x": 1}) + "\n")
    (first, second), end = run.metrics(offset)
    assert first == row | {
        "total": 1.23457, "images_per_second": 123457.0, "kl_per_dimension": [0.1235, 2.0],
    }  # fmt: skip
    assert second == {name: row[name] for name in row if name not in ("test_mse", "kl_per_dimension")}
    assert run.metrics(end) == ([], end)


def test_what_came_after_an_epoch_is_forgotten(run: Run) -> None:
    rows, _ = run.metrics()
    writer = RunWriter(run.folder)
    writer.save_preview(11, "samples", b"a picture")
    drawn = run.previews()  # in the first epoch, of ten iterations, as often as the machine came to it
    assert {1, 10, 11, 20} <= set(drawn)
    writer.forget_after(1)
    assert run.metrics()[0] == [row for row in rows if row["epoch"] == 1]
    kept = {f"{iteration:06d}" for iteration in drawn if iteration <= 10}
    assert {path.name[:6] for path in (run.folder / "previews").iterdir()} == kept
    writer.forget_after(0)
    writer.close()
    assert run.metrics() == ([], 0)
    assert run.previews() == []
    assert run.info().generation == 2


def longer(run: Run) -> None:
    """Makes the run's reports some thousand bytes."""
    path = run.folder / "metrics.jsonl"
    path.write_bytes(5 * path.read_bytes())


def test_all_reports_survive_a_resume_however_large_the_file(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    longer(run)
    rows = run.all_metrics()
    assert rows == run.metrics()[0]
    monkeypatch.setattr(run_folder, "MOST_METRIC_BYTES", 700)  # a part of the file
    assert len(run.metrics()[0]) < len(rows)
    assert load_run(run.folder).metrics == rows
    writer = RunWriter(run.folder)
    writer.forget_after(2)
    writer.close()
    monkeypatch.undo()
    assert run.metrics()[0] == rows


def test_of_very_many_reports_some_are_read_with_each_epochs_end(run: Run) -> None:
    for _ in range(3):
        longer(run)
    rows = run.all_metrics()
    some, offset = run.metrics(most=20)
    assert offset == run.metrics()[1]
    assert [row for row in some if "test_total" in row] == [row for row in rows if "test_total" in row]
    assert (some[0], some[-1]) == (rows[0], rows[-1])
    others = [row for row in some[:-1] if "test_total" not in row]
    assert 10 < len(others) <= 20
    assert all(row in rows for row in some)
    assert run.all_metrics(20) == some
    assert run.metrics(most=len(rows))[0] == rows


def test_the_latest_reports_are_the_last_of_a_long_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    longer(run)
    rows = run.all_metrics()
    monkeypatch.setattr(run_folder, "LATEST_METRIC_BYTES", 10**6)
    assert run.latest_metrics() == rows
    monkeypatch.setattr(run_folder, "LATEST_METRIC_BYTES", 1000)
    latest = run.latest_metrics()
    assert 0 < len(latest) < len(rows)
    assert latest == rows[-len(latest) :]


def test_a_preview_is_known_by_plain_digits(run: Run) -> None:
    before = run.previews()
    (run.folder / "previews" / "²-samples.png").touch()
    assert run.previews() == before


def test_a_folder_that_is_gone_is_not_made_anew_by_its_lock(run: Run) -> None:
    delete_run(run)
    with pytest.raises(RunError, match="run copied is gone"):
        RunWriter(run.folder)
    assert not run.folder.exists()


def test_a_stop_is_meant_for_the_training_that_runs(run: Run) -> None:
    run.request_stop()
    assert run.stop_requested()
    writer = RunWriter(run.folder)
    assert not writer.stop_requested()
    run.request_stop()
    assert writer.stop_requested()
    writer.close()
    assert not run.stop_requested()


def test_a_stop_that_cannot_be_taken_back_keeps_nobody_from_writing(run: Run) -> None:
    (run.folder / "stop").mkdir()
    writer = RunWriter(run.folder)
    writer.update(epoch=1)
    writer.close()
    assert run.info().epoch == 1
    RunWriter(run.folder).close()  # which nobody holds any more


def test_a_lock_that_cannot_be_written_is_one_clear_error(run: Run) -> None:
    (run.folder / "run.lock").unlink()
    (run.folder / "run.lock").mkdir()
    with pytest.raises(RunError, match=r"^cannot write to folder copied: Is a directory; choose another"):
        RunWriter(run.folder)


def test_no_message_says_where_the_folder_lies(run: Run) -> None:
    """The app's visitors read them; for the command line `where` has it."""
    readers = {
        "run.json": run.info, "metrics.jsonl": run.metrics, "evaluation.npz": run.evaluation,
        "mixture.npz": run.mixture, "model.safetensors": run.model,
        "training_state.safetensors": run.training_state, "run.lock": lambda: RunWriter(run.folder),
    }  # fmt: skip
    for name, read in readers.items():
        path = run.folder / name
        content = path.read_bytes() if path.exists() else None
        path.unlink(missing_ok=True)
        path.mkdir()
        with pytest.raises(RunError, match="Is a directory") as refused:
            read()
        assert str(run.folder.parent) not in str(refused.value)
        path.rmdir()
        if content is not None:
            path.write_bytes(content)
    shutil.rmtree(run.folder)
    for read in (run.info, lambda: RunWriter(run.folder)):
        with pytest.raises(RunError) as refused:
            read()
        assert str(run.folder.parent) not in str(refused.value)
        assert refused.value.where == run.folder


def test_a_run_that_is_gone_cannot_be_asked_to_stop(run: Run) -> None:
    delete_run(run)
    with pytest.raises(
        RunError, match=r"^run copied cannot be asked .*: No such file .*; free some space, or"
    ):
        run.request_stop()


def test_a_folder_in_a_files_place_is_one_clear_error(run: Run) -> None:
    for name, read in (
        ("metrics.jsonl", run.metrics),
        ("evaluation.npz", run.evaluation),
        ("mixture.npz", run.mixture),
        ("model.safetensors", run.model),
        ("run.json", run.info),
    ):
        (run.folder / name).unlink(missing_ok=True)
        (run.folder / name).mkdir()
        with pytest.raises(RunError, match=rf"^run copied: {name} (is damaged|(.*)cannot be read) \(.*\)$"):
            read()


@pytest.mark.parametrize("state", ["stopped", "finished", "failed", "interrupted"])
def test_a_run_that_has_ended_stays_as_it_ended(run: Run, state: str) -> None:
    change_record(run.folder, state=state, epoch=1)
    assert run.info().state == state


def test_a_run_without_a_process_is_interrupted(run: Run) -> None:
    # Process 1 lives, but it is not ours: ids are never compared.
    change_record(run.folder, state="running", process=1, epoch=1)
    assert run.info().state == "interrupted"
    (run.folder / "run.lock").unlink()
    assert run.info().state == "interrupted"


def test_a_run_whose_process_was_killed_after_its_last_epoch_is_finished(run: Run) -> None:
    change_record(run.folder, state="running")
    assert run.info().state == "finished"


def no_flock(*_: Any) -> None:
    raise OSError(errno.ENOSYS, "Function not implemented")


@pytest.mark.filterwarnings("ignore:flock not supported")
@pytest.mark.parametrize(
    ("name", "instead"),
    [("vae_core.run_folder.fcntl", None), ("fcntl.flock", no_flock)],
    ids=["on Windows", "on a file system"],
)
def test_without_flock_a_running_run_is_told_from_an_ended_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, instead: Any
) -> None:
    monkeypatch.setattr(name, instead)
    writer = create_run(tmp_path, "mine", Settings(), {"name": "a set"}, "CPU")
    assert Run(writer.folder).info().state == "running"
    writer.close()
    assert Run(writer.folder).info().state == "interrupted"


def test_many_who_look_at_once_do_not_take_one_another_for_a_training(run: Run) -> None:
    change_record(run.folder, state="running", epoch=1)

    def look(_: int) -> set[str]:
        return {run.info().state for _ in range(200)}

    with ThreadPoolExecutor(8) as visitors:
        assert set().union(*visitors.map(look, range(8))) == {"interrupted"}


@pytest.mark.usefixtures("short_wait")
def test_a_run_is_running_while_a_process_holds_its_lock(run: Run) -> None:
    change_record(run.folder, state="running", epoch=1)
    hold = (
        "import sys, pathlib; from vae_core.run_folder import RunWriter;"
        "run = RunWriter(pathlib.Path(sys.argv[1])); print('held', flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(run.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert run.info().state == "running"
        with pytest.raises(RunError, match=r"^run copied is being trained"):
            RunWriter(run.folder)
        for change in (delete_run, lambda run: rename_run(run, "other")):
            with pytest.raises(RunError, match="stop it first"):
                change(run)
    finally:
        holder.kill()
        holder.wait()
    assert run.info().state == "interrupted"


def test_a_record_that_cannot_be_read_is_not_written_over(run: Run) -> None:
    (run.folder / "run.json").write_text("{")
    writer = RunWriter(run.folder)
    with pytest.raises(RunError, match=r"^run copied: run.json is damaged"):
        writer.update(state="failed")
    writer.close()
    assert (run.folder / "run.json").read_text() == "{"


def test_a_failed_write_leaves_the_old_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (run.folder / "run.json").read_bytes()
    writer = RunWriter(run.folder)
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space"):
        writer.update(state="failed")
    writer.close()
    assert (run.folder / "run.json").read_bytes() == before
    assert not list(run.folder.glob(".*.tmp"))


def test_the_training_state_comes_back_as_it_was_saved(run: Run) -> None:
    writer = RunWriter(run.folder)
    writer.save_training_state({"step": torch.tensor([7]), "moments": torch.tensor([[0.5, -1.0]])})
    writer.close()
    state = run.training_state()
    assert {name: value.tolist() for name, value in state.items()} == {"step": [7], "moments": [[0.5, -1.0]]}


def test_a_run_that_ends_while_it_is_looked_at_is_not_called_interrupted(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_record(run.folder, state="running", epoch=0)

    def is_alive(self: Run) -> bool:
        change_record(run.folder, state="stopped")  # and its lock is free
        return False

    monkeypatch.setattr(Run, "is_alive", is_alive)
    assert run.info().state == "stopped"


@pytest.mark.parametrize("changes", [{"elapsed_seconds": "nan"}, {"baselines": {"pca": "inf"}}])
def test_a_text_that_python_takes_for_a_number_is_none(run: Run, changes: dict[str, Any]) -> None:
    change_record(run.folder, **changes)
    with pytest.raises(RunError, match="expected a finite number"):
        run.info()
