from __future__ import annotations

import threading

import pytest

from vae_core.errors import RequestError
from vae_core.progress import Progress
from vae_core.ui.background import MOST_KEPT, Background


def test_a_computation_is_done_once_whoever_asks() -> None:
    background, calls = Background(), []

    def compute(progress: Progress) -> int:
        calls.append(1)
        return 7

    assert [background.task("a", compute).result.result(10) for _ in range(3)] == [7, 7, 7]
    assert calls == [1]


def test_its_progress_can_be_asked_and_another_waits_its_turn() -> None:
    background, told, go_on = Background(), threading.Event(), threading.Event()

    def first(progress: Progress) -> str:
        progress(3, 10)
        told.set()
        assert go_on.wait(10)
        return "first"

    one = background.task("first", first)
    assert told.wait(10)
    two = background.task("second", lambda progress: "second")
    assert (one.done, one.count, one.result.done()) == (3, 10, False)
    assert (two.count, two.result.done()) == (0, False)
    go_on.set()
    assert (one.result.result(10), two.result.result(10)) == ("first", "second")


def test_a_failure_is_said_once_and_then_tried_again() -> None:
    background, calls = Background(), []

    def compute(progress: Progress) -> str:
        calls.append(1)
        if len(calls) == 1:
            raise RequestError("not this time")
        return "done"

    background.task("a", compute).result.exception(10)
    with pytest.raises(RequestError, match="not this time"):
        background.task("a", compute).result.result(10)
    assert background.task("a", compute).result.result(10) == "done"


def test_also_who_only_asks_for_it_hears_of_a_failure_once() -> None:
    background = Background()

    def compute(progress: Progress) -> str:
        raise RequestError("not this time")

    background.task("a", compute).result.exception(10)
    kept = background.known("a")
    assert kept is not None
    with pytest.raises(RequestError, match="not this time"):
        kept.answer()
    assert background.known("a") is None


def test_the_results_kept_are_limited() -> None:
    background = Background()
    for number in range(MOST_KEPT + 5):
        background.task(number, lambda progress: number).result.result(10)  # noqa: B023
    assert background.known(0) is None
    assert background.known(MOST_KEPT + 4) is not None
