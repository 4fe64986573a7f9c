"""What the Train tab is told of a run."""

from __future__ import annotations

import pytest

from vae_core.run_folder import Run, RunWriter


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
