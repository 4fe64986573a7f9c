"""The named endpoints for gradio_client and MCP; the page itself uses the direct routes."""

from __future__ import annotations

import base64
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
from gradio.data_classes import ImageData
from PIL import Image

from vae_core.errors import RunError, SettingsError, VAEStudioError, in_short
from vae_core.evaluated import MOST_CLASSES
from vae_core.generation import GENERATED_IMAGES, MOST_GENERATED_IMAGES, MOST_TEMPERATURE, SAMPLERS
from vae_core.pictures import square_tiles, to_grey
from vae_core.runs import list_runs
from vae_core.settings import MOST_SEED, Settings
from vae_core.sketch import read_picture, to_mnist_form
from vae_core.ui import watching
from vae_core.ui.sampling import draw_latents
from vae_core.ui.studio import Loaded, Studio

if TYPE_CHECKING:
    from vae_core.inference import Reconstruction


def build(studio: Studio) -> None:
    """Adds the endpoints to the page that is being built; nothing of them is visible."""

    def model_of(model: str | None) -> Loaded:
        name = model or studio.first_model()
        if name is None:
            raise RunError("there is no model yet; train one first")
        return studio.load(name)

    def through(model: str | None, picture: bytes | None) -> Reconstruction:
        from vae_core.inference import reconstruct_image

        loaded = model_of(model)
        if picture is None:
            raise SettingsError("image", f"expected a picture of {loaded.words.one}")
        seen = to_mnist_form(read_picture(picture), loaded.words.are_centred)
        return reconstruct_image(loaded.model, seen.image)

    def runs() -> dict[str, Any]:
        """Lists the runs, the shipped ones and the user's own: the names that `model` can be.

        Each with its state, its finished epochs, its loss on the test set in nats, its settings and its data.
        """
        return {"runs": [run.brief() for run in list_runs(studio.runs_dir)]}

    def decode(latents: list[float], model: str = "reference") -> Image.Image:
        """Decodes one latent vector to a 28x28 picture.

        Args:
            latents: as many numbers as the model has latents, 16 for the reference; the prior is N(0, I).
            model: the run whose model it is; a wrong name is answered with those that there are.
        """
        from vae_core.inference import check_latents, decode_latents

        loaded = model_of(model)
        z = check_latents(latents, loaded.model.latent_dim)
        return Image.fromarray(to_grey(decode_latents(loaded.model, z[None]))[0])

    def reconstruct(picture: bytes | None, model: str = "reference") -> Image.Image:
        """Brings a picture to the form of the model's images, encodes it and decodes the posterior's mean.

        Digits are fitted into 20x20 pixels and centred, as MNIST's; for models of others it is only shrunk.

        Args:
            picture: light on dark or dark on light; from an assistant a data:image/png;base64,... address.
            model: the run whose model it is; a wrong name is answered with those that there are.
        """
        return Image.fromarray(to_grey(through(model, picture).image))

    def encode(picture: bytes | None, model: str = "reference") -> dict[str, Any]:
        """Brings a picture to the form of the model's images, as `reconstruct` does, and encodes it.

        Answers with the posterior's mean and log_variance, each as many numbers as the model has latents.

        Args:
            picture: light on dark or dark on light; from an assistant a data:image/png;base64,... address.
            model: the run whose model it is; a wrong name is answered with those that there are.
        """
        result = through(model, picture)
        parts = {"mean": result.mean, "log_variance": result.log_variance}
        return {name: values.astype(float).round(6).tolist() for name, values in parts.items()}

    def generate(
        count: float = GENERATED_IMAGES, seed: float = 0, model: str = "reference", sampler: str = "prior",
        temperature: float = 1.0, label: float | None = None,
    ) -> Image.Image:  # fmt: skip
        """Draws latent vectors and decodes them into one tiled picture.

        Args:
            count: how many, 1 to 400.
            seed: 0 to 4294967295; the same seed gives the same picture.
            model: the run whose model it is; a wrong name is answered with those that there are.
            sampler: prior for N(0, I), or mixture for the Gaussian mixture fitted to the model's latents.
            temperature: of the noise, 0 to 2; 1 is the distribution itself, less stays nearer to its middle.
            label: only this class, from its mean and covariance in latent space; all without it.
        """
        from vae_core.inference import decode_latents

        count = _whole("count", count, 1, MOST_GENERATED_IMAGES)
        seed = _whole("seed", seed, 0, MOST_SEED)
        if sampler not in SAMPLERS:
            raise SettingsError("sampler", f"expected {' or '.join(SAMPLERS)}, not {in_short(sampler)}")
        if not _is_number(temperature) or not 0 <= temperature <= MOST_TEMPERATURE:
            expected = (
                f"temperature must be a number from 0 to {MOST_TEMPERATURE}, not {in_short(temperature)}"
            )
            raise SettingsError("temperature", expected)
        label = None if label is None else _whole("label", label, 0, MOST_CLASSES - 1)
        loaded = model_of(model)
        z = draw_latents(studio, loaded, count, seed, temperature, label, sampler)
        return Image.fromarray(square_tiles(decode_latents(loaded.model, z)))

    def test_errors(model: str = "reference", with_errors: bool = True) -> dict[str, Any]:
        """The figures of a model's evaluation, and after them the error of each test image.

        Args:
            model: the run whose model it is; a wrong name is answered with those that there are.
            with_errors: false leaves out the errors of the images, ten thousand numbers.
        """
        evaluation = model_of(model).required_evaluation()
        errors = {"errors": evaluation.errors.astype(float).round(6).tolist()} if with_errors else {}
        return evaluation.summary() | errors

    def start_training(settings: dict[str, Any] | None = None, name: str = "") -> dict[str, Any]:
        """Starts a training, and answers with the run's name at once; only one is trained at a time.

        Args:
            settings: what differs from the reference, as {"epochs": 3}; a wrong name is answered with all.
            name: of the run; without one it gets the time for a name.
        """
        settings = {} if settings is None else settings
        return {"run": studio.desk.start(Settings.from_dict(settings), name or None), "state": "running"}

    def stop_training() -> dict[str, Any]:
        """Asks the running training to stop after its step. Returns its name, or null."""
        return {"run": studio.desk.stop()}

    def training_status() -> dict[str, Any]:
        """How the running training stands, or the newest run if none is running."""
        return watching.training_status(studio)

    with gr.Column(visible=False):
        model = gr.Textbox("reference", label="model")
        sampler = gr.Textbox("prior", label="sampler")
        sampler.api_info = lambda: {"type": "string", "enum": list(SAMPLERS)}  # type: ignore[method-assign]
        picture_in = gr.Image(type="pil", label="image")
        picture_in.preprocess = _content  # type: ignore[method-assign]
        picture_out = gr.Image(type="pil", format="png", label="image", image_mode="L")
        latents = _json("latents", {"type": "array", "items": {"type": "number"}}, [0.0] * 16)
        settings = _json("settings", {"type": "object"}, {"epochs": 10, "batch_size": 64}, {})
        answer = _json("answer", {"type": "object"}, {})
        count, seed = gr.Number(GENERATED_IMAGES, label="count"), gr.Number(0, label="seed")
        temperature, label = gr.Number(1, label="temperature"), gr.Number(None, label="label")
        name = gr.Textbox("", label="name")
        with_errors = gr.Checkbox(True, label="with_errors")
        endpoints = (
            (runs, [], answer),
            (decode, [latents, model], picture_out),
            (reconstruct, [picture_in, model], picture_out),
            (encode, [picture_in, model], answer),
            (generate, [count, seed, model, sampler, temperature, label], picture_out),
            (test_errors, [model, with_errors], answer),
            (start_training, [settings, name], answer),
            (stop_training, [], answer),
            (training_status, [], answer),
        )
        for function, inputs, output in endpoints:
            gr.Button().click(
                _explained(function), inputs, output, api_name=function.__name__, concurrency_limit=4
            )  # fmt: skip


def _content(sent: ImageData | None) -> bytes | None:
    """A picture's file as it was sent, for us to read: Gradio would decode one of any size and kind, and has
    no words for what is damaged."""
    if sent is None:
        return None
    try:
        if sent.path is None:  # it stands in its address
            return base64.b64decode((sent.url or "").rpartition(",")[2])
        return Path(sent.path).read_bytes()
    except (OSError, ValueError):
        return b""


def _json(label: str, schema: dict[str, Any], example: Any, value: Any = None) -> gr.JSON:
    """A JSON value of which the endpoints' descriptions give the schema, as MCP refuses Gradio's own, `{}`,
    and an example that can be sent as it is."""
    component = gr.JSON(value, label=label)
    component.api_info = lambda: schema
    component.example_payload = lambda: example
    return component


def _explained(function: Any) -> Any:
    """The function, with a user's mistake answered by its message instead of a traceback."""

    @functools.wraps(function)
    def endpoint(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except VAEStudioError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return endpoint


def _whole(name: str, value: Any, low: int, high: int) -> int:
    expected = f"{name} must be a whole number from {low} to {high}, not {in_short(value)}"
    if not _is_number(value) or not low <= value <= high or value != int(value):
        raise SettingsError(name, expected)
    return int(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer)) and not isinstance(value, bool)
