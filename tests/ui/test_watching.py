"""What the Train tab is told of a run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vae_core import data
from vae_core.run_folder import Run, RunWriter
from vae_core.run_record import METRIC_NAMES
from vae_core.runs import create_run, find_run
from vae_core.settings import Settings


def test_who_follows_a_run_hears_that_its_file_was_cut_and_has_grown_again(run: Run) -> None:
    from vae_core.ui.studio import Studio
    from vae_core.ui.watching import training_news

    studio = Studio(run.folder.parent, None, "cpu")
    first = training_news(studio, watch="copied")
    assert first["fresh"]
    known = {"known": "copied"} | {name: first[name] for name in ("offset", "generation", "created")}
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


def test_a_long_curve_is_made_of_some_of_its_reports_and_ends_where_they_end(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vae_core.ui import watching
    from vae_core.ui.studio import Studio

    studio = Studio(run.folder.parent, None, "cpu")
    whole = watching.training_news(studio, watch="copied")
    monkeypatch.setattr(watching, "MOST_READ", 5)
    some = watching.training_news(studio, watch="copied")
    assert len(some["points"]) < len(whole["points"])
    assert some["points"][-1] == whole["points"][-1]
    assert {**some, "points": None} == {**whole, "points": None}
    curve = watching.run_curve(run)["points"]
    assert curve == [point[:2] for point in some["points"]]


def test_who_follows_a_run_hears_that_its_name_is_another_ones_now(run: Run) -> None:
    from vae_core.ui.studio import Studio
    from vae_core.ui.watching import training_news

    studio = Studio(run.folder.parent, None, "cpu")
    first = training_news(studio, watch="copied")
    known = {"known": "copied"} | {name: first[name] for name in ("offset", "generation", "created")}
    shutil.rmtree(run.folder)
    shutil.copytree(find_run("sharp").folder, run.folder)
    second = training_news(studio, watch="copied", **known)
    assert second["fresh"]
    assert second["points"][0][0] < first["offset"]


def test_the_time_of_a_run_that_is_trained_is_that_of_its_last_report(
    dataset: data.Dataset, tmp_path: Path
) -> None:
    from vae_core.ui.watching import run_listing

    writer = create_run(tmp_path, "run", Settings(), dataset.facts(None), "cpu")
    row = dict.fromkeys(METRIC_NAMES, 1) | {"elapsed_seconds": 7.5}
    writer.append_metrics(row)
    assert run_listing([writer.info()])[0]["seconds"] == 7.5
    writer.close()


def test_the_status_of_a_training_is_the_news_without_the_curve(run: Run) -> None:
    from vae_core.ui.studio import Studio
    from vae_core.ui.watching import training_news, training_status

    studio = Studio(run.folder.parent, None, "cpu")
    news, status = training_news(studio), training_status(studio)
    assert status["run"] == "copied"
    assert not {"noun", "plural", "data_note"} & set(status)  # those are for the page's sentences
    assert status["test_total"] == pytest.approx(news["tests"][-1][1], rel=1e-5)
    assert status["changes"]["limit"] == news["changes"]["Limit of training images"] == 640
    other = set(status) - {"test_total", "changes"}
    assert {name: news[name] for name in other} == {name: status[name] for name in other}


def test_that_a_stopped_run_is_still_being_measured_is_told(run: Run) -> None:
    from vae_core.ui.studio import Studio
    from vae_core.ui.watching import training_news

    studio = Studio(run.folder.parent, None, "cpu")
    assert not training_news(studio)["measuring"]
    writer = create_run(run.folder.parent, "newer", Settings(), {"name": "a set"}, "CPU")
    assert not training_news(studio)["measuring"]  # it is still being trained
    writer.update(state="stopped")
    assert training_news(studio)["measuring"]
    writer.update(results={"total": 20.0})
    assert not training_news(studio)["measuring"]
    writer.update(results={})
    writer.close()  # the process has ended, without a figure
    assert not training_news(studio)["measuring"]


def test_a_run_that_was_seen_in_training_is_watched_on_when_it_has_ended(run: Run) -> None:
    from vae_core.ui.studio import Studio
    from vae_core.ui.watching import training_news

    studio = Studio(run.folder.parent, None, "cpu")
    create_run(run.folder.parent, "newer", Settings(), {"name": "a set"}, "CPU").close()
    assert training_news(studio)["run"] == "newer"
    assert training_news(studio, known="copied")["run"] == "copied"
    assert training_news(studio, known="deleted")["run"] == "newer"
    assert training_news(studio, watch="copied")["epoch"] == 2  # finished ones
    assert training_news(studio, watch="deleted", known="copied")["run"] == "copied"
    assert not training_news(studio, watch="newer")["training"]
    writer = RunWriter(run.folder)
    writer.update(state="running")
    assert training_news(studio, known="newer")["run"] == "copied"
    assert training_news(studio, watch="newer")["training"]  # another one is
    writer.close()


def test_who_trains_on_a_sample_or_another_set_is_told_before(
    run: Run, small_mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vae_core.ui.studio import Studio
    from vae_core.ui.watching import training_news

    monkeypatch.setattr(data, "_download", lambda target: False)
    for data_dir, note in (
        (str(small_mnist), "What you train here learns from 28x28 IDX set"),
        (None, "What you train here learns from a sample of 5,000"),
    ):
        studio = Studio(run.folder.parent, data_dir, "cpu")
        assert training_news(studio)["data_note"] is None  # not known yet
        studio.dataset()
        said = training_news(studio)["data_note"]
        assert said.startswith(note)
