from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from vae_core import training
from vae_core.data import Dataset
from vae_core.engine import training_state
from vae_core.engine.devices import choose_device
from vae_core.errors import SettingsError, TrainingError
from vae_core.evaluation import evaluate
from vae_core.settings import Settings
from vae_core.training import EpochReport, learning_rate_at, shuffled_batches, train

TINY = Settings(epochs=3, batch_size=100, limit=350)


def weights(reports: list) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in reports[-1].state.model.state_dict().items()}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_reports_begin_with_the_first_iteration_and_end_each_epoch(dataset: Dataset) -> None:
    reports = list(train(TINY, dataset.train, dataset.test))
    assert reports[0].iteration == 1
    ends = [report for report in reports if isinstance(report, EpochReport)]
    assert [(report.epoch, report.iteration) for report in ends] == [(1, 3), (2, 6), (3, 9)]
    assert reports[-1] is ends[-1]
    assert all(report.evaluation is not None for report in ends)
    assert [report.elapsed_seconds for report in reports] == sorted(
        report.elapsed_seconds for report in reports
    )
    assert all(len(report.kl_per_dimension) == 16 for report in reports)


@pytest.mark.parametrize(("optimizer", "learning_rate", "epochs"), [("adam", 1e-3, 8), ("soap", 4e-3, 4)])
def test_the_loss_falls(dataset: Dataset, optimizer: str, learning_rate: float, epochs: int) -> None:
    settings = replace(TINY, epochs=epochs, limit=None, optimizer=optimizer, learning_rate=learning_rate)
    *_, last = train(settings, dataset.train)
    assert evaluate(last.state.model, dataset.test).total < 40


def test_the_reference_has_468_iterations_an_epoch_and_sees_each_image_once() -> None:
    batches = list(shuffled_batches(60_000, Settings(), 0, torch.device("cpu")))
    assert len(batches) == 468
    assert {len(batch) for batch in batches} == {128}
    assert torch.cat(batches).unique().numel() == 468 * 128


def test_the_order_follows_from_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return torch.cat(
            list(shuffled_batches(50, Settings(seed=seed, batch_size=5), epoch, torch.device("cpu")))
        ).tolist()

    assert order(1, 1) == order(1, 1)
    assert len({tuple(order(*key)) for key in [(1, 1), (1, 2), (2, 1), (2, 2)]}) == 4


def test_the_same_seed_gives_the_same_weights_bit_for_bit(dataset: Dataset) -> None:
    first, again = (weights(list(train(TINY, dataset.train))) for _ in range(2))
    other = weights(list(train(replace(TINY, seed=1), dataset.train)))
    assert equal(first, again)
    assert not equal(first, other)


@pytest.mark.parametrize(
    ("schedule", "optimizer"), [("constant", "adam"), ("one-cycle", "adam"), ("one-cycle", "soap")]
)
def test_a_resumed_training_ends_as_an_undisturbed_one(
    dataset: Dataset, schedule: str, optimizer: str
) -> None:
    settings = replace(TINY, schedule=schedule, optimizer=optimizer)
    undisturbed, state = [], None
    for report in train(settings, dataset.train, dataset.test):
        undisturbed.append(report)
        if isinstance(report, EpochReport) and report.epoch == 1:
            state = {name: value.clone() for name, value in report.state.tensors().items()}
    assert state is not None
    before = {name: value.clone() for name, value in state.items()}
    resumed = list(train(settings, dataset.train, dataset.test, resume_from=state))
    assert equal(before, state)
    assert resumed[0].epoch == 2
    assert equal(weights(undisturbed), weights(resumed))
    first, again = (reports[-1].evaluation for reports in (undisturbed, resumed))
    assert again.total == first.total


def test_evaluating_on_the_way_does_not_change_the_training(dataset: Dataset) -> None:
    with_test, without = list(train(TINY, dataset.train, dataset.test)), list(train(TINY, dataset.train))
    assert equal(weights(with_test), weights(without))


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli", "calibrated"])
def test_a_diverging_training_says_so(dataset: Dataset, likelihood: str) -> None:
    wild = replace(TINY, learning_rate=1e6, likelihood=likelihood, epochs=50)
    with pytest.raises(TrainingError, match="smaller learning rate"):
        list(train(wild, dataset.train))


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_a_model_broken_by_its_last_step_is_no_result(dataset: Dataset, likelihood: str) -> None:
    one_step = replace(TINY, learning_rate=1e9, epochs=1, batch_size=350, likelihood=likelihood)
    with pytest.raises(TrainingError, match="in iteration 1: the training diverged"):
        list(train(one_step, dataset.train, dataset.test))


@pytest.fixture(scope="module")
def state(dataset: Dataset) -> dict[str, torch.Tensor]:
    *_, last = train(replace(TINY, epochs=1), dataset.train)
    return last.state.tensors()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("noise", None),
        ("noise", torch.zeros(7, dtype=torch.uint8)),
        ("counters", None),
        ("counters", torch.ones(2)),
        ("counters", torch.full((3,), math.inf)),
        ("model.decoder.0.bias", None),
        ("model.decoder.0.bias", torch.ones(7)),
        ("optimizer.3.exp_avg", None),
        ("optimizer.3.exp_avg_sq", torch.ones(7)),
        ("optimizer.0.step", None),
        ("optimizer.0.step", torch.tensor(math.nan)),
        ("optimizer.0.step", torch.tensor(-1.0)),
        ("optimizer.0.step", torch.tensor(5.0)),  # the others' is another
        ("optimizer.0.step", torch.ones(3)),
        ("optimizer.3.exp_avg", torch.ones(1)),
        ("optimizer.3.exp_avg", torch.full((64,), math.inf)),
        ("optimizer.3.exp_avg_sq", torch.full((64,), -1.0)),
        ("model.decoder.0.bias", torch.full((3136,), math.nan)),
        ("counters", torch.tensor([1.0, 2.0, 0.5])),
        ("counters", torch.tensor([1.5, 4.5, 0.5])),
        ("counters", torch.tensor([-1.0, -3.0, 0.5])),
        ("noise", torch.zeros(16)),
    ],
)
def test_a_state_that_is_not_whole_is_refused(
    dataset: Dataset, state: dict[str, torch.Tensor], name: str, value: torch.Tensor | None
) -> None:
    changed = {key: tensor for key, tensor in (state | {name: value}).items() if tensor is not None}
    with pytest.raises(TrainingError, match="the training state is incomplete or damaged"):
        next(train(TINY, dataset.train, resume_from=changed))


def test_a_report_is_the_mean_over_the_iterations_since_the_last(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "REPORT_SECONDS", 0.0)
    each = list(train(replace(TINY, epochs=1), dataset.train))
    assert [report.iteration for report in each] == [1, 2, 3]
    monkeypatch.setattr(training, "REPORT_SECONDS", 1e9)
    first, last = train(replace(TINY, epochs=1), dataset.train)
    assert (first.iteration, last.iteration) == (1, 3)
    assert first.total == each[0].total
    assert last.total == pytest.approx((each[1].total + each[2].total) / 2, rel=1e-6)
    assert last.kl == pytest.approx((each[1].kl + each[2].kl) / 2, rel=1e-6)


def test_only_the_first_images_up_to_the_limit_are_seen(dataset: Dataset) -> None:
    first = replace(dataset.train, images=dataset.train.images[:200], labels=dataset.train.labels[:200])
    limited = weights(list(train(replace(TINY, epochs=1, limit=200), dataset.train)))
    assert equal(limited, weights(list(train(replace(TINY, epochs=1, limit=None), first))))


def test_a_training_leaves_the_global_random_numbers_alone(dataset: Dataset) -> None:
    torch.manual_seed(4)
    expected = torch.rand(1)
    torch.manual_seed(4)
    list(train(replace(TINY, epochs=1), dataset.train))
    assert torch.equal(torch.rand(1), expected)


def test_fewer_images_than_a_batch_are_refused(dataset: Dataset) -> None:
    with pytest.raises(SettingsError, match="more than the 50 training images"):
        next(train(Settings(limit=50), dataset.train))


@pytest.mark.parametrize("likelihood", ["bernoulli", "calibrated"])
def test_other_likelihoods_train(dataset: Dataset, likelihood: str) -> None:
    reports = list(train(replace(TINY, likelihood=likelihood), dataset.train, dataset.test))
    assert reports[-1].total < reports[0].total


def test_one_cycle_rises_to_the_peak_and_falls_to_nothing() -> None:
    settings = Settings(epochs=10, learning_rate=0.01, schedule="one-cycle")
    rates = [learning_rate_at(settings, iteration, 100) for iteration in range(1000)]
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(0.01, rel=1e-3)
    assert 250 < peak < 350
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[0] < 0.0005
    assert rates[-1] < 1e-6
    assert all(math.isclose(learning_rate_at(Settings(), i, 468), 1e-3) for i in (0, 9999))


def test_each_step_is_made_with_the_schedules_learning_rate(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "REPORT_SECONDS", 0.0)
    settings = replace(TINY, schedule="one-cycle", learning_rate=0.004, device="cpu")
    used = [report.state.optimizer.learning_rate for report in train(settings, dataset.train)]
    assert used == [learning_rate_at(settings, iteration, 3) for iteration in range(9)]
    assert len(set(used)) == 9


def test_a_learning_rate_in_the_devices_memory_makes_the_same_steps() -> None:
    weights_after = []
    for in_memory in (False, True):
        state = training_state.new_state(Settings(), torch.device("cpu"))
        if in_memory:  # as on a GPU, where a captured step finds it
            state.optimizer.learning_rate = torch.tensor(1.0)
        rate = state.optimizer.learning_rate
        for learning_rate in (0.002, 0.005):
            state.set_learning_rate(learning_rate)
            for weight in state.model.parameters():
                weight.grad = torch.ones_like(weight)
            state.optimizer.step()
        assert float(state.optimizer.learning_rate) == pytest.approx(0.005)
        assert (state.optimizer.learning_rate is rate) == in_memory
        weights_after.append(state.model.state_dict())
    for name, weight in weights_after[0].items():
        torch.testing.assert_close(weight, weights_after[1][name])


def test_a_state_from_a_gpu_goes_on_here_with_noise_of_its_own(
    dataset: Dataset, state: dict[str, torch.Tensor]
) -> None:
    assert len(state["noise"]) in training_state.NOISE_STATE_BYTES
    from_gpu = state | {"noise": torch.zeros(16, dtype=torch.uint8)}
    first, again = (weights(list(train(TINY, dataset.train, resume_from=from_gpu))) for _ in range(2))
    assert equal(first, again)
    loaded = training_state.new_state(TINY, torch.device("cpu"))
    loaded.load(from_gpu, 3)
    afresh = training_state.new_state(TINY, torch.device("cpu"))
    assert not torch.equal(loaded.noise.get_state(), afresh.noise.get_state())


def test_soap_has_the_matrices_and_adam_the_biases() -> None:
    state = training_state.new_state(Settings(optimizer="soap"), torch.device("cpu"))
    assert state.soap is not None
    for optimizer, is_matrix in ((state.soap, True), (state.optimizer, False)):
        held = set(map(id, optimizer.state))
        assert held == {id(weight) for weight in state.model.parameters() if (weight.ndim > 1) == is_matrix}


def test_a_soap_state_that_is_not_whole_is_refused(dataset: Dataset) -> None:
    settings = replace(TINY, optimizer="soap")
    *_, last = train(replace(settings, epochs=1), dataset.train)
    state = last.state.tensors()
    for broken in ({"soap.1.momentum": torch.ones(7)}, {"soap.1.momentum": None}):
        changed = {name: value for name, value in (state | broken).items() if value is not None}
        with pytest.raises(TrainingError, match="the training state is incomplete or damaged"):
            next(train(settings, dataset.train, resume_from=changed))


def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingsError, match="is not there"):
        choose_device(f"cuda:{torch.cuda.device_count()}")
    for name in ("gpu", "cuda:x", "cuda:99999999999999999999"):
        with pytest.raises(SettingsError, match=f"^device must be auto, cpu, cuda or cuda:N, not '{name}'$"):
            choose_device(name)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_training_on_the_gpu_reaches_the_cpus_loss(dataset: Dataset) -> None:
    totals = []
    for device in ("cpu", "cuda"):
        *_, last = train(replace(TINY, epochs=8, limit=None, device=device), dataset.train, dataset.test)
        totals.append(last.evaluation.total)  # type: ignore[attr-defined]
    assert totals[0] == pytest.approx(totals[1], rel=0.05)


def test_what_is_no_settings_or_images_is_refused_by_its_type(dataset: Dataset) -> None:
    for given, named in (
        (({"epochs": 1}, dataset.train), "settings must be of type Settings, not dict"),
        ((TINY, dataset.train.images), "training_set must be of type ImageSet, not ndarray"),
        ((TINY, dataset.train, "test"), "test_set must be of type ImageSet, not str"),
    ):
        with pytest.raises(TypeError, match=named):
            next(train(*given))  # type: ignore[arg-type]
