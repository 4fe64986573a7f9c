"""What may be uploaded through Gradio's own route: pictures, of limited size, and not without end.

The page itself uploads nothing there; the endpoint /reconstruct needs it.
"""

from __future__ import annotations

import os
from pathlib import Path

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from vae_core.errors import RequestError
from vae_core.sketch import open_picture

MOST_UPLOAD_BYTES = 20 * 2**20
MOST_KEPT_BYTES = 512 * 2**20
"""All that may lie in the folder of uploads; what is older than an hour goes by itself."""
MOST_FILES = 8


async def check_upload(request: Request, folder: Path) -> None:
    """Refuses an upload that is not of pictures. Reads the request's body.

    Args:
        folder: where uploads are kept.

    Raises:
        RequestError: says what was expected.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise RequestError("expected an upload of pictures, as multipart/form-data")
    if _bytes_in(folder) > MOST_KEPT_BYTES:
        raise RequestError("too much was uploaded lately; try again in an hour")
    try:
        form = await MultiPartParser(
            request.headers, request.stream(), max_files=MOST_FILES, max_fields=MOST_FILES
        ).parse()
    except (MultiPartException, ValueError, KeyError, AssertionError) as error:
        raise RequestError("this upload cannot be read; expected pictures, as multipart/form-data") from error
    try:
        parts = [value for _, value in form.multi_items()]
        for value in parts or [None]:
            if not isinstance(value, UploadFile) or not _is_picture(value):
                raise RequestError("only pictures can be uploaded: PNG, JPEG, GIF or WebP")
    finally:
        await form.close()


def _is_picture(upload: UploadFile) -> bool:
    """By the file's first bytes; nothing is decoded."""
    try:
        with open_picture(upload.file, ("PNG", "JPEG", "GIF", "WEBP")):
            return True
    except Exception:  # Pillow's readers raise whatever a damaged file leads them to
        return False


def _bytes_in(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name)).st_size
            except OSError:  # deleted meanwhile
                continue
    return total
