from __future__ import annotations

from dataclasses import replace

import pytest

from support.runs import one_component
from vae_core.errors import RunError
from vae_core.model import VAE
from vae_core.run_folder import Run, RunWriter
from vae_core.run_results import store_evaluation, store_mixture
from vae_core.runs import create_run, delete_run, find_run, rename_run


def test_what_came_with_the_package_is_measured_and_left_as_it_is() -> None:
    info = find_run("plane").info()
    evaluation = Run(info.folder).evaluation()
    assert evaluation is not None
    before = {path.name: path.read_bytes() for path in info.folder.glob("*.*")}
    weights = Run(info.folder).weights_version()
    with pytest.raises(RunError, match=r"^run plane came with the package and stays as it is$"):
        store_evaluation(info, weights, replace(evaluation, total=1.0))
    with pytest.raises(RunError, match="stays as it is"):
        store_mixture(info, weights, one_component(2))
    assert {path.name: path.read_bytes() for path in info.folder.glob("*.*")} == before


def test_an_evaluation_on_other_images_is_not_stored(run: Run) -> None:
    evaluation = run.evaluation()
    assert evaluation is not None
    info, weights = run.info(), run.weights_version()
    store_evaluation(info, weights, replace(evaluation, total=1.0))
    with pytest.raises(RunError, match=r"^run copied has another test set: .*, 205 images$"):
        store_evaluation(info, weights, replace(evaluation, name="another set", digest="", total=2.0))
    with pytest.raises(
        RunError, match=r"^run copied has another test set: .*, 205 images, which are others$"
    ):
        store_evaluation(info, weights, replace(evaluation, digest="another", total=2.0))
    assert run.info().results["total"] == 1.0


def test_what_was_measured_of_other_weights_is_not_stored(run: Run) -> None:
    info, weights, evaluation = run.info(), run.weights_version(), run.evaluation()
    assert evaluation is not None
    made_anew = create_run(run.folder.parent, "anew", info.settings, info.data, info.device)
    made_anew.save_model(VAE(16), info.settings)
    made_anew.save_evaluation(evaluation)
    made_anew.update(state="finished")
    made_anew.close()
    delete_run(run)
    rename_run(Run(made_anew.folder), "copied")
    with pytest.raises(RunError, match=r"^run copied has been trained on, or made anew, since"):
        store_evaluation(info, weights, replace(evaluation, total=1.0), one_component(16))
    with pytest.raises(RunError, match="made anew"):
        store_mixture(info, weights, one_component(16))
    assert run.info().results["total"] == pytest.approx(evaluation.total)
    assert run.mixture() is None
    assert not run.is_alive()


@pytest.mark.usefixtures("short_wait")
def test_a_run_in_training_keeps_the_evaluation_it_has(run: Run) -> None:
    info, weights, evaluation = run.info(), run.weights_version(), run.evaluation()
    assert evaluation is not None
    better = replace(evaluation, total=1.0)
    writer = RunWriter(run.folder)
    with pytest.raises(RunError, match=r"^run copied is being trained"):
        store_evaluation(info, weights, better, one_component(16))
    with pytest.raises(RunError, match=r"^run copied is being trained"):
        store_mixture(info, weights, one_component(16))
    writer.close()
    assert not (run.folder / "mixture.npz").exists()
    store_evaluation(info, weights, better, one_component(16))
    assert run.info().results["total"] == 1.0
    assert run.info().results["mse_mean_decoded"] == pytest.approx(evaluation.errors_mean.mean())
    assert run.required_mixture().latent_dim == 16
