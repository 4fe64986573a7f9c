"""What the browser is told to allow on our pages, so that text that gets into them cannot act.

Gradio brings our scripts to life with `new Function`, hence 'unsafe-eval'; inline scripts are only those that
the page came with, by their hashes. Nothing may be fetched from another host.
"""

from __future__ import annotations

import base64
import hashlib
import re

INLINE_SCRIPT = re.compile(
    rb"<script(?P<attributes>(?:\s[^>]*)?)>(?P<code>.*?)</script>", re.DOTALL | re.IGNORECASE
)


def security_headers(allow_embedding: bool, page: bytes = b"") -> dict[str, str]:
    """The headers of an answer.

    Args:
        allow_embedding: whether other sites may show the app in a frame.
        page: the markup, if the answer is a page; its inline scripts may run.
    """
    frames = "*" if allow_embedding else "'none'"
    policy = {
        "default-src": "'self'",
        "script-src": " ".join(["'self'", "'unsafe-eval'", "blob:", *_hashes(page)]),
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "media-src": "'self' data: blob:",
        "connect-src": "'self' data: blob:",
        "worker-src": "'self' blob:",
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": frames,
    }
    headers = {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
    }
    return headers if allow_embedding else headers | {"x-frame-options": "DENY"}


def _hashes(page: bytes) -> list[str]:
    """The hashes of a page's inline scripts, as a content security policy names them."""
    codes = [
        found["code"] for found in INLINE_SCRIPT.finditer(page) if b"src=" not in found["attributes"].lower()
    ]
    return [f"'sha256-{base64.b64encode(hashlib.sha256(code).digest()).decode()}'" for code in codes]
