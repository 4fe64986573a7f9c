"""Calls of Gradio's endpoints, looked at before Gradio gets them.

It answers many a malformed one with a 500, and what is given as a file it copies from wherever it is told to.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gradio.data_classes import ImageData

from vae_core.errors import RequestError, in_short

CALL = re.compile(
    r"/gradio_api/(?:(?:run|api|call)/(?P<name>[^/]*)/?|queue/join/?|cancel/?|reset/?)(?P<more>.*)"
)
DIRECT = re.compile(r"/gradio_api/(run|api)/")
MOST_SESSION_CHARACTERS = 100
MOST_FILES = 8
"""In one call; none of the endpoints takes more than one."""
TEXTS = {"/gradio_api/cancel": ("session_hash", "event_id"), "/gradio_api/reset": ("event_id",)}
UPLOADED = "an uploaded picture"
KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "number": ((int, float), "a number"),
    "textbox": ((str,), "text"),
    "image": ((dict,), UPLOADED),
    "radio": ((str, int, float), "one of its choices"),
    "dropdown": ((str, int, float), "one of its choices"),
}
"""What a component takes, besides null; those not named take anything."""


def check_call(path: str, body: bytes, functions: dict[int, Any], upload_folder: Path) -> None:
    """Refuses a call that Gradio would stumble over; the rest is Gradio's and the endpoint's to judge.

    Args:
        path: of the request.
        functions: Gradio's, by their number.
        upload_folder: where the files of a call must lie.

    Raises:
        RequestError: says what was expected.
    """
    matched = CALL.fullmatch(path)
    if matched is None:
        return
    call = _json_object(body)
    session = call.get("session_hash")
    if not (session is None or (isinstance(session, str) and 0 < len(session) <= MOST_SESSION_CHARACTERS)):
        raise RequestError(f"session_hash: expected text of at most {MOST_SESSION_CHARACTERS} characters")
    number = call.get("fn_index")
    if number is not None:
        if isinstance(number, bool) or not isinstance(number, int) or number not in functions:
            raise RequestError("fn_index: there is no such function")
        if functions[number].fn is None:
            raise RequestError("fn_index: this function is the page's own, the server has none")
    files = list(itertools.islice(_files_in(call), MOST_FILES + 1))
    if len(files) > MOST_FILES:  # each costs a look at the disk
        raise RequestError(f"data: expected at most {MOST_FILES} files")
    for file in files:
        if not _lies_in(file, upload_folder):
            raise RequestError("data: a file must have been uploaded to this app before")
        try:
            ImageData.model_validate(file)
        except ValueError as error:
            raise RequestError("data: a file must be told of as the upload answered it") from error
    name = matched["name"]
    if path.startswith("/gradio_api/queue/join") and number is None:
        raise RequestError("fn_index: expected the number of a function")
    if name is None:
        for field in TEXTS.get(path.rstrip("/"), ()):
            if not isinstance(call.get(field), str):
                raise RequestError(f"{field}: expected text")
        if number is not None:
            _check_values(functions[number], call.get("data"))
        return
    if number is not None and DIRECT.match(path):
        function = functions[number]
    else:
        function = next((known for known in functions.values() if known.api_name == name), None)
        if function is None:
            raise RequestError(f"there is no endpoint named {in_short(name)}")
    _check_values(function, call.get("data"))


def _check_values(function: Any, data: Any) -> None:
    """Raises RequestError unless there are as many values as inputs, each of a type its input takes."""
    labels = [str(getattr(block, "label", "")) for block in function.inputs]
    if not isinstance(data, list) or len(data) != len(labels):
        words = f"{len(labels)} values ({', '.join(labels)})" if labels else "no values"
        raise RequestError(f"data: expected a list of {words}")
    for value, block, label in zip(data, function.inputs, labels, strict=True):
        types, words = KINDS.get(block.get_block_name(), ((object,), ""))
        if value is None or not words:
            continue
        is_wrong = isinstance(value, bool) or not isinstance(value, types)
        is_pathless = words == UPLOADED and isinstance(value, dict) and "path" not in value
        if is_wrong or is_pathless:
            raise RequestError(f"{label}: expected {words}")


def _files_in(value: Any) -> Iterator[dict[str, Any]]:
    """Wherever Gradio would see a file: each object with a "path"."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "path" in value:
                yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _lies_in(file: dict[str, Any], folder: Path) -> bool:
    path, address = file["path"], file.get("url")
    if path is None:  # its content stands in its address
        return isinstance(address, str) and address.startswith("data:image/")
    try:
        found = isinstance(path, str) and Path(path).resolve()
        return bool(found) and found.is_relative_to(folder.resolve()) and found.is_file()
    except (OSError, ValueError):
        return False


def _json_object(body: bytes) -> dict[str, Any]:
    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is not JSON")

    try:
        content = json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise RequestError("expected a JSON object, without NaN and infinities") from error
    if not isinstance(content, dict):
        raise RequestError("expected a JSON object")
    return content
