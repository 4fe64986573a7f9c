from __future__ import annotations

from vae_core import load_run
from vae_core.jobs.advice import COLLAPSE, DIVERGENCE, NOTHING_LEARNED, Adviser, advice_at_end


def advice_on(rows: list[tuple[int, float, float]]) -> list[str | None]:
    adviser = Adviser()
    return [adviser.advice(*row) for row in rows]


def test_the_reference_run_needs_no_advice() -> None:
    rows = [(row["iteration"], row["total"], row["kl"]) for row in load_run("reference").metrics]
    assert len(rows) > 10_000
    assert set(advice_on(rows)) == {None}


def test_a_vanishing_kl_is_called_a_collapse() -> None:
    said = advice_on([(iteration, 27.0, 0.01) for iteration in range(1, 400)])
    assert said[100] is None
    assert said[-1] == COLLAPSE


def test_a_rising_loss_is_called_a_divergence_and_withdrawn_when_it_falls() -> None:
    falling = [(iteration, 60.0 - iteration / 10, 5.0) for iteration in range(1, 300)]
    rising = [(iteration, 30.0 + iteration - 300, 5.0) for iteration in range(300, 400)]
    calm = [(iteration, 30.0, 5.0) for iteration in range(400, 440)]
    said = advice_on(falling + rising + calm)
    assert set(said[:299]) == {None}
    assert said[398] == DIVERGENCE
    assert said[-1] is None


def test_who_is_no_better_than_the_mean_image_is_told_so_at_the_end() -> None:
    assert advice_at_end(error=0.0758, mean_image=0.0672, kl=0.1, beta=1.0) == NOTHING_LEARNED
    assert advice_at_end(error=0.0672, mean_image=0.0672, kl=5.0, beta=4.0) == NOTHING_LEARNED
    assert advice_at_end(error=0.0282, mean_image=0.0672, kl=7.0, beta=1.0) is None


def test_whose_kl_term_weighs_too_much_is_told_of_it_however_short_the_training_was() -> None:
    assert advice_at_end(error=0.0672, mean_image=0.0672, kl=0.01, beta=1.5) == COLLAPSE
    assert advice_at_end(error=0.0660, mean_image=0.0672, kl=0.49, beta=200.0) == COLLAPSE
    assert advice_at_end(error=0.0660, mean_image=0.0672, kl=0.5, beta=200.0) is None
