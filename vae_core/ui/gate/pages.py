"""Gradio's page as it goes out: with our words for those who show a link to it, our script before its own."""

from __future__ import annotations

import re

from vae_core.ui.parts import STATIC

ABOUT = (
    "A variational autoencoder to touch: move latent sliders and watch digits morph, draw a digit, train a "
    "model with one click, see where it fails."
)
HEAD = (
    f'<title>VAE Studio</title><meta name="description" content="{ABOUT}">'
    f'<meta property="og:title" content="VAE Studio"><meta property="og:description" content="{ABOUT}">'
    f"<script>{(STATIC / 'frames.js').read_text(encoding='utf-8')}</script>"
).encode()
GRADIOS_WORDS = re.compile(rb'<meta\s+(?:property="og:|name="twitter:)[^>]*>\s*')
"""What a chat shows beside a link: "Gradio. Click to try out the app!"."""


def with_our_head(page: bytes) -> bytes:
    """The markup of a page, if it is Gradio's with what its head must have for us."""
    if b"window.gradio_config" not in page:
        return page
    return GRADIOS_WORDS.sub(b"", page).replace(b"</head>", HEAD + b"</head>", 1)
