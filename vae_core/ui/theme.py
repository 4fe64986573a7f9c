"""The look that Gradio's own components take on; the rest is in static/studio.css."""

from __future__ import annotations

from gradio.themes import Base

FONT = (
    "ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial",
    "sans-serif",
)  # fmt: skip
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace")


def studio_theme() -> Base:
    """Indigo on slate, system fonts: nothing is fetched from anywhere."""
    return Base(
        primary_hue="indigo",
        secondary_hue="indigo",
        neutral_hue="slate",
        font=FONT,
        font_mono=MONO,
        radius_size="lg",
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        link_text_color_dark="*primary_300",
        link_text_color_hover_dark="*primary_200",
        link_text_color_visited_dark="*primary_300",
        color_accent="*primary_600",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_radius="12px",
        container_radius="12px",
        block_border_width="1px",
        block_shadow="none",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_title_text_weight="600",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        input_background_fill="white",
        input_background_fill_dark="*neutral_800",
        input_border_width="1px",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_600",
        input_border_color_focus="*primary_500",
        input_border_color_focus_dark="*primary_400",
        checkbox_label_background_fill="white",
        checkbox_label_background_fill_dark="*neutral_800",
        checkbox_label_background_fill_selected="*primary_50",
        checkbox_label_background_fill_selected_dark="*primary_950",
        checkbox_label_text_color_selected="*primary_700",
        checkbox_label_text_color_selected_dark="*primary_200",
        checkbox_label_border_width="1px",
        checkbox_label_border_color="*neutral_300",
        checkbox_label_border_color_dark="*neutral_600",
        checkbox_label_border_color_selected="*primary_500",
        checkbox_label_border_color_selected_dark="*primary_400",
        button_border_width="1px",
        button_primary_border_color="*primary_600",
        button_secondary_background_fill="white",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_secondary_text_color="*neutral_800",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_600",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
        button_primary_text_color="white",
        button_large_text_weight="600",
    )
