"""The Plotly figures. Colours of text and grid are left to the page, which knows light from dark."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from vae_core.records import Evaluation

BINS = 60
ACCENT = "#6366f1"
MARK = "#d97706"


def error_histogram(evaluation: Evaluation) -> go.Figure:
    """The per-image test error as a histogram: axes "Error" and "Frequency", titled "Test Data"."""
    errors = evaluation.errors
    counts, edges = np.histogram(errors, bins=BINS)
    figure = go.Figure(
        go.Bar(
            name="test images",
            x=((edges[:-1] + edges[1:]) / 2).round(5).tolist(),
            y=counts.tolist(),
            width=float(edges[1] - edges[0]),
            marker={"color": ACCENT, "line": {"width": 0}},
            hovertemplate="error %{x:.4f}: %{y} images<extra></extra>",
        )
    )
    marks = {"mean": errors.mean(), "median": np.median(errors), "95th percentile": np.percentile(errors, 95)}
    for (name, value), dash in zip(marks.items(), ("solid", "dot", "dash"), strict=True):
        figure.add_scatter(
            x=[float(value)] * 2, y=[0, int(counts.max())], mode="lines", name=f"{name} {value:.4f}",
            line={"width": 2, "dash": dash, "color": MARK}, hoverinfo="skip",
        )  # fmt: skip
    figure.update_layout(
        title={"text": "Test Data"},
        xaxis={"title": {"text": "Error"}, "rangemode": "tozero"},
        yaxis={"title": {"text": "Frequency"}, "rangemode": "tozero"},
        bargap=0.06,
        legend={"orientation": "h", "x": 0, "y": -0.2, "yanchor": "top"},
        template="none",
    )
    return figure
