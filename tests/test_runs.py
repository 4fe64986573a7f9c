"""The runs there are: found, listed, made, renamed, deleted, tidied; what is measured of one is kept."""

from __future__ import annotations

import json
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import pytest
import torch

from support.runs import change_record, one_component
from vae_core import load_run, runs
from vae_core.errors import RunError
from vae_core.run_folder import Run, RunWriter
from vae_core.run_record import SHIPPED_RUNS
from vae_core.run_results import store_evaluation, store_mixture
from vae_core.runs import (
    MOST_NAME,
    check_name,
    check_runs_dir,
    create_run,
    delete_run,
    find_run,
    free_name,
    list_runs,
    new_name,
    rename_run,
    run_named,
    running_runs,
    shipped_folder,
    tidy,
)
from vae_core.settings import Settings


def test_a_run_is_loaded_by_path_and_by_name(run: Run) -> None:
    by_path, by_name = load_run(run.folder), load_run(Path("copied"), run.folder.parent)
    assert by_path.settings == by_name.settings
    assert by_path.settings.epochs == 2
    assert by_path.info.has_model
    assert by_path.metrics[-1]["epoch"] == 2
    assert by_path.evaluation is not None
    images = torch.rand(2, 1, 28, 28)
    assert torch.equal(by_path.model.encode(images)[0], by_name.model.encode(images)[0])


def test_a_folder_whose_name_cannot_be_chosen_is_not_listed(run: Run) -> None:
    for name in ("x" * 64, "x" * 65, "two words"):
        shutil.copytree(run.folder, run.folder.parent / name)
    listed = {info.name for info in list_runs(run.folder.parent)} - set(SHIPPED_RUNS)
    assert listed == {"copied", "x" * 64}
    assert all(run_named(name, run.folder.parent) for name in listed)
    assert find_run(run.folder.parent / "two words").folder.name == "two words"


def test_the_shipped_reference_is_found_from_anywhere(tmp_path: Path) -> None:
    loaded = load_run("reference", tmp_path)
    assert loaded.settings == Settings()
    assert loaded.info.folder.parent == shipped_folder().resolve()
    assert loaded.evaluation is not None
    assert loaded.evaluation.total <= 18.62


def test_the_shipped_runs_lie_in_the_checkout_or_in_the_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "__file__", str(tmp_path / "vae_core" / "runs.py"))
    installed = tmp_path / "vae_core" / "shipped"
    assert shipped_folder() == installed
    with pytest.raises(RunError, match=r"no run named 'nope'; there are: none$"):
        find_run("nope", tmp_path)
    (tmp_path / "app.py").touch()
    assert shipped_folder() == installed
    (tmp_path / "checkpoints").mkdir()
    assert shipped_folder() == tmp_path / "checkpoints"
    (tmp_path / "app.py").unlink()  # the checkpoints are somebody else's
    assert shipped_folder() == installed


def test_an_unknown_run_is_refused_with_those_there_are(run: Run) -> None:
    known = ", ".join([*SHIPPED_RUNS, "copied"])
    with pytest.raises(RunError, match=f"^no run named 'nope'; there are: {known}$"):
        find_run("nope", run.folder.parent)


def test_what_is_neither_name_nor_path_is_no_run() -> None:
    with pytest.raises(RunError, match=r"^expected a run's name, or the path of its folder, not 5$"):
        find_run(5)  # type: ignore[arg-type]


def test_a_run_of_ones_own_comes_before_a_shipped_one_of_its_name(run: Run) -> None:
    own = run.folder.rename(run.folder.with_name("quick"))
    listed = [info.folder for info in list_runs(own.parent) if info.name == "quick"]
    assert [run_named("quick", own.parent).folder] == listed == [own]


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
    assert find_run("copied", elsewhere).folder == run_named("copied", ".").folder == run.folder
    assert list_runs(".")[-1].folder == run.folder
    for found in (
        lambda: run_named("copied", elsewhere),
        lambda: Studio(elsewhere, None, "cpu").run("copied"),
    ):
        with pytest.raises(RunError, match="no run named 'copied'"):
            found()
    assert Studio(tmp_path, None, "cpu").run("copied").folder == run.folder


def test_beside_a_folder_of_runs_only_the_shipped_ones_are_found(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source checkout's own runs lie where the shipped ones do."""
    monkeypatch.setattr(runs, "shipped_folder", lambda: run.folder.parent)
    shutil.copytree(run.folder, run.folder.with_name("reference"))
    assert [info.name for info in list_runs(tmp_path / "elsewhere")] == ["reference"]
    assert [info.name for info in list_runs(run.folder.parent)] == ["reference", "copied"]
    assert run_named("reference", tmp_path / "elsewhere").name == "reference"
    with pytest.raises(RunError, match="no run named 'copied'; there are: reference"):
        run_named("copied", tmp_path / "elsewhere")


def test_runs_are_listed_shipped_first_then_newest_first(run: Run) -> None:
    record = json.loads((run.folder / "run.json").read_text())
    same = [(name, "2023-05-01") for name in "hgfed"]  # these by name
    for name, created in (("b", "2024-05-01"), ("a", "2026-05-01"), ("c", "2025-05-01"), *same):
        (run.folder.parent / name).mkdir()
        (run.folder.parent / name / "run.json").write_text(json.dumps(record | {"created": created}))
    (run.folder.parent / "not-a-run").mkdir()
    delete_run(run)
    names = [info.name for info in list_runs(run.folder.parent)]
    shipped = [name for name in SHIPPED_RUNS if (shipped_folder() / name).is_dir()]
    assert names == [*shipped, "a", "c", "b", *"defgh"]
    for nowhere in ("nowhere", "x" * 5000):
        assert [info.name for info in list_runs(run.folder.parent / nowhere)] == shipped


def test_those_in_training_are_found_newest_first(run: Run) -> None:
    parent = run.folder.parent
    copies = [Run(shutil.copytree(run.folder, parent / name)) for name in ("a", "b", "c", "d")]
    writers = [RunWriter(copy.folder) for copy in copies[:3]]
    for writer, state, year in zip(
        writers, ("running", "stopped", "running"), (2024, 2026, 2025), strict=True
    ):
        writer.update(state=state, created=f"{year}-05-01")
    assert [info.name for info in running_runs(parent)] == ["c", "a"]
    for writer in writers:
        writer.close()
    assert running_runs(parent) == running_runs(parent / "nowhere") == []


def test_a_new_run_takes_nobodys_place(run: Run, tmp_path: Path) -> None:
    info = run.info()
    before = (run.folder / "run.json").read_bytes()
    for name, reason in (
        ("copied", "^there is already a run named copied; choose another name$"),
        ("Copied", "^there is already a run named copied; choose another name$"),
        ("quick", r"^the name quick is a shipped run's; choose another name$"),
        ("Quick", r"^the name Quick is a shipped run's; choose another name$"),
    ):
        with pytest.raises(RunError, match=reason):
            create_run(tmp_path, name, info.settings, info.data, info.device)
    assert (run.folder / "run.json").read_bytes() == before
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"^cannot write to folder file: "):
        create_run(tmp_path / "file", "new", info.settings, info.data, info.device)


def test_what_killed_processes_left_behind_is_tidied_away_and_nothing_else(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.folder, tmp_path / "another")
    shutil.copytree(run.folder, tmp_path / "elsewhere" / "run")
    whole = {path for path in tmp_path.rglob("*") if path.name != "run.lock"}
    for file in ("copied/.run.json.123.tmp", "another/previews/.000001-samples.png.9.tmp"):
        (tmp_path / file).write_bytes(b"torn")
    (tmp_path / ".incoming-x").mkdir()
    (tmp_path / ".incoming-x" / ".lock").touch()
    never_begun = ["never-begun", "never-locked", "begun-tomorrow"]
    kept = ["just-begun", "locked", "somebodys", "pictures"]
    for name in (*never_begun, *kept):
        (tmp_path / name / "previews").mkdir(parents=True)
        (tmp_path / name / "run.lock").touch()
    (tmp_path / "never-begun" / ".run.json.123.tmp").touch()
    (tmp_path / "never-locked" / "run.lock").unlink()
    (tmp_path / "somebodys" / "notes.txt").touch()
    (tmp_path / "pictures" / "previews" / "cat.png").touch()
    training = RunWriter(tmp_path / "locked")
    for name in ("never-begun", "never-locked", "locked", "somebodys", "pictures"):
        os.utime(tmp_path / name, (0, 0))
    os.utime(tmp_path / "begun-tomorrow", (2**32, 2**32))
    linked = tmp_path / "elsewhere" / "run" / ".run.json.123.tmp"
    linked.write_bytes(b"being written")
    (tmp_path / "link").symlink_to(linked.parent)
    (tmp_path / "a-file").touch()
    tidy(tmp_path)
    training.close()
    left = {"copied", "another", "elsewhere", "link", "a-file", *kept}
    assert {path.name for path in tmp_path.iterdir()} == left
    assert whole <= set(tmp_path.rglob("*"))
    assert list(tmp_path.rglob("*.tmp")) == [linked]
    tidy(tmp_path / "nowhere")


@pytest.mark.usefixtures("short_wait")
def test_a_run_in_training_is_not_tidied(run: Run) -> None:
    writer = RunWriter(run.folder)
    (run.folder / ".run.json.123.tmp").write_bytes(b"being written")
    with ThreadPoolExecutor(1) as another:
        another.submit(tidy, run.folder.parent).result()
    assert (run.folder / ".run.json.123.tmp").exists()
    writer.close()


def test_a_run_of_which_nothing_was_left_behind_is_not_even_locked(run: Run) -> None:
    (run.folder / "run.lock").unlink()
    tidy(run.folder.parent)
    assert not (run.folder / "run.lock").exists()


def test_runs_can_lie_in_a_folder_that_is_there_or_can_be_made(tmp_path: Path) -> None:
    check_runs_dir(tmp_path)
    check_runs_dir(tmp_path / "new" / "runs")
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "runs"):
        with pytest.raises(RunError, match=r"^/.* cannot be the folder of runs: Not a directory$"):
            check_runs_dir(folder)


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
        create_run(tmp_path, names[-1], info.settings, info.data, "CPU").close()
    assert len(set(names)) == 4
    assert [info.name for info in list_runs(tmp_path) if not info.is_shipped] == names[::-1]


@pytest.mark.parametrize("created", ["9999-12-31T23:59:59+00:00", "2026-05-01", "yesterday"])
def test_a_date_of_another_make_keeps_no_new_run_from_being_made(run: Run, created: str) -> None:
    change_record(run.folder, created=created)
    create_run(run.folder.parent, "new", Settings(), {"name": "a set"}, "CPU").close()
    assert datetime.fromisoformat(Run(run.folder.parent / "new").info().created).year < 9999


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
    assert free_name(tmp_path, "Copied") == "Copied-3"
    assert free_name(tmp_path, "other") == "other"
    assert free_name(tmp_path / "nowhere", "copied") == "copied"
    assert re.fullmatch(r"run-\d{8}-\d{6}", new_name(tmp_path))


def test_the_number_of_a_name_that_is_taken_leaves_it_a_runs_name(tmp_path: Path) -> None:
    longest = "x" * MOST_NAME
    (tmp_path / longest).mkdir()
    assert free_name(tmp_path, longest) == "x" * (MOST_NAME - 2) + "-2"
    check_name(free_name(tmp_path, longest))


def test_renaming_and_deleting(run: Run) -> None:
    other = Run(shutil.copytree(run.folder, run.folder.with_name("other")))
    renamed = rename_run(rename_run(run, "renamed"), "Renamed")
    assert renamed.info().name == "Renamed"
    assert not run.folder.exists()
    for name, reason in (
        ("other", "^there is already a run named other; choose another name$"),
        ("OTHER", "^there is already a run named other; choose another name$"),
        ("reference", "shipped run"),
        ("../outside", "letter or number"),
    ):
        with pytest.raises(RunError, match=reason):
            rename_run(renamed, name)
    delete_run(renamed)
    assert not renamed.folder.exists()
    assert other.info().name == "other"


def test_a_run_in_training_is_neither_renamed_nor_deleted(run: Run) -> None:
    writer = RunWriter(run.folder)
    reasons = {
        "running": "is being trained and cannot be {}; stop it first$",
        "stopped": "is being written and cannot be {} yet; try again",  # its last results
    }
    for state, why in reasons.items():
        writer.update(state=state)
        for act, what in (
            (lambda: rename_run(run, "other"), "renamed"),
            (lambda: delete_run(run), "deleted"),
        ):
            with pytest.raises(RunError, match=f"^run copied {why.format(what)}"):
                act()
    writer.close()
    assert run.info().state == "stopped"


def test_a_folder_that_cannot_be_moved_or_deleted_is_one_clear_error(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(RunError, match=r"^run copied cannot be renamed: Operation not permitted$"):
        rename_run(run, "other")
    with pytest.raises(RunError, match=r"^run copied cannot be deleted: Operation not permitted$"):
        delete_run(run)


def test_a_link_to_a_run_is_not_deleted_for_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run.folder)
    with pytest.raises(RunError, match=r"^run link cannot be deleted: .* symbolic link$"):
        delete_run(run_named("link", tmp_path))
    assert run.info().state == "finished"


def test_a_link_to_a_run_goes_by_its_own_name(run: Run, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "link").symlink_to(run.folder)
    listed = [info.name for info in list_runs(tmp_path / "runs") if not info.is_shipped]
    assert listed == ["link"]
    assert run_named("link", tmp_path / "runs").info().name == "link"
    assert rename_run(run_named("link", tmp_path / "runs"), "renamed").info().name == "renamed"
    assert run.info().name == "copied"


def test_the_shipped_runs_stay() -> None:
    shipped = find_run("reference")
    for what, change in (("deleted", delete_run), ("renamed", lambda run: rename_run(run, "mine"))):
        with pytest.raises(RunError, match=f"^run reference came with the package and cannot be {what}$"):
            change(shipped)


def test_on_a_full_disk_a_run_keeps_what_it_has(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    info, evaluation = run.info(), run.evaluation()
    assert evaluation is not None
    before = (run.folder / "evaluation.npz").read_bytes()
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(RunError, match=r"^cannot write to folder copied: No space left; free some space"):
        store_evaluation(info, run.weights_version(), replace(evaluation, total=1.0))
    with pytest.raises(RunError, match="No space left"):
        store_mixture(info, run.weights_version(), one_component(16))
    assert (run.folder / "evaluation.npz").read_bytes() == before
    assert run.mixture() is None
    RunWriter(run.folder).close()  # which nobody holds any more
    with pytest.raises(RunError, match=r"^cannot write to folder .*: No space left; free some space"):
        create_run(run.folder.parent, "new", info.settings, info.data, info.device)
    assert [path.name for path in run.folder.parent.iterdir()] == ["copied"]


def test_a_new_run_that_cannot_be_locked_leaves_no_folder(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    info, real = run.info(), os.open

    def full(path: Any, *rest: Any, **options: Any) -> int:
        if str(path).endswith("run.lock"):
            raise OSError(28, "No space left")
        return real(path, *rest, **options)

    monkeypatch.setattr("os.open", full)
    with pytest.raises(RunError, match=r"^cannot write to folder new: No space left; free some space"):
        create_run(run.folder.parent, "new", info.settings, info.data, info.device)
    assert [path.name for path in run.folder.parent.iterdir()] == ["copied"]


def test_a_loaded_run_shows_itself_in_a_few_lines() -> None:
    assert len(repr(load_run("reference"))) < 5000
