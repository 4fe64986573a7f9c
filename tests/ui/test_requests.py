"""Requests that nobody should send: every one of our routes, every named endpoint, every option.

Whatever is in them, the answer is what was asked for or words that say what was expected: never a traceback.
"""

from __future__ import annotations

import json
import math
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click
import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.studio_client import OURS, ZEROS, call, filled, operations, studio_client
from vae_core import __main__ as command_line
from vae_core.ui.page import gradio_app

if TYPE_CHECKING:
    from starlette.testclient import TestClient

WRONG_TEXTS = [
    "", " ", "x", "nan", "inf", "-inf", "1e999", "-1", "0", "1", "1.5", "true", "null", "[]", "9" * 400,
    "-" + "9" * 400, "0x10", "١٢", "½", "ünïcödé", "\u202e\u0000", "a\nb", "\U0001f600", "../../etc/passwd",
    "<script>", "," * 50, "1," * 15 + "1", "nan," * 15 + "nan", "x" * 15_000, str(2**63), "1e-400",
    "evaluated", "here", "mixture",
]  # fmt: skip
ANY_TEXT = st.sampled_from(WRONG_TEXTS) | st.text(max_size=40)
SOUND = {
    "z": ZEROS, "a": ZEROS, "b": ZEROS, "rows": "1", "left": "-1", "right": "1", "bottom": "-1", "top": "1",
    "columns": "2", "to": "other", "count": "4", "scale": "1",
}  # fmt: skip
"""What makes a request of a route's sound, so that one wrong value at a time is seen."""
ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from([2**63, -(2**63), 10**400, 1e308, "9" * 400, "reference", "", "\ud800", "\u0000"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@pytest.fixture(scope="module")
def studio(
    tmp_path_factory: pytest.TempPathFactory, small_mnist: Path, tiny_run: Path
) -> Iterator[TestClient]:
    runs_dir = tmp_path_factory.mktemp("requests")
    shutil.copytree(tiny_run, runs_dir / "mine")
    with studio_client(runs_dir, small_mnist) as client:
        yield client


def check(answer: Any, what: object) -> None:
    """Whether an answer is one: a success, or words about the mistake."""
    assert answer.status_code < 500, (what, answer.status_code, answer.text[:500])
    assert "Traceback" not in answer.text, what
    if answer.status_code >= 400:
        said = answer.json()
        is_gradios = answer.url.path.startswith("/gradio_api") or said == {"detail": "Not Found"}
        words = said.get("error") or said["detail"] if is_gradios else said["error"]
        assert isinstance(words, str), (what, answer.text[:300])
        assert words, what


def ask(client: TestClient, method: str, path: str, parameters: dict[str, str], content: bytes) -> Any:
    query = "&".join(
        f"{name}={quote(value, safe='', errors='replace')}" for name, value in parameters.items()
    )
    body = content if method == "POST" else None
    return client.request(method, f"{path}?{query}", content=body, headers=OURS, follow_redirects=False)


def parameters_of(description: dict[str, Any], place: str) -> list[str]:
    return [each["name"] for each in description.get("parameters", []) if each["in"] == place]


def quick(client: TestClient) -> list[tuple[str, str, dict[str, Any]]]:
    """Our routes, but for the two that begin a work of minutes: see below."""
    return [
        each
        for each in operations(client.app)  # type: ignore[arg-type]
        if each[0] != "POST" or not each[1].endswith(("/again", "/errors/figures"))
    ]


def test_every_parameter_of_every_route_takes_any_text(studio: TestClient) -> None:
    cases = 0
    for method, path, description in quick(studio):
        names = parameters_of(description, "query")
        sound = {name: SOUND[name] for name in names if name in SOUND}
        for wrong in names:
            for text in WRONG_TEXTS:
                if method == "POST" and path.endswith("/name"):
                    continue  # below: it would go by another name afterwards
                answer = ask(studio, method, filled(path), sound | {wrong: text}, b"")
                check(answer, (method, path, wrong, text[:50]))
                cases += 1
    assert cases > 1000


def test_no_long_work_begins_with_a_wrong_request(studio: TestClient) -> None:
    for text in WRONG_TEXTS:
        for route in ("again", "errors/figures"):
            path = f"/studio/runs/{quote(text, safe='', errors='replace')}/{route}"
            answer = ask(studio, "POST", path, {}, b"")
            check(answer, (route, text[:50]))
            assert answer.status_code >= 400, (route, text[:50])
        if text not in ("evaluated", "here"):
            answer = ask(studio, "POST", "/studio/runs/reference/errors/figures", {"on": text}, b"")
            check(answer, ("on", text[:50]))
            assert answer.status_code >= 400, text[:50]


def test_no_number_is_too_long_for_a_files_name(studio: TestClient) -> None:
    answer = studio.get(f"/studio/runs/reference/previews/{'1' * 300}-samples.png")
    check(answer, "a preview")
    assert answer.status_code == 400


def test_every_part_of_every_path_takes_any_text(studio: TestClient) -> None:
    cases = 0
    for method, path, description in quick(studio):
        sound = {name: SOUND[name] for name in parameters_of(description, "query") if name in SOUND}
        for wrong in parameters_of(description, "path"):
            for text in WRONG_TEXTS:
                place = path.replace(f"{{{wrong}}}", quote(text, safe="", errors="replace"))
                check(ask(studio, method, filled(place), sound, b""), (method, path, wrong, text[:50]))
                cases += 1
    assert cases > 500


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_request_to_our_routes_is_answered(studio: TestClient, data: st.DataObject) -> None:
    asked = [each for each in quick(studio) if each[0] != "DELETE"]
    method, path, description = data.draw(st.sampled_from(asked))
    for name in parameters_of(description, "path"):
        value = data.draw(st.sampled_from(["reference", "mine", "gif", "0"]) | ANY_TEXT)
        path = path.replace(f"{{{name}}}", quote(value, safe="", errors="replace"))
    query = {name: data.draw(ANY_TEXT) for name in parameters_of(description, "query")}
    check(ask(studio, method, path, query, data.draw(st.binary(max_size=60))), (method, path, query))


@pytest.mark.parametrize("text", [text for text in WRONG_TEXTS if text not in ("x", "evaluated", "here")])
def test_any_new_name_is_a_name_or_an_error(studio: TestClient, text: str) -> None:
    for run in ("mine", "reference", "nobody"):
        answer = ask(studio, "POST", f"/studio/runs/{run}/name", {"to": text}, b"")
        check(answer, text)
        if answer.status_code == 200:
            back = ask(
                studio, "POST", f"/studio/runs/{quote(answer.json()['run'])}/name", {"to": "mine"}, b""
            )
            assert back.status_code == 200


def endpoints(studio: TestClient) -> dict[str, int]:
    """The named endpoints, and how many values each takes."""
    functions = gradio_app(studio.app).get_blocks().fns.values()  # type: ignore[arg-type]
    named = {
        "runs",
        "decode",
        "encode",
        "reconstruct",
        "generate",
        "test_errors",
        "start_training",
        "stop_training",
        "training_status",
    }
    return {each.api_name: len(each.inputs) for each in functions if each.api_name in named}


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_call_of_a_named_endpoint_is_answered_with_words(studio: TestClient, data: st.DataObject) -> None:
    """Directly, as raw HTTP: Python's writer of JSON lets NaN and infinities through, as attackers do."""
    known = endpoints(studio)
    name = data.draw(st.sampled_from(sorted(set(known) - {"start_training"})))
    values = data.draw(st.lists(ANY_VALUE, min_size=known[name], max_size=known[name]) | ANY_VALUE)
    body = data.draw(
        st.just({"data": values}) | st.fixed_dictionaries({"data": ANY_VALUE, "fn_index": ANY_VALUE})
    )
    content = json.dumps(body).encode()
    for route in ("run", "call"):
        answer = studio.post(
            f"/gradio_api/{route}/{name}", content=content, headers={"Content-Type": "application/json"}
        )
        check(answer, (route, name, body))


NESTED: Any = [[]]
for _ in range(200):
    NESTED = [NESTED]
WRONG_VALUES: list[Any] = [
    None, True, -1, 1.5, 2**63, 10**400, 1e308, "x", "9" * 400, "\u0000", "\ud800", "x" * 100_000, [0] * 15,
    [0] * 10_000, ["a"] * 16, [[0]] * 16, {}, {"a": [1] * 1000}, NESTED, {"path": None},
    {"path": "/etc/passwd"},
    {"path": None, "url": "data:image/png;base64,AAAAA"}, {"path": None, "url": "data:image/svg+xml,<svg/>"},
    {"path": None, "url": "data:image/png;base64,JSFQUy1BZG9iZS0zLjAgRVBTRg==", "size": 5},
    {"path": None, "url": "data:image/png;base64,", "size": "x"},
]  # fmt: skip
SOUND_VALUES: dict[str, list[Any]] = {
    "runs": [], "decode": [[0.0] * 16, "reference"], "encode": [None, "reference"],
    "reconstruct": [None, "reference"], "generate": [1, 0, "reference", "prior", 1, None],
    "test_errors": ["reference", True], "start_training": [{"epochs": 0}, "x"], "stop_training": [],
    "training_status": [],
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND_VALUES)
def test_every_argument_of_every_named_endpoint_takes_any_value(studio: TestClient, name: str) -> None:
    """Through Gradio's queue: a success, or one line that is not long, and no traceback in the log."""
    sound = SOUND_VALUES[name]
    calls = [[*sound, None], [], sound[:-1], [sound, sound], [None] * 9]
    for place in range(len(sound)):
        calls += [[*sound[:place], value, *sound[place + 1 :]] for value in WRONG_VALUES]
    for data in calls:
        if name == "start_training" and data[:1] in ([None], [{}]):
            continue  # the reference recipe would begin
        kind, answer = call(studio, name, *data)
        if kind == "complete":
            continue
        assert isinstance(answer["error"], str), (data, answer)
        assert 0 < len(answer["error"]) < 600, data
        assert len(answer["error"].splitlines()) == 1, data


SETTINGS = [
    ("epochs", value) for value in (0, -1, 1.5, math.nan, math.inf, "many", None, [], {}, True, 10**400)
] + [
    ("learning_rate", value) for value in (0, -1, math.nan, math.inf, "fast", [], 1e308, 10**400)
] + [
    (name, value)
    for name in ("batch_size", "latent_dim", "beta", "likelihood", "schedule", "optimizer", "seed", "device")
    for value in (math.nan, -math.inf, "\u0000", [1], {"a": 1}, 10**400, "x" * 10_000)
] + [("unknown", 1), ("", None), ("__class__", "x")]  # fmt: skip


def test_no_training_starts_with_wrong_settings(studio: TestClient) -> None:
    for name, value in SETTINGS:
        content = json.dumps({"data": [{name: value}, "wrong"]}).encode()
        for kind in ("application/json", "text/plain"):
            answer = studio.post(
                "/gradio_api/run/start_training", content=content, headers={"Content-Type": kind}
            )
            check(answer, (name, value))
            assert answer.status_code >= 400, (name, value)
    for name in ("../x", "a/b", "", "x" * 300, "\u0000", "\n", 5, None, [], {}, True):
        answer = studio.post("/gradio_api/run/start_training", json={"data": [{"epochs": 0}, name]})
        check(answer, name)
        assert answer.status_code >= 400


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"NaN", b'"x"', b"\xff\xfe", b'{"data":', b"[" * 100_000, b'{"data":[' * 5000,
     b'{"data": [1e999]}', b'{"data": NaN}', b"{}" * 1000, b'{"data":[' + b"9" * 5000 + b"]}"],
    ids=lambda content: str(content[:12]),
)  # fmt: skip
def test_bodies_that_are_no_json_are_refused_with_words(studio: TestClient, content: bytes) -> None:
    for name in endpoints(studio):
        for route in (f"run/{name}", f"call/{name}", "queue/join", "cancel", "reset"):
            answer = studio.post(
                f"/gradio_api/{route}", content=content, headers={"Content-Type": "application/json"}
            )
            check(answer, (route, content[:40]))
            assert answer.status_code >= 400, (route, content[:40])


# Every option of every command, in this process.

WRONG_ARGUMENTS = [
    "", " ", "x", "nan", "inf", "-inf", "1e999", "-1", "1.5", "9" * 400, str(2**64), "½", "ünïcödé", "a\nb",
    "\U0001f600", "../../etc/passwd", "x" * 5000, "[bold]x", "%s", "None",
]  # fmt: skip


GROUP = typer.main.get_command(command_line.app)
"""All commands, made once: Typer makes them anew for each call, which takes longer than the call."""


def options() -> list[tuple[str, str]]:
    """Each command with each of its options that take a value."""
    assert isinstance(GROUP, click.Group) or hasattr(GROUP, "commands")
    return [
        (name, max(parameter.opts, key=len))
        for name, command in GROUP.commands.items()  # type: ignore[attr-defined]
        for parameter in command.params
        if parameter.param_type_name == "option" and not getattr(parameter, "is_flag", False)
    ]


def _ended_with() -> int:
    try:
        command_line.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


NEEDED = {
    "evaluate": ["nobody"], "generate": ["nobody"], "reconstruct": ["nobody", "nothing.png"],
    "export": ["nobody"], "train": ["--resume", "nobody"], "benchmark": ["--rounds", "0"],
    "data": ["--data-dir", "nothing"], "parity": ["--data-dir", "nothing"],
}  # fmt: skip
"""What fails at once where the wrong value does not."""


@pytest.mark.parametrize(("command", "option"), options())
def test_any_value_of_an_option_is_one_line_and_an_exit_code(
    command: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command_line, "app", GROUP)
    before = set(tmp_path.iterdir())
    for text in WRONG_ARGUMENTS:
        arguments = [command, *NEEDED.get(command, []), f"{option}={text}"]
        monkeypatch.setattr(sys, "argv", ["vae-studio", *arguments])
        code = _ended_with()
        said = capsys.readouterr()
        assert "Traceback" not in said.err, arguments
        if command == "runs" and code == 0:
            continue  # a folder that is not there has no runs
        assert code in (1, 2), arguments
        last = said.err.strip().splitlines()
        assert (said.err.startswith("error: ") and len(last) == 1) or "Usage:" in said.err, said.err
    assert set(tmp_path.iterdir()) == before


WRONG_FOR_APP = [
    *(("--port", text) for text in ("", "x", "0", "65536", "-1", "1.5", "9" * 400)),
    *(("--host", text) for text in ("", " ", "nobody.invalid", "300.1.1.1", "a\nb", "..", "x" * 5000)),
    *(("--device", text) for text in ("", "gpu", "cuda:x", "cuda:99", "x" * 5000, "a\nb")),
    *(("--data-dir", text) for text in ("", "nowhere", "file", "x" * 5000, "a\nb", ".")),
    *(("--runs-dir", text) for text in ("file", "file/x", "x" * 5000)),
    *(("--auth-file", text) for text in ("", "nowhere", "file", "x" * 5000, "a\nb", ".")),
    *(("--lesson", text) for text in ("", "x", "tabs=", "tabs=x", "model=x", "z=1", "a\nb", "x" * 5000)),
    *(("--root-path", text) for text in ("", "/", "vae", "/vae/", "/a b", "http://x/vae", "a\nb")),
    ("--read-only", "1"), ("--nothing", "x"),
]  # fmt: skip


def test_any_wrong_option_of_the_app_is_one_line_and_an_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """In this process; nothing is ever served."""
    from runpy import run_path

    from support.browser import REPOSITORY, free_port

    main = run_path(str(REPOSITORY / "app.py"))["main"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("no user\n")
    port, on_terminate = free_port(), signal.getsignal(signal.SIGTERM)
    for option, text in WRONG_FOR_APP:
        arguments = ["--port", str(port), "--runs-dir", "runs", f"{option}={text}"]
        monkeypatch.setattr(sys, "argv", ["app.py", *arguments])
        try:
            code = main()
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        is_of_machine = option in ("--data-dir", "--runs-dir", "--auth-file") or (option == "--host" and text)
        assert code == (1 if is_of_machine else 2), (option, text[:50])
        if not said.err.startswith("usage: "):
            assert said.err.startswith("error: "), (option, text[:50], said.err)
            assert len(said.err.splitlines()) == 1, (option, text[:50], said.err)
    signal.signal(signal.SIGTERM, on_terminate)
