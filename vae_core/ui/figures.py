"""The Plotly figures. Colours of text and grid are left to the page, which knows light from dark."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from vae_core.records import Evaluation

BINS = 60
ACCENT = "#6366f1"


def error_histogram(evaluation: Evaluation) -> go.Figure:
    """The per-image test error as a histogram: axes "Error" and "Frequency", titled "Test Data"."""
    errors = evaluation.errors
    counts, edges = np.histogram(errors, bins=BINS, range=(0.0, float(np.percentile(errors, 99.9))))
    beyond = len(errors) - int(counts.sum())
    counts[-1] += beyond  # the few beyond the axis stand in its last bar
    figure = go.Figure(
        go.Bar(
            x=((edges[:-1] + edges[1:]) / 2).round(5).tolist(),
            y=counts.tolist(),
            width=float(edges[1] - edges[0]),
            marker={"color": ACCENT, "line": {"width": 0}},
            hovertemplate="error %{x:.4f}: %{y} images<extra></extra>",
        )
    )
    for name, value in (
        ("mean", errors.mean()),
        ("median", np.median(errors)),
        ("95 %", np.percentile(errors, 95)),
    ):
        figure.add_vline(
            x=float(value),
            line={"width": 1.5, "dash": "dot" if name == "mean" else "solid"},
            annotation={"text": name, "textangle": -90, "yanchor": "top", "font": {"size": 11}},
        )
    figure.update_layout(
        title={"text": "Test Data"},
        xaxis={"title": {"text": "Error"}, "rangemode": "tozero"},
        yaxis={"title": {"text": "Frequency"}, "rangemode": "tozero"},
        bargap=0.06,
        template="none",
    )
    return figure
