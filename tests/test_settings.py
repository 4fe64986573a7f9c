from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vae_core.errors import SettingsError
from vae_core.run_folder import Run
from vae_core.runs import shipped_folder
from vae_core.settings import PRESETS, Settings, range_in_words, usual_in_words


def test_the_defaults_are_the_reference_recipe() -> None:
    assert PRESETS["reference"] == Settings(
        epochs=30, batch_size=128, learning_rate=1e-3, latent_dim=16, beta=1.0, likelihood="gaussian"
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("epochs", 10**400),
        ("epochs", 1.5),
        ("epochs", True),
        ("epochs", "3"),
        ("epochs", None),
        ("batch_size", -1),
        ("learning_rate", 0.0),
        ("learning_rate", -0.001),
        ("learning_rate", 10**400),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("latent_dim", 257),
        ("beta", -0.1),
        ("likelihood", "poisson"),
        ("schedule", []),
        ("optimizer", "sgd"),
        ("seed", 2**63),
        ("limit", 0),
        ("device", "cuda:x"),
        ("device", 7),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=field) as caught:
        Settings.from_dict({field: value})
    assert caught.value.field == field


@given(
    st.dictionaries(
        st.sampled_from([*Settings().to_dict(), "other"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=5)
        | st.lists(st.integers()),
    )
)
def test_any_values_give_settings_or_one_clear_error(values: dict[str, Any]) -> None:
    try:
        settings = Settings.from_dict(values)
    except SettingsError:
        return
    assert Settings.from_dict(settings.to_dict()) == settings


def test_settings_once_checked_stay_as_they_are() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().epochs = 0  # type: ignore[misc]


def test_an_unknown_setting_is_refused_by_name() -> None:
    known = ", ".join(sorted(Settings().to_dict()))
    with pytest.raises(SettingsError, match=rf"^unknown setting 'momentum'; known are {known}$") as caught:
        Settings.from_dict({"warmth": 1, "momentum": 0.9})
    assert caught.value.field == "momentum"
    with pytest.raises(SettingsError, match=r"^unknown setting 7;") as caught:
        Settings.from_dict({7: 1})  # type: ignore[dict-item]
    assert caught.value.field == "7"


def test_what_holds_no_settings_is_refused() -> None:
    with pytest.raises(
        SettingsError, match=r"^settings must be an object of names and values, not \[\]$"
    ) as caught:
        Settings.from_dict([])  # type: ignore[arg-type]
    assert caught.value.field == "settings"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epochs", 0, "epochs must be a whole number from 1 to 10,000, not 0"),
        ("beta", -1, "beta must be a number from 0 to 1,000,000, not -1"),
        ("schedule", "cosine", "schedule must be one of constant, one-cycle, not 'cosine'"),
        ("device", "tpu", "device must be auto, cpu, cuda or cuda:N, not 'tpu'"),
    ],
)
def test_a_refusal_says_what_was_expected_and_what_was_given(field: str, value: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=f"^{message}$"):
        Settings.from_dict({field: value})


@pytest.mark.parametrize(
    ("field", "least", "most", "outside"),
    [
        ("epochs", 1, 10_000, (0, 10_001)), ("batch_size", 1, 60_000, (0, 60_001)),
        ("learning_rate", 1e-30, 1e9, (0, 1.1e9)), ("latent_dim", 1, 256, (0, 257)),
        ("beta", 0, 1e6, (-1e-9, 1.1e6)), ("seed", 0, 2**32 - 1, (-1, 2**32)),
        ("limit", 1, 10_000_000, (0, 10_000_001)),
    ],
)  # fmt: skip
def test_a_range_holds_both_its_ends_and_no_more(
    field: str, least: float, most: float, outside: tuple[float, float]
) -> None:
    for value in (least, most):
        assert Settings.from_dict({field: value}).to_dict()[field] == value
    for value in outside:
        with pytest.raises(SettingsError, match=field):
            Settings.from_dict({field: value})


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:12"])
def test_a_device_is_taken_as_it_is_named(device: str) -> None:
    assert Settings(device=device).device == device


@pytest.mark.parametrize(
    "device", ["", "cpu:0", "cuda:", "cuda:²", "cuda:٣", "cuda:-1", "cuda:9999", "cuda:1\n", "0"]
)
def test_a_device_of_another_name_is_refused(device: str) -> None:
    with pytest.raises(SettingsError, match="device"):
        Settings(device=device)


def test_every_field_has_its_default_and_a_sentence_about_it() -> None:
    assert Settings().to_dict() == {
        "epochs": 30, "batch_size": 128, "learning_rate": 1e-3, "latent_dim": 16, "beta": 1.0,
        "likelihood": "gaussian", "schedule": "constant", "optimizer": "adam", "seed": 0, "limit": None,
        "device": "auto",
    }  # fmt: skip
    for field in dataclasses.fields(Settings):
        assert field.metadata["about"].endswith(".")


def test_whole_numbers_are_whole_and_others_are_floats() -> None:
    settings = Settings(epochs=3.0, beta=1, learning_rate=1)  # type: ignore[arg-type]
    assert [type(value) for value in (settings.epochs, settings.beta, settings.learning_rate)] == [
        int,
        float,
        float,
    ]


def test_every_fields_range_is_said_in_words() -> None:
    words = {field.name: range_in_words(field) for field in dataclasses.fields(Settings)}
    assert words["epochs"] == "a whole number from 1 to 10,000"
    assert words["learning_rate"] == "a number above 0 to 1,000,000,000"
    assert words["likelihood"] == "one of gaussian, bernoulli, calibrated"
    assert words["device"] == "auto, cpu, cuda or cuda:N"


def test_what_is_usual_is_said_lies_within_the_range_and_holds_every_recipe() -> None:
    words = {field.name: usual_in_words(field) for field in dataclasses.fields(Settings)}
    assert words["learning_rate"] == "usually 0.0003 to 0.01"
    assert [name for name, usual in words.items() if usual] == [
        "epochs", "batch_size", "learning_rate", "latent_dim", "beta",
    ]  # fmt: skip
    spans = {
        field.name: field.metadata["usual"] for field in dataclasses.fields(Settings) if words[field.name]
    }
    for name, (low, high) in spans.items():
        assert Settings(**{name: low}) != Settings(**{name: high})  # neither is refused
        assert all(low <= getattr(preset, name) <= high for preset in PRESETS.values())


def test_every_preset_keeps_the_references_network_and_seed() -> None:
    assert list(PRESETS) == ["reference", "minute", "quick", "sharp"]
    for preset in PRESETS.values():
        assert not {"latent_dim", "beta", "seed", "limit", "device"} & set(preset.changes())


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "minute"])  # whoever wants it trains it
def test_a_preset_is_what_the_shipped_run_of_its_name_was_trained_by(name: str) -> None:
    assert Run(shipped_folder() / name).info().settings == PRESETS[name]


def test_changes_names_what_differs_from_the_reference() -> None:
    assert Settings(beta=2).changes() == {"beta": 2.0}
    assert Settings(beta=2).changes(Settings(beta=2, seed=7)) == {"seed": 0}


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        (Settings(epochs=2, optimizer="soap"), ""),
        (Settings(likelihood="calibrated"), "calibrated"),
        (Settings(beta=0.5), "KL × 0.5"),
        (Settings(likelihood="bernoulli", beta=4), "bernoulli, KL × 4"),
    ],
)
def test_a_loss_of_another_kind_says_what_sets_it_apart(settings: Settings, kind: str) -> None:
    assert settings.loss_kind == kind


def test_settings_from_before_there_was_a_choice_of_optimiser_are_read() -> None:
    old = {name: value for name, value in Settings(seed=3).to_dict().items() if name != "optimizer"}
    assert Settings.from_dict(old) == Settings(seed=3, optimizer="adam")
