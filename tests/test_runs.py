from __future__ import annotations

import io
import json
import os
import pickle
import platform
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
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

from vae_core import __version__, load_run, runs
from vae_core.errors import RunError
from vae_core.mixture import LatentMixture
from vae_core.model import VAE
from vae_core.runs import (
    SHIPPED_RUNS,
    Run,
    RunWriter,
    check_name,
    delete_run,
    find_run,
    free_name,
    list_runs,
    new_name,
    rename_run,
    run_named,
    shipped_folder,
    store_evaluation,
    store_mixture,
    tidy,
)
from vae_core.settings import Settings


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Run:
    return Run(Path(shutil.copytree(tiny_run, tmp_path / "copied")))


def one_component(latent_dim: int) -> LatentMixture:
    factors = np.eye(latent_dim, dtype=np.float32)[None]
    return LatentMixture(np.ones(1, np.float32), np.full((1, latent_dim), 0.5, np.float32), factors)


def test_a_run_is_loaded_by_path_and_by_name(run: Run) -> None:
    by_path, by_name = load_run(run.folder), load_run("copied", run.folder.parent)
    assert by_path.settings == by_name.settings
    assert by_path.settings.epochs == 2
    assert by_path.metrics[-1]["epoch"] == 2
    assert by_path.evaluation is not None
    images = torch.rand(2, 1, 28, 28)
    assert torch.equal(by_path.model.encode(images)[0], by_name.model.encode(images)[0])


def test_the_shipped_reference_is_found_from_anywhere(tmp_path: Path) -> None:
    loaded = load_run("reference", tmp_path)
    assert loaded.settings == Settings()
    assert loaded.info.folder.parent == shipped_folder().resolve()
    assert loaded.evaluation is not None
    assert loaded.evaluation.total <= 18.62


def test_an_unknown_run_is_refused_with_those_there_are(run: Run) -> None:
    with pytest.raises(RunError, match=r"no run named 'nope'; there are: reference.*copied"):
        find_run("nope", run.folder.parent)


def test_a_name_that_no_folder_can_have_is_an_unknown_run(run: Run) -> None:
    for name in ("x" * 5000, "a\0b", "", "\ud800", "../copied/run.json"):
        with pytest.raises(RunError, match="no run named"):
            find_run(name, run.folder.parent)


def test_a_name_finds_nothing_that_lies_elsewhere(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vae_core.ui.studio import Studio

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(run.folder.parent)  # from here the run's name is its path
    assert find_run("copied", elsewhere).folder == run.folder
    for found in (
        lambda: run_named("copied", elsewhere),
        lambda: Studio(elsewhere, None, "cpu").run("copied"),
    ):
        with pytest.raises(RunError, match="no run named 'copied'"):
            found()
    assert Studio(tmp_path, None, "cpu").run("copied").folder == run.folder


def test_runs_are_listed_shipped_first_then_newest_first(run: Run) -> None:
    record = json.loads((run.folder / "run.json").read_text())
    for name, created in (("b", "2024-05-01"), ("a", "2026-05-01"), ("c", "2025-05-01")):
        (run.folder.parent / name).mkdir()
        (run.folder.parent / name / "run.json").write_text(json.dumps(record | {"created": created}))
    (run.folder.parent / "not-a-run").mkdir()
    delete_run(run)
    names = [info.name for info in list_runs(run.folder.parent)]
    shipped = [name for name in SHIPPED_RUNS if (shipped_folder() / name).is_dir()]
    assert names == [*shipped, "a", "c", "b"]
    assert list_runs(run.folder.parent / "nowhere")[0].name == "reference"


def test_a_damaged_record_is_one_clear_error(run: Run) -> None:
    whole = (run.folder / "run.json").read_text()
    record = json.loads(whole)
    damaged: list[str | bytes] = [
        "", "[]", "null", "{", "[" * 100_000, whole[: len(whole) // 2], b"\xff\xfe\x00",
        json.dumps(record | {"format": 2}), json.dumps(record | {"state": "asleep"}),
        json.dumps(record | {"settings": {"epochs": "x"}}), json.dumps(record | {"settings": []}),
        json.dumps(record | {"epoch": None}), json.dumps(record | {"baselines": [1]}),
        json.dumps({key: value for key, value in record.items() if key != "data"}),
    ]  # fmt: skip
    for content in damaged:
        (run.folder / "run.json").write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(RunError, match="copied"):
            run.info()
        assert "copied" not in [info.name for info in list_runs(run.folder.parent)]


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("data.name", {"name": 1}), ("data.source", {"source": None}), ("data.is_sample", {"is_sample": 1}),
        ("data.training_images", {"training_images": -1}), ("data.test_images", {"test_images": 0.5}),
        ("result total", {"total": "much"}), ("result mse_mean", {"mse_mean": ""}), ("result x", {"x": [1]}),
        ("result x", {"x": True}),
    ],
)  # fmt: skip
def test_a_field_of_another_kind_is_named(run: Run, field: str, change: dict[str, Any]) -> None:
    record = json.loads((run.folder / "run.json").read_text())
    record["data" if field.startswith("data") else "results"].update(change)
    (run.folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=field):
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
    writer = RunWriter.create(tmp_path / "new", "mine", Settings(latent_dim=2), data, "CPU, 2 threads")
    run = Run(tmp_path / "new" / "mine")
    info = run.info()
    assert (info.name, info.folder, info.state, info.epoch) == ("mine", run.folder, "running", 0)
    assert (info.settings, info.data, info.device) == (Settings(latent_dim=2), data, "CPU, 2 threads")
    assert info.versions == {
        "python": platform.python_version(), "vae_core": __version__, "torch": version("torch"),
    }  # fmt: skip
    assert (info.elapsed_seconds, info.results, info.baselines) == (0, {}, {})
    assert (info.warning, info.error, info.has_model, info.is_shipped) == (None, None, False, False)
    assert abs(datetime.now(UTC) - datetime.fromisoformat(info.created)) < timedelta(minutes=5)
    changes = {
        "state": "failed", "epoch": 3, "elapsed_seconds": 2.5, "warning": "slow", "error": "no space",
        "results": {"total": 1.5, "iwae": None, "source": "a folder"}, "baselines": {"pca": 0.5},
    }  # fmt: skip
    writer.update(**changes)
    writer.close()
    told = run.info()
    assert told == replace(info, **changes)
    assert json.loads((run.folder / "run.json").read_text())["process"] == os.getpid()


def test_a_new_run_takes_nobodys_place(run: Run, tmp_path: Path) -> None:
    info = run.info()
    before = (run.folder / "run.json").read_bytes()
    with pytest.raises(RunError, match="already a run named copied"):
        RunWriter.create(tmp_path, "copied", info.settings, info.data, info.device)
    assert (run.folder / "run.json").read_bytes() == before
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot write to .*file"):
        RunWriter.create(tmp_path / "file", "new", info.settings, info.data, info.device)


def test_a_run_without_a_finished_epoch_has_nothing_to_show_yet(tmp_path: Path) -> None:
    RunWriter.create(tmp_path, "mine", Settings(), {"name": "a set"}, "CPU").close()
    run = Run(tmp_path / "mine")
    assert run.info().state == "interrupted"
    assert run.metrics() == ([], 0)
    assert run.evaluation() is run.evaluation_or_none() is run.mixture() is None
    assert run.previews() == []
    for read in (run.model, run.training_state):
        with pytest.raises(RunError, match=r"mine has no (model|training_state).safetensors: no epoch"):
            read()
    with pytest.raises(RunError, match="python -m vae_core evaluate mine"):
        run.required_mixture()


def test_a_mixture_belongs_to_the_weights_it_was_fitted_to(run: Run) -> None:
    assert store_mixture(run.info(), one_component(16))
    assert np.array_equal(run.required_mixture().means, one_component(16).means)
    other = VAE(16)
    writer = RunWriter(run.folder)
    writer.save_model(other, run.info().settings)
    writer.close()
    assert run.mixture() is None
    assert torch.equal(run.model().encoder[0].weight, other.encoder[0].weight)
    with safe_open(run.folder / "model.safetensors", "pt") as file:
        assert Settings.from_dict(json.loads(file.metadata()["settings"])) == run.info().settings


def test_what_is_of_another_number_of_latents_is_refused(run: Run) -> None:
    evaluation = run.evaluation()
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
        with pytest.raises(RunError, match=r"copied: .* is of 2 latents; expected 16"):
            read()
    assert run.evaluation_or_none() is None
    (run.folder / "mixture.npz").write_bytes(b"no mixture")
    with pytest.raises(RunError, match="copied"):
        run.mixture()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=400))
def test_any_bytes_in_any_file_give_one_clear_error(run: Run, content: bytes) -> None:
    for name, read in (("model.safetensors", run.model), ("evaluation.npz", run.evaluation)):
        whole = (run.folder / name).read_bytes()
        (run.folder / name).write_bytes(content)
        with pytest.raises(RunError, match="copied"):
            read()
        (run.folder / name).write_bytes(whole[: len(whole) - len(content) - 1])
        with pytest.raises(RunError, match="copied"):
            read()
        (run.folder / name).write_bytes(whole)


def test_weights_that_do_not_fit_are_refused(run: Run) -> None:
    weights = {name: value.contiguous() for name, value in run.model().state_dict().items()}
    save_file(weights | {"decoder.0.bias": torch.zeros(7)}, run.folder / "model.safetensors")
    with pytest.raises(RunError, match="do not fit"):
        run.model()
    save_file(weights | {"decoder.0.bias": torch.full((3136,), torch.nan)}, run.folder / "model.safetensors")
    with pytest.raises(RunError, match="not finite"):
        run.model()


class Planted:
    """Unpickling this would leave a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return (Path.touch, (self.trace,))


def test_a_planted_pickle_is_never_read(run: Run, tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    attack = np.empty(1, object)
    attack[0] = Planted(trace)
    buffer = io.BytesIO()
    with np.load(run.folder / "evaluation.npz") as arrays:
        np.savez(buffer, **{**arrays, "errors": attack})
    (run.folder / "evaluation.npz").write_bytes(buffer.getvalue())
    for name in ("model.safetensors", "training_state.safetensors", "run.json"):
        (run.folder / name).write_bytes(pickle.dumps(Planted(trace)))
    for read in (run.evaluation, run.model, run.training_state, run.info):
        with pytest.raises(RunError):
            read()
    assert not trace.exists()


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
    assert run.metrics(10**9) == run.metrics(-1) == run.metrics(0)


def test_reports_come_back_rounded_and_without_what_is_no_figure(run: Run) -> None:
    row = {
        "epoch": 2, "iteration": 21, "total": 1.23456789, "reconstruction": 1, "kl": 0.5,
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
    monkeypatch.setattr(runs, "MOST_METRIC_BYTES", 700)  # a part of the file
    assert len(run.metrics()[0]) < len(rows)
    assert load_run(run.folder).metrics == rows
    writer = RunWriter(run.folder)
    writer.forget_after(2)
    writer.close()
    monkeypatch.undo()
    assert run.metrics()[0] == rows


def test_the_latest_reports_are_the_last_of_a_long_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    longer(run)
    rows = run.all_metrics()
    monkeypatch.setattr(runs, "LATEST_METRIC_BYTES", 10**6)
    assert run.latest_metrics() == rows
    monkeypatch.setattr(runs, "LATEST_METRIC_BYTES", 1000)
    latest = run.latest_metrics()
    assert 0 < len(latest) < len(rows)
    assert latest == rows[-len(latest) :]


def test_who_follows_a_run_hears_that_its_file_was_cut_and_has_grown_again(run: Run) -> None:
    from vae_core.ui.studio import Studio
    from vae_core.ui.watching import training_news

    studio = Studio(run.folder.parent, None, "cpu")
    first = training_news(studio, watch="copied")
    assert first["fresh"]
    known = {"known": "copied", "offset": first["offset"], "generation": first["generation"]}
    assert not training_news(studio, watch="copied", **known)["fresh"]
    rows = run.all_metrics()
    writer = RunWriter(run.folder)
    writer.forget_after(1)
    for row in [row for row in rows if row["epoch"] == 2] + rows[-1:]:
        writer.append_metrics(row)
    writer.close()
    second = training_news(studio, watch="copied", **known)
    assert second["offset"] > first["offset"]
    assert second["fresh"]
    assert len(second["points"]) == len(rows) + 1


def test_the_status_of_a_training_is_the_news_without_the_curve(run: Run) -> None:
    from vae_core.ui.studio import Studio
    from vae_core.ui.watching import training_news, training_status

    studio = Studio(run.folder.parent, None, "cpu")
    news, status = training_news(studio), training_status(studio)
    assert status["run"] == "copied"
    assert status["test_total"] == pytest.approx(news["tests"][-1][1], rel=1e-5)
    assert {name: news[name] for name in status if name != "test_total"} == {
        name: value for name, value in status.items() if name != "test_total"
    }


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


def test_a_run_that_is_gone_cannot_be_asked_to_stop(run: Run) -> None:
    delete_run(run)
    with pytest.raises(RunError, match="copied cannot be asked to stop: No such file"):
        run.request_stop()


def test_a_folder_in_a_files_place_is_one_clear_error(run: Run) -> None:
    for name, read in (
        ("metrics.jsonl", run.metrics),
        ("evaluation.npz", run.evaluation),
        ("mixture.npz", run.mixture),
    ):
        (run.folder / name).unlink(missing_ok=True)
        (run.folder / name).mkdir()
        with pytest.raises(RunError, match=f"copied: {name} cannot be read"):
            read()


@pytest.mark.parametrize("state", ["stopped", "finished", "failed", "interrupted"])
def test_a_run_that_has_ended_stays_as_it_ended(run: Run, state: str) -> None:
    record = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps(record | {"state": state, "epoch": 1}))
    assert run.info().state == state


def test_a_run_without_a_process_is_interrupted(run: Run) -> None:
    record = json.loads((run.folder / "run.json").read_text())
    # Process 1 lives, but it is not ours: ids are never compared.
    (run.folder / "run.json").write_text(json.dumps(record | {"state": "running", "process": 1, "epoch": 1}))
    assert run.info().state == "interrupted"


def test_a_run_whose_process_was_killed_after_its_last_epoch_is_finished(run: Run) -> None:
    record = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps(record | {"state": "running"}))
    assert run.info().state == "finished"


def test_a_system_without_flock_tells_a_running_run_from_an_ended_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "fcntl", None)
    writer = RunWriter.create(tmp_path, "mine", Settings(), {"name": "a set"}, "CPU")
    assert Run(writer.folder).info().state == "running"
    writer.close()
    assert Run(writer.folder).info().state == "interrupted"


def test_many_who_look_at_once_do_not_take_one_another_for_a_training(run: Run) -> None:
    record = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps(record | {"state": "running", "epoch": 1}))

    def look(_: int) -> set[str]:
        return {run.info().state for _ in range(200)}

    with ThreadPoolExecutor(8) as visitors:
        assert set().union(*visitors.map(look, range(8))) == {"interrupted"}


def test_what_killed_processes_left_behind_is_tidied_away_and_nothing_else(run: Run, tmp_path: Path) -> None:
    whole = {path for path in tmp_path.rglob("*") if path.name != "run.lock"}
    for file in ("copied/.run.json.123.tmp", "copied/previews/.000001-samples.png.9.tmp"):
        (tmp_path / file).write_bytes(b"torn")
    (tmp_path / ".incoming-x").mkdir()
    (tmp_path / ".incoming-x" / ".lock").touch()
    for name in ("never-begun", "just-begun", "somebodys"):
        (tmp_path / name / "previews").mkdir(parents=True)
        (tmp_path / name / "run.lock").touch()
    (tmp_path / "never-begun" / ".run.json.123.tmp").touch()
    (tmp_path / "somebodys" / "notes.txt").touch()
    for name in ("never-begun", "somebodys"):
        os.utime(tmp_path / name, (0, 0))
    tidy(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"copied", "just-begun", "somebodys"}
    assert whole <= set(tmp_path.rglob("*"))
    assert not list(tmp_path.rglob("*.tmp"))
    tidy(tmp_path / "nowhere")


def test_a_run_in_training_is_not_tidied(run: Run) -> None:
    writer = RunWriter(run.folder)
    (run.folder / ".run.json.123.tmp").write_bytes(b"being written")
    thread = threading.Thread(target=tidy, args=(run.folder.parent,))
    thread.start()
    thread.join()
    assert (run.folder / ".run.json.123.tmp").exists()
    writer.close()


def test_a_clock_set_back_makes_no_new_run_an_old_one(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = Run(tiny_run).info()

    class Clock(datetime):
        moment = datetime(2026, 5, 1, 12, tzinfo=UTC)

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return cls.moment.astimezone(tz)

    monkeypatch.setattr(runs, "datetime", Clock)
    names = []
    for moment in (
        Clock.moment,
        datetime(1970, 1, 1, tzinfo=UTC),
        Clock.moment,
        datetime(2020, 1, 1, tzinfo=UTC),
    ):
        Clock.moment = moment
        names.append(new_name(tmp_path))
        RunWriter.create(tmp_path, names[-1], info.settings, info.data, "CPU").close()
    assert len(set(names)) == 4
    assert [info.name for info in list_runs(tmp_path) if not info.is_shipped] == names[::-1]


@pytest.mark.parametrize("created", ["9999-12-31T23:59:59+00:00", "2026-05-01", "yesterday"])
def test_a_date_of_another_make_keeps_no_new_run_from_being_made(run: Run, created: str) -> None:
    record = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps(record | {"created": created}))
    RunWriter.create(run.folder.parent, "new", Settings(), {"name": "a set"}, "CPU").close()
    assert datetime.fromisoformat(Run(run.folder.parent / "new").info().created).year < 9999


def test_a_run_is_running_while_a_process_holds_its_lock(run: Run) -> None:
    record = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps(record | {"state": "running", "epoch": 1}))
    hold = (
        "import sys, pathlib; from vae_core.runs import RunWriter;"
        "run = RunWriter(pathlib.Path(sys.argv[1])); print('held', flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(run.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert run.info().state == "running"
        with pytest.raises(RunError, match="is being trained"):
            RunWriter(run.folder)
        for change in (delete_run, lambda run: rename_run(run, "other")):
            with pytest.raises(RunError, match="stop it first"):
                change(run)
    finally:
        holder.kill()
        holder.wait()
    assert run.info().state == "interrupted"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../x", "a b", "ä", "-x", "x" * 65, "a\nb", "reference", "x."]
)
def test_names_that_cannot_be_used_are_refused(name: str) -> None:
    with pytest.raises(RunError):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "7", "x" * 64, "Beta-4_b.2"])
def test_names_that_can_be_used_are_accepted(name: str) -> None:
    check_name(name)


def test_taken_names_are_numbered(run: Run, tmp_path: Path) -> None:
    assert free_name(tmp_path, "copied") == "copied-2"
    (tmp_path / "copied-2").touch()
    assert free_name(tmp_path, "copied") == "copied-3"
    assert free_name(tmp_path, "other") == "other"
    assert re.fullmatch(r"run-\d{8}-\d{6}", new_name(tmp_path))
    assert new_name(tmp_path, "digits").startswith("digits-2")


def test_renaming_and_deleting(run: Run) -> None:
    renamed = rename_run(run, "renamed")
    assert renamed.info().name == "renamed"
    assert not run.folder.exists()
    with pytest.raises(RunError, match="already a run"):
        rename_run(renamed, "renamed")
    for name, reason in (("reference", "shipped run"), ("../outside", "letter or digit")):
        with pytest.raises(RunError, match=reason):
            rename_run(renamed, name)
    delete_run(renamed)
    assert not renamed.folder.exists()


def test_a_folder_that_cannot_be_moved_or_deleted_is_one_clear_error(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(RunError, match="copied cannot be renamed: Operation not permitted"):
        rename_run(run, "other")
    with pytest.raises(RunError, match="copied cannot be deleted: Operation not permitted"):
        delete_run(run)


def test_the_shipped_runs_stay() -> None:
    shipped = find_run("reference")
    for change in (delete_run, lambda run: rename_run(run, "mine")):
        with pytest.raises(RunError, match="shipped run"):
            change(shipped)


def test_a_failed_write_leaves_the_old_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (run.folder / "run.json").read_bytes()
    writer = RunWriter(run.folder)
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space"):
        writer.update(state="failed")
    writer.close()
    assert (run.folder / "run.json").read_bytes() == before
    assert not list(run.folder.glob(".*.tmp"))


def test_what_came_with_the_package_is_measured_and_left_as_it_is() -> None:
    info = find_run("plane").info()
    evaluation = Run(info.folder).evaluation()
    assert evaluation is not None
    before = {path.name: path.read_bytes() for path in info.folder.glob("*.*")}
    assert not store_evaluation(info, replace(evaluation, total=1.0))
    assert not store_mixture(info, one_component(2))
    assert {path.name: path.read_bytes() for path in info.folder.glob("*.*")} == before


def test_on_a_full_disk_a_run_keeps_what_it_has(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    info, evaluation = run.info(), run.evaluation()
    assert evaluation is not None
    before = (run.folder / "evaluation.npz").read_bytes()
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left")))
    assert not store_evaluation(info, replace(evaluation, total=1.0))
    assert not store_mixture(info, one_component(16))
    assert (run.folder / "evaluation.npz").read_bytes() == before
    assert run.mixture() is None
    RunWriter(run.folder).close()  # which nobody holds any more
    with pytest.raises(RunError, match=r"cannot write to .*: No space left; free some space"):
        RunWriter.create(run.folder.parent, "new", info.settings, info.data, info.device)
    assert [path.name for path in run.folder.parent.iterdir()] == ["copied"]


def test_the_training_state_comes_back_as_it_was_saved(run: Run) -> None:
    writer = RunWriter(run.folder)
    writer.save_training_state({"step": torch.tensor([7]), "moments": torch.tensor([[0.5, -1.0]])})
    writer.close()
    state = run.training_state()
    assert {name: value.tolist() for name, value in state.items()} == {"step": [7], "moments": [[0.5, -1.0]]}


def test_an_evaluation_on_other_images_is_not_stored(run: Run) -> None:
    evaluation = run.evaluation()
    assert evaluation is not None
    info = run.info()
    assert store_evaluation(info, evaluation)
    assert not store_evaluation(info, replace(evaluation, name="another set"))


def test_a_run_in_training_keeps_the_evaluation_it_has(run: Run) -> None:
    info, evaluation = run.info(), run.evaluation()
    assert evaluation is not None
    better = replace(evaluation, total=1.0)
    writer = RunWriter(run.folder)
    assert not store_evaluation(info, better, one_component(16))
    assert not store_mixture(info, one_component(16))
    writer.close()
    assert not (run.folder / "mixture.npz").exists()
    assert store_evaluation(info, better, one_component(16))
    assert run.info().results["total"] == 1.0
    assert run.info().results["mse_mean_decoded"] == pytest.approx(evaluation.errors_mean.mean())
    assert run.required_mixture().latent_dim == 16
