from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vae_core.errors import SettingsError
from vae_core.settings import PRESETS, Settings


def test_the_defaults_are_the_reference_recipe() -> None:
    assert PRESETS["reference"] == Settings(
        epochs=30, batch_size=128, learning_rate=1e-3, latent_dim=16, beta=1.0, likelihood="gaussian"
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("epochs", 1.5),
        ("epochs", True),
        ("epochs", "3"),
        ("epochs", None),
        ("batch_size", -1),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("latent_dim", 257),
        ("beta", -0.1),
        ("likelihood", "poisson"),
        ("schedule", []),
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


def test_changes_names_what_differs_from_the_reference() -> None:
    assert Settings(beta=2).changes() == {"beta": 2.0}
