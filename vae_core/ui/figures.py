"""The Plotly figures. Their colours are names of static/studio.css: only the page knows light from dark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from vae_core.class_words import ClassWords

if TYPE_CHECKING:
    from vae_core.quality.inspection import ClassErrors

BINS = 60
ACCENT = "var(--accent)"
MARK = "var(--body-text-color)"
SECOND = "var(--second)"


@dataclass(frozen=True)
class Overlay:
    """A second model's errors, float (M,), to lay over the first's.

    Attributes:
        is_same_set: whether they are of the same images. If not, its counts are drawn to the scale of the
            first's number of images, so that the shapes can be compared.
    """

    name: str
    errors: np.ndarray
    is_same_set: bool


def error_histogram(
    errors: np.ndarray,
    labels: np.ndarray | None,
    words: ClassWords,
    log: bool = False,
    overlay: Overlay | None = None,
    name: str = "test images",
) -> go.Figure:
    """The per-image test error as a histogram: axes "Error" and "Frequency", titled "Test Data".

    Args:
        errors: float (N,).
        labels: uint8 (N,), to split the bars by class; None leaves them whole.
        words: what the classes are called.
        log: the axis of the counts is logarithmic. There a stack of bars would mislead, as equal heights are
            unequal counts: each class is a line of its own instead.
        overlay: a second model's errors.
        name: what the bars are called where they are not split.

    Each bar or step carries its range as `customdata`, and, split, its class as the trace's `meta`.
    """
    everything = errors if overlay is None else np.concatenate([errors, overlay.errors])
    edges = np.histogram_bin_edges(everything, bins=BINS)
    figure = go.Figure()
    if labels is None:
        _add_counts(figure, errors, edges, name)
    else:
        for label in map(int, np.unique(labels)):
            _add_counts(figure, errors[labels == label], edges, words.name(label), label, as_line=log)
    highest = int(np.histogram(errors, edges)[0].max())
    if overlay is not None:
        counts = np.histogram(overlay.errors, edges)[0] * (len(errors) / len(overlay.errors))
        highest = max(highest, int(np.ceil(counts.max())))
        # Among the classes' colours one more would be taken for a class.
        line = {"color": SECOND} if labels is None else {"color": MARK, "dash": "dashdot"}
        figure.add_scatter(
            **_steps(edges, counts.round(2).tolist(), log),
            name=overlay.name if overlay.is_same_set else f"{overlay.name} (other images)",
            line={"width": 2, **line}, hoverinfo="skip", meta={"overlay": overlay.name},
        )  # fmt: skip
    marks = {"mean": errors.mean(), "median": np.median(errors), "95th percentile": np.percentile(errors, 95)}
    for (mark, value), dash in zip(marks.items(), ("solid", "dot", "dash"), strict=True):
        figure.add_scatter(
            x=[float(value)] * 2, y=[0.5 if log else 0, highest], mode="lines", name=f"{mark} {value:.4f}",
            line={"width": 2, "dash": dash, "color": MARK}, hoverinfo="skip",
        )  # fmt: skip
    count_axis = {"type": "log", "dtick": 1, "range": [np.log10(0.5), np.log10(highest) + 0.1]}
    figure.update_layout(
        title={"text": "Test Data"},
        xaxis={"title": {"text": "Error"}, "rangemode": "tozero"},
        yaxis={"title": {"text": "Frequency"}} | (count_axis if log else {"rangemode": "tozero"}),
        bargap=0.06,
        barmode="stack",
        template="none",
    )
    return figure


def error_boxes(models: Mapping[str, list[ClassErrors]], words: ClassWords) -> go.Figure:
    """The errors of each class: a box between the quartiles, whiskers at 5th and 95th percentile.

    Args:
        models: the errors by the name of the model, of one or of two.
        words: what the classes are called.
    """
    figure = go.Figure()
    for (name, rows), colour in zip(models.items(), (ACCENT, SECOND), strict=False):
        figure.add_box(
            x=[words.name(row.label) for row in rows],
            lowerfence=[row.p5 for row in rows],
            q1=[row.q1 for row in rows],
            median=[row.median for row in rows],
            q3=[row.q3 for row in rows],
            upperfence=[row.p95 for row in rows],
            mean=[row.mean for row in rows],
            name=name,
            line={"color": colour, "width": 1.5},
        )
    figure.update_layout(
        boxmode="group",
        xaxis={"type": "category"},
        yaxis={"title": {"text": "Error"}, "rangemode": "tozero"},
        showlegend=False,
        template="none",
    )
    return figure


def _add_counts(
    figure: go.Figure,
    errors: np.ndarray,
    edges: np.ndarray,
    name: str,
    label: int | None = None,
    as_line: bool = False,
) -> None:
    """How many errors lie between the edges, as bars or steps; a class gets its colour on the page."""
    whose = "" if label is None else f"{name}, "
    counts = np.histogram(errors, edges)[0].tolist()
    ranges = np.stack([edges[:-1], edges[1:]], axis=1).tolist()
    hover = f"{whose}error %{{customdata[0]:.4f}} to %{{customdata[1]:.4f}}: %{{y}} images<extra></extra>"
    shared: dict[str, Any] = {"name": name, "meta": {"label": label}, "hovertemplate": hover}
    if as_line:
        customdata = [bounds for bounds in ranges for _ in range(2)]
        figure.add_scatter(
            **_steps(edges, counts, log=True), customdata=customdata, line={"width": 1.6}, **shared
        )
        return
    figure.add_bar(
        x=((edges[:-1] + edges[1:]) / 2).round(5).tolist(), y=counts, customdata=ranges,
        width=float(edges[1] - edges[0]),
        marker={"color": ACCENT, "line": {"width": 0}} if label is None else None, **shared,
    )  # fmt: skip


def _steps(edges: np.ndarray, counts: list[float], log: bool) -> dict[str, Any]:
    """A line from edge to edge; a logarithm has no zero: there the line has a gap."""
    heights = [None if log and not count else count for count in counts]
    return {
        "x": np.repeat(edges, 2)[1:-1].tolist(),
        "y": [height for height in heights for _ in range(2)],
        "mode": "lines",
    }
