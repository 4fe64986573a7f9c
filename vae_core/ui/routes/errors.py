"""Test errors: the histogram, the images behind each bar, the classes one by one, what turns into what."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from vae_core.errors import DataError, RequestError
from vae_core.evaluated import ACTIVE_VARIANCE, Latents, Order
from vae_core.pictures import data_uri
from vae_core.ui.reading import in_digits
from vae_core.ui.routes.answers import Label, from_our_page
from vae_core.ui.studio import Studio
from vae_core.ui.tested import On, Tested, measured_here, measuring, noise_of, tested

if TYPE_CHECKING:
    from vae_core.data import ImageSet
    from vae_core.quality.inspection import ClassErrors, Inspected

PAGE = 16
TOLERANCE = 1e-3
"""Errors of the shown pictures and those of the evaluation agree to this, if they are of the same."""

ErrorLimit = Annotated[float | None, Query(ge=0, le=1, allow_inf_nan=False, description="a per-pixel error")]


def router(studio: Studio) -> APIRouter:
    """The routes."""
    routes = APIRouter()

    @routes.get("/runs/{run}/errors")
    def errors(
        run: str, on: On = "evaluated", latents: Latents = "sampled", log: bool = False,
        split: bool = False, other: str | None = None,
    ) -> Response:  # fmt: skip
        """The histogram as a Plotly figure; `other` is a second model, see _second."""
        from vae_core.ui.figures import Overlay, error_histogram

        shown = tested(studio, run, on, latents)
        second = _second(shown, other)
        overlay = None
        if second is not None:
            overlay = Overlay(second.name, second.errors, _same_images(shown, second))
        name = "test images" if overlay is None else run
        figure = error_histogram(
            shown.errors, shown.evaluation.labels if split else None, shown.words, log, overlay, name
        )
        return Response(figure.to_json(), media_type="application/json")

    @routes.get("/runs/{run}/errors/facts")
    def facts(
        run: str, on: On = "evaluated", latents: Latents = "sampled", other: str | None = None
    ) -> dict[str, Any]:
        """Whose errors these are, in numbers and words, without the images; `other` as in the histogram."""
        shown = tested(studio, run, on, latents)
        return _facts(shown) | {"beside": None if other is None else _beside(shown, other)}

    @routes.get("/runs/{run}/errors/images")
    def images(run: str, on: On = "evaluated") -> dict[str, Any]:
        """Whether the images can be shown, and which the app has."""
        shown = tested(studio, run, on, "mean")
        here = None
        if not isinstance(shown.here, DataError):
            here = {"count": len(shown.here), "name": shown.here.name, "is_sample": shown.here.is_sample}
        return {"missing": shown.missing, "here": here}

    @routes.get("/runs/{run}/errors/boxes")
    def boxes(
        run: str, on: On = "evaluated", latents: Latents = "sampled", other: str | None = None
    ) -> Response:
        """The errors of each class as a Plotly figure; `other` only where it is of the same images."""
        from vae_core.ui.figures import error_boxes

        shown = tested(studio, run, on, latents)
        rows = {run: _by_class(shown)}
        if (second := _comparable(shown, other)) is not None:
            rows[second.name] = _by_class(second)
        return Response(error_boxes(rows, shown.words).to_json(), media_type="application/json")

    @routes.get("/runs/{run}/errors/measured")
    def measured(run: str) -> dict[str, Any]:
        """How far the model is measured on the app's images; the first who asks begins it."""
        return measuring(studio, studio.load(run)).answer()

    _add_images(routes, studio)
    _add_assessment(routes, studio)
    return routes


def _add_images(routes: APIRouter, studio: Studio) -> None:
    """The routes that show images of the app."""

    @routes.get("/runs/{run}/errors/gallery")
    def gallery(
        run: str, on: On = "evaluated", latents: Latents = "sampled", low: ErrorLimit = None,
        high: ErrorLimit = None, label: Label = None, read_as: Label = None,
        order: Order = "rising", other: str | None = None,
        page: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    ) -> dict[str, Any]:  # fmt: skip
        """Sixteen of the images with an error in a range: original, reconstruction, difference; with `other`,
        a second model tested on the same images, also what that makes of them."""
        from vae_core.quality.inspection import choose

        shown = tested(studio, run, on, latents)
        shown.required_images()
        second = _comparable(shown, other)
        if second is None and order in ("better", "worse"):
            raise RequestError(f"order={order} expects another model that was tested on the same images")
        groups = [(shown.evaluation.labels, label)]
        if read_as is not None:
            groups.append((shown.classes_read().result.result(), read_as))
        others = None if second is None else second.errors
        chosen = choose(shown.errors, low, high, tuple(groups), order, others)
        pages = -(-len(chosen) // PAGE)
        if page > 0 and page >= pages:
            raise RequestError(f"there is no page {page}; expected 0 to {max(pages - 1, 0)}")
        part = chosen[page * PAGE : (page + 1) * PAGE]
        if order == "typical":
            part = part[np.argsort(shown.errors[part], kind="stable")]
        return {"count": len(chosen), "page": page, "pages": pages, "size": PAGE} | _pictures(
            shown, second, part
        )

    @routes.get("/runs/{run}/errors/turned")
    def turned(run: str, on: On = "evaluated", latents: Latents = "sampled") -> dict[str, Any]:
        """Which classes the reconstructions are read as; the first who asks begins the reading."""
        from vae_core.quality.inspection import confusion

        shown = tested(studio, run, on, latents)
        task = shown.classes_read()
        answer = task.answer()
        if not answer["ready"]:
            return answer
        labels, read_as = shown.evaluation.labels, task.result.result()
        classes = int(max(labels.max(), read_as.max())) + 1
        table = confusion(labels, read_as, classes)
        return answer | {
            "names": [shown.words.name(label) for label in range(classes)],
            "table": table.tolist(),
            "turned": int((labels != read_as).sum()),
            "is_flattered": shown.is_flattered,
            "before": int((labels != shown.reader.likeliest(shown.evaluation.means)).sum()),
            "images": len(labels),
        }


def _add_assessment(routes: APIRouter, studio: Studio) -> None:
    """The figures that take a minute: how they stand, and their beginning."""

    @routes.get("/runs/{run}/errors/figures")
    def figures(run: str, on: On = "evaluated") -> dict[str, Any]:
        from vae_core.quality.assessment import BOUND_IMAGES, BOUND_SAMPLES
        from vae_core.quality.samples import CONFIDENT, GENERATED, KNOWN_SETS

        shown = tested(studio, run, on, "sampled")
        task = shown.assessment()
        answer = {"ready": True} if task is None else task.answer()
        evaluation = shown.evaluation
        if task is not None and answer["ready"]:
            evaluation = task.result.result()
        return answer | {
            "summary": evaluation.summary(),
            "complete": evaluation.is_complete,
            "possible": shown.images is not None,
            "judged": evaluation.name in KNOWN_SETS,
            "bound_samples": BOUND_SAMPLES,
            "bound_images": min(BOUND_IMAGES, len(shown.errors)),
            "generated": GENERATED,
            "confident": CONFIDENT,
        }

    @routes.post("/runs/{run}/errors/figures", dependencies=[Depends(from_our_page)])
    def begin(run: str, on: On = "evaluated") -> dict[str, Any]:
        return tested(studio, run, on, "sampled").begin_assessment().answer()


def _second(shown: Tested, other: str | None) -> Tested | None:
    """The model that the shown one is compared with: as it was evaluated, or, where that was on other images
    than the shown one's and the app has these, as it has been measured on them, if it has."""
    if other is None:
        return None
    second = tested(shown.studio, other, "evaluated", shown.latents)
    if not _can_be_measured(shown, second):
        return second
    return measured_here(shown.studio, second.loaded, shown.latents) or second


def _comparable(shown: Tested, other: str | None) -> Tested | None:
    """The second model, if its errors are of the shown one's images."""
    second = _second(shown, other)
    return second if second is not None and _same_images(shown, second) else None


def _can_be_measured(shown: Tested, second: Tested) -> bool:
    return not _same_images(shown, second) and shown.images is not None


def _by_class(shown: Tested) -> list[ClassErrors]:
    from vae_core.quality.inspection import errors_by_class

    return errors_by_class(shown.errors, shown.evaluation.labels)


def _facts(shown: Tested) -> dict[str, Any]:
    evaluation, words = shown.evaluation, shown.words
    return {
        "name": evaluation.name,
        "source": evaluation.source,
        "noun": words.noun,
        "plural": words.plural,
        "latents": shown.latents,
        "summary": evaluation.summary(shown.latents == "sampled"),
        "low": float(shown.errors.min()),
        "high": float(shown.errors.max()),
        "latent_dim": len(evaluation.kl_per_dimension),
        "active_variance": ACTIVE_VARIANCE,
        "likelihood": shown.loaded.info.settings.likelihood,
        "beta": shown.loaded.info.settings.beta,
        "loss_kind": shown.loaded.info.settings.loss_kind,
        "classes": [asdict(row) | {"name": words.name(row.label)} for row in _by_class(shown)],
    }


def _beside(shown: Tested, other: str) -> dict[str, Any]:
    """A second model in numbers; compared image by image and class by class where the images are the same."""
    studio = shown.studio
    loaded = studio.load(other)
    if loaded.evaluation is None:
        return {"run": other, "problem": loaded.unmeasured}
    second = _second(shown, other)
    assert second is not None
    is_same_set = _same_images(shown, second)
    return {
        "run": other,
        "is_same_set": is_same_set,
        "to_measure": _can_be_measured(shown, second),
        "source": second.evaluation.source,
        "images": len(second.errors),
        "mean": float(second.errors.mean()),
        "better": int((second.errors < shown.errors).sum()) if is_same_set else None,
        "mean_errors": [row.mean for row in _by_class(second)] if is_same_set else None,
    }


def _pictures(shown: Tested, second: Tested | None, chosen: np.ndarray) -> dict[str, Any]:
    """The images of these numbers, int (M,), with what the model, and a second one, make of them."""
    if len(chosen) == 0:
        return {"differs": False, "items": []}
    images = shown.required_images()
    seen, made = _made(shown, images, chosen)
    differs = np.abs(seen.errors - shown.errors[chosen]).max() > TOLERANCE
    items = [
        {
            "index": int(index),
            "label": int(images.labels[index]),
            "name": shown.words.name(int(images.labels[index])),
            "error": float(shown.errors[index]),
            "original": data_uri(seen.images[row]),
            "z": seen.z[row].round(4).tolist(),
            "mean": seen.means[row].round(4).tolist(),
            "deviation": in_digits(seen.deviations[row]),
        }
        | made[row]
        for row, index in enumerate(chosen)
    ]
    if second is not None:
        seen, made = _made(second, images, chosen)
        differs |= np.abs(seen.errors - second.errors[chosen]).max() > TOLERANCE
        for item, beside in zip(items, made, strict=True):
            item["beside"] = beside
    return {"differs": bool(differs), "items": items}


def _made(model: Tested, images: ImageSet, chosen: np.ndarray) -> tuple[Inspected, list[dict[str, Any]]]:
    """What a model makes of some images, int (M,), also of each as the page shows it."""
    from vae_core.quality.inspection import inspect, read_again

    noise = noise_of(model.loaded, len(images), model.latents)
    seen = inspect(model.loaded.model, images.images[chosen], None if noise is None else noise[chosen])
    read_as = model.reader.likeliest(read_again(model.loaded.model, seen.reconstructions))
    return seen, [
        {
            "read_as": int(read_as[row]),
            "read_as_name": model.words.name(int(read_as[row])),
            "shown_error": float(seen.errors[row]),
            "reconstruction": data_uri(seen.reconstructions[row]),
            "difference": data_uri(np.abs(seen.reconstructions[row] - seen.images[row])),
        }
        for row in range(len(chosen))
    ]


def _same_images(first: Tested, second: Tested) -> bool:
    """Whether two evaluations are of the same images, as far as one can tell."""
    one, two = first.evaluation, second.evaluation
    return one.identity.is_same_as(two.identity) and np.array_equal(one.labels, two.labels)
