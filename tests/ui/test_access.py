"""Who may do what: strangers, a studio for looking only, other sites; and files that are not served."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from PIL import Image

from support.browser import REPOSITORY, App
from support.studio_client import OURS, ZEROS, call, filled, operations, served, studio_client
from vae_core.errors import PasswordError
from vae_core.passwords import set_password
from vae_core.ui.gate import calls, guard
from vae_core.ui.gate.guard import MOST_COMPUTING, MOST_COSTLY, MOST_WAITING, Access
from vae_core.ui.page import build_app, gradio_app
from vae_core.ui.server import places
from vae_core.ui.temporary import temporary_folder

if TYPE_CHECKING:
    from starlette.testclient import TestClient

OPEN_WITHOUT_LOGIN = {
    "/gradio_api/user",
    "/gradio_api/app_id",
    "/gradio_api/startup-events",
    "/gradio_api/theme.css",
}
CHANGES = [
    ("POST", "/studio/runs/mine/name?to=other"), ("DELETE", "/studio/runs/mine"), ("POST", "/studio/archive"),
    ("POST", "/studio/runs/mine/again"), ("POST", "/studio/runs/reference/again"),
]  # fmt: skip
FROM_A_BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def png(size: int = 28) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (size, size), 90).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, small_mnist: Path) -> Iterator[TestClient]:
    """As it is started without options, but that nothing can be trained."""
    with studio_client(tmp_path_factory.mktemp("open"), small_mnist) as client:
        yield client


@pytest.fixture(scope="module")
def guarded_runs(tmp_path_factory: pytest.TempPathFactory, tiny_run: Path) -> Path:
    runs_dir = tmp_path_factory.mktemp("guarded")
    shutil.copytree(tiny_run, runs_dir / "mine")
    return runs_dir


@pytest.fixture(scope="module")
def guarded(
    guarded_runs: Path, tmp_path_factory: pytest.TempPathFactory, small_mnist: Path
) -> Iterator[TestClient]:
    """For looking only, and that only for those with a password."""
    users = tmp_path_factory.mktemp("auth") / "users"
    set_password(users, "alice", "correct horse")
    access = Access("0.0.0.0", read_only=True, auth_file=users, allow_embedding=True)
    with studio_client(guarded_runs, small_mnist, access) as client:
        yield client


@pytest.fixture
def stranger(guarded: TestClient) -> TestClient:
    guarded.cookies.clear()
    return guarded


@pytest.fixture
def alice(guarded: TestClient) -> TestClient:
    guarded.cookies.clear()
    answer = guarded.post("/login", data={"username": "alice", "password": "correct horse"})
    assert answer.status_code == 200
    return guarded


def test_a_stranger_gets_nothing_from_any_route_of_ours(stranger: TestClient) -> None:
    asked = list(operations(stranger.app))  # type: ignore[arg-type]
    assert len(asked) > 30
    for method, path, _ in asked:
        answer = stranger.request(method, filled(path), headers=OURS)
        if path != "/studio/plotly.min.js":  # public code, as the scripts beside it
            assert (answer.status_code, answer.json()["error"]) == (401, "log in first"), path


def test_a_stranger_gets_nothing_from_gradios_routes_but_the_log_in(stranger: TestClient) -> None:
    asked = 0
    for path, methods in gradio_app(stranger.app).openapi()["paths"].items():  # type: ignore[arg-type]
        if not path.startswith(("/gradio_api", "/config")):
            continue
        for method in methods:
            answer = stranger.request(method.upper(), filled(path), follow_redirects=False)
            asked += 1
            if path.rstrip("/") not in OPEN_WITHOUT_LOGIN:
                assert answer.status_code in (401, 404), path
    assert asked > 40
    assert stranger.get("/gradio_api/user").json() is None
    assert "auth_required" in stranger.get("/").text


def test_wrong_passwords_and_forged_cookies_do_not_open(stranger: TestClient) -> None:
    for name, password in (("alice", "wrong horse"), ("alice", ""), ("mallory", "correct horse")):
        answer = stranger.post("/login", data={"username": name, "password": password})
        assert answer.status_code in (400, 422)
        assert "set-cookie" not in answer.headers
    cookie = f"access-token-unsecure-{gradio_app(stranger.app).cookie_id}"  # type: ignore[arg-type]
    for token in ("", "x", "None", "null", "alice"):
        assert stranger.get("/studio/models", headers={"Cookie": f"{cookie}={token}"}).status_code == 401


def test_who_has_logged_in_sees_everything_until_logging_out(alice: TestClient) -> None:
    cookie = f"access-token-unsecure-{gradio_app(alice.app).cookie_id}"  # type: ignore[arg-type]
    token = alice.cookies[cookie]
    assert alice.get("/studio/models").status_code == 200
    assert alice.get(f"/studio/runs/reference/decode.png?z={ZEROS}").headers["content-type"] == "image/png"
    assert call(alice, "decode", [0.0] * 16, "reference")[0] == "complete"
    alice.get("/logout", follow_redirects=False)
    alice.cookies.clear()
    assert alice.get("/studio/models", headers={"Cookie": f"{cookie}={token}"}).status_code == 401


def test_a_session_cookie_is_out_of_reach_of_scripts(stranger: TestClient) -> None:
    answer = stranger.post("/login", data={"username": "alice", "password": "correct horse"})
    cookies = answer.headers.get_list("set-cookie")
    assert len(cookies) == 2
    assert all("httponly" in cookie.lower() for cookie in cookies)


def test_read_only_changes_nothing_through_any_route(alice: TestClient, guarded_runs: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in guarded_runs.rglob("*") if path.name != "run.lock"}
    for method, path in CHANGES:
        answer = alice.request(method, path, headers=OURS)
        assert answer.status_code == 403, path
        assert "for looking only" in answer.json()["error"]
    for endpoint, data in (("start_training", [{"epochs": 1}, "new"]), ("stop_training", [])):
        kind, answer = call(alice, endpoint, *data)
        assert kind == "error"
        assert "for looking only" in answer["error"]
    assert alice.get("/studio/runs").json()["read_only"]
    assert before == {
        path: path.stat().st_mtime_ns for path in guarded_runs.rglob("*") if path.name != "run.lock"
    }


def test_read_only_holds_for_every_function_behind_the_page(alice: TestClient, guarded_runs: Path) -> None:
    """As the page calls them, by number: hidden buttons do not protect what they call."""
    names = set(os.listdir(guarded_runs))
    blocks = gradio_app(alice.app).get_blocks()  # type: ignore[arg-type]
    called = set()
    for number, function in blocks.fns.items():
        if function.fn is None or function.api_name in ("encode", "reconstruct", "generate"):
            continue
        values = [getattr(block, "value", None) for block in function.inputs]
        body = {"data": values, "fn_index": number, "session_hash": "visitor"}
        route = "queue/join" if function.queue else "run/predict"
        assert alice.post(f"/gradio_api/{route}", json=body).status_code in (200, 400), function.name
        called.add(function.name)
    assert {"start_from_form", "stop_from_button", "resume_from_button", "warm_up"} < called
    assert alice.get("/studio/training").json()["state"] == "finished"
    assert set(os.listdir(guarded_runs)) == names


def test_every_answer_carries_the_security_headers(studio: TestClient, alice: TestClient) -> None:
    for path in (
        "/", "/studio/models", "/studio/runs/nope/card", "/studio/static/studio.js", "/gradio_api/token",
        "/theme.css", "/config", "/nowhere", f"/studio/runs/reference/decode.png?z={ZEROS}",
    ):  # fmt: skip
        headers = studio.get(path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
        policy = headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        scripts = next(part for part in policy.split("; ") if part.startswith("script-src"))
        assert "'unsafe-inline'" not in scripts
        assert "http" not in policy
        embedded = alice.get(path).headers
        assert "x-frame-options" not in embedded
        assert "frame-ancestors *" in embedded["content-security-policy"]


FILES = ["/etc/passwd", "pyproject.toml", "run.json", "checkpoints/reference/run.json", "app.py",
         "vae_core/ui/page.py",
         "../../../../../../etc/passwd", "..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd",
         "%252e%252e%252fetc%252fpasswd", "....//....//etc/passwd", "..\\..\\etc\\passwd", "%00/etc/passwd",
         "/etc/passwd%00.png", "file:///etc/passwd", "//etc/passwd", "/proc/self/environ",
         "/dev/zero", "~/.ssh/id_rsa",
         "http://127.0.0.1:1/", "https://example.org/x.png", "HTTPS://example.org/x.png"]  # fmt: skip
FILE_ROUTES = [
    "/{}", "/gradio_api/file={}", "/gradio_api/file/{}", "/file={}", "/static/{}", "/assets/{}", "/svelte/{}",
    "/studio/static/{}", "/studio/{}", "/studio/runs/{}", "/studio/runs/reference/{}",
    "/studio/runs/reference/previews/{}", "/studio/runs/reference/previews/{}-samples.png",
    "/studio/runs/{}/card",
    "/studio/runs/{}/archive.zip", "/gradio_api/proxy={}", "/gradio_api/stream/{}", "/pwa_icon/{}",
    "/gradio_api/custom_component/x/client/x/{}", "/?deep_link={}",
]  # fmt: skip


@pytest.mark.parametrize("route", FILE_ROUTES)
def test_no_file_is_served_that_is_not_meant_to_be(studio: TestClient, route: str) -> None:
    secrets = (
        b"root:x:0:0",
        b"[build-system]",
        b'"settings"',
        b"def build_app",
        b"def main",
        b"PATH=",
        b"Traceback",
    )
    for file in FILES:
        answer = studio.get(route.format(file), follow_redirects=False)
        assert answer.status_code < 500
        if "config" not in answer.text[:20_000]:  # the page itself, of whatever deep link
            assert not any(secret in answer.content for secret in secrets), (route, file)


RAW_FILES = [
    "../run.json", "../../pyproject.toml", "../../../../../../../../etc/passwd", "./../run.json",
    "%2e%2e/run.json", "%2e%2e%2frun.json", "..%252frun.json", "..%5crun.json", "..;/run.json",
    "%c0%ae%c0%ae/run.json", "..%00/run.json", "model.safetensors",
    f"/proc/self/root{quote(str(REPOSITORY))}/pyproject.toml",
    "/proc/self/cwd/pyproject.toml", "metrics.jsonl", "evaluation.npz", "run.json#", "run.json?x",
]  # fmt: skip
RAW_ROUTES = [
    "/studio/static/", "/studio/runs/reference/", "/studio/runs/reference/previews/", "/studio/runs/",
    "/gradio_api/file=", "/gradio_api/file/", "/static/", "/assets/", "/svelte/", "/",
]  # fmt: skip


def test_no_file_is_served_to_a_path_that_no_browser_would_send(tmp_path: Path, small_mnist: Path) -> None:
    """Byte by byte as written here: browsers and HTTP libraries tidy a path up before they send it."""
    app = build_app(tmp_path / "runs", str(small_mnist))  # its queue ends with the server
    with served(app) as port:
        for route in RAW_ROUTES:
            for file in RAW_FILES:
                for method in (b"GET", b"HEAD"):
                    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                        head = f" {route}{file} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
                        connection.sendall(method + head.encode())
                        content = b"".join(iter(lambda: connection.recv(65536), b""))
                    status, _, body = content.partition(b"\r\n\r\n")
                    assert int(status.split()[1]) < 500, (route, file)
                    if b"window.gradio_config" in body:  # the page itself
                        continue
                    assert status.split()[1] != b"200", (route, file)
                    for secret in (b"root:x:0:0", b"[build-system]", b'"settings"', b"Traceback"):
                        assert secret not in body, (route, file)


@pytest.mark.parametrize("is_checked_before", [True, False])
def test_a_caller_cannot_have_a_file_of_this_machine_copied_to_where_it_is_served(
    studio: TestClient, monkeypatch: pytest.MonkeyPatch, is_checked_before: bool
) -> None:
    """Gradio's own check is off in a mounted app, unless told otherwise. Ours stands before it."""
    if not is_checked_before:
        monkeypatch.setattr(guard, "check_call", lambda *arguments: None)
    fns = gradio_app(studio.app).get_blocks().fns  # type: ignore[arg-type]
    number, form = next(found for found in fns.items() if found[1].name == "_form_as_it_is")
    for path in ("/etc/passwd", str(REPOSITORY / "pyproject.toml"), "http://127.0.0.1:1/x"):
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        given = {"data": [file, *[None] * (len(form.inputs) - 1)], "fn_index": number}
        answer = studio.post("/gradio_api/run/predict", json=given)
        assert answer.status_code in (400, 500)
        assert "/passwd'" not in answer.text
        assert "/pyproject.toml'" not in answer.text
        kind, words = call(studio, "reconstruct", file, "reference")
        assert kind in ("error", "status 400"), words
        assert "root:x" not in json.dumps(words)


def test_a_call_that_names_very_many_files_is_refused_before_they_are_looked_for(
    studio: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_for = []
    monkeypatch.setattr(calls, "_lies_in", lambda file, folder: looked_for.append(file) or False)
    call_of_many = {"data": [{"path": "/tmp/none"}] * 40_000}
    answer = studio.post("/gradio_api/call/reconstruct", json=call_of_many)
    assert answer.status_code == 400
    assert "expected at most 8 files" in answer.text
    assert looked_for == []


def test_an_address_that_leads_nowhere_is_a_page_for_a_browser_and_a_line_for_a_program(
    studio: TestClient,
) -> None:
    browsers = studio.get("/explore/deep", headers=FROM_A_BROWSER)
    assert browsers.status_code == 404
    assert "There is no page here" in browsers.text
    assert "default-src" in browsers.headers["content-security-policy"]
    programs = studio.get("/explore/deep")
    assert (programs.status_code, programs.json()) == (404, {"detail": "Not Found"})


def test_who_reads_only_a_pages_head_finds_our_words(studio: TestClient, alice: TestClient) -> None:
    for visitor in (studio, alice):
        page = visitor.get("/", headers={"Accept-Encoding": "identity"})
        assert int(page.headers["content-length"]) == len(page.content)
        head = page.text.partition("</head>")[0]
        assert head.count("<title>") == 1
        said = re.findall(r'<meta\s+(?:property|name)="((?:og|twitter):[\w:]+)"\s+content="(.*?)"', head)
        assert [name for name, _ in said] == ["og:title", "og:description"]
        assert said[0][1] == "VAE Studio"
        assert "autoencoder" in said[1][1]
        assert "Click to try out the app" not in page.text
    lost = studio.get("/explore/deep", headers=FROM_A_BROWSER).text  # a page of our own
    assert lost.count("<title>") == 1
    assert "og:title" not in lost


def test_what_is_long_is_sent_packed_but_pictures_are_not(studio: TestClient) -> None:
    for path in ("/", "/studio/static/studio.js", "/studio/runs/reference/map.json"):
        packed = studio.get(path, headers={"Accept-Encoding": "gzip"})
        plain = studio.get(path, headers={"Accept-Encoding": "identity"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.headers["vary"] == "Accept-Encoding"
        assert "content-encoding" not in plain.headers
        if path == "/":  # no two are the same
            assert len(packed.content) == len(plain.content)
        else:
            assert packed.content == plain.content
        assert int(packed.headers["content-length"]) < 0.6 * len(plain.content)
        assert packed.headers["x-content-type-options"] == "nosniff"
    part = "/studio/static/help.html"
    whole = studio.get(part, headers={"Accept-Encoding": "identity"})
    asked = studio.head(part, headers={"Accept-Encoding": "identity"})
    assert int(asked.headers["content-length"]) == len(whole.content)
    picture = studio.get("/studio/runs/reference/generated.png", headers={"Accept-Encoding": "gzip"})
    assert len(picture.content) > 2048
    assert "content-encoding" not in picture.headers


def test_only_pictures_can_be_uploaded(studio: TestClient) -> None:
    def upload(name: str, content: bytes, **more: Any) -> int:
        return studio.post("/gradio_api/upload", files={"files": (name, content)}, **more).status_code

    assert upload("one.png", png()) == 200
    for name, content in (
        ("x.html", b"<script>alert(1)</script>"), ("x.png", b"<svg onload='alert(1)'/>"), ("x.py", b"pass"),
        ("x.svg", b"<svg/>"), ("x.png", b""), ("x.zip", b"PK\x03\x04"), ("x.png", png()[:20]),
    ):  # fmt: skip
        assert upload(name, content) == 415, name
    assert upload("big.png", png() + bytes(20 * 2**20)) == 413
    many = [("files", (f"{number}.png", png())) for number in range(9)]
    assert studio.post("/gradio_api/upload", files=many).status_code == 415
    assert studio.post("/gradio_api/upload", content=b"x").status_code == 415
    assert studio.post("/gradio_api/upload", content=b"--x\r\n", headers={
        "content-type": "multipart/form-data; boundary=x"}).status_code == 415  # fmt: skip


def test_a_body_without_end_is_cut_off(studio: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield bytes(2**20)

    for path in ("/gradio_api/queue/join", "/gradio_api/cancel", "/login", "/gradio_api/upload"):
        assert studio.post(path, content=endless()).status_code == 413, path
    for path in ("/studio/ink.png", "/studio/runs/reference/sketch"):
        answer = studio.post(path, content=endless())
        assert answer.status_code == 413
        assert "larger than 20 MiB" in answer.json()["error"]


def test_another_sites_page_can_change_nothing(studio: TestClient) -> None:
    for headers in (
        {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:9"}, {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:7860"},
    ):  # fmt: skip
        for path in ("/studio/ink.png", "/gradio_api/queue/join", "/studio/archive", "/login"):
            answer = studio.post(path, headers=headers)
            assert answer.status_code == 403, (headers, path)
    for headers in ({"Origin": "http://127.0.0.1:7860"}, {"Sec-Fetch-Site": "same-origin"}, {}):
        assert studio.post("/studio/ink.png", headers=headers, content=b"x").status_code == 400
    behind_a_proxy = {"Origin": "https://vae.example", "X-Forwarded-Host": "vae.example"}
    assert studio.post("/studio/ink.png", headers=behind_a_proxy, content=b"x").status_code == 400


def test_an_app_for_this_machine_answers_to_no_other_name(studio: TestClient, alice: TestClient) -> None:
    """Or another site could reach it through its visitor's browser, by a name that leads here."""
    for host in (
        "evil.example",
        "127.0.0.1.evil.example",
        "",
        "[",
        "localhost.evil.example:7860",
        "10.0.0.1",
    ):
        assert studio.get("/studio/models", headers={"Host": host}).status_code == 421, host
    for host in ("localhost:7860", "127.0.0.1", "[::1]:7860", "LOCALHOST"):
        assert studio.get("/studio/models", headers={"Host": host}).status_code == 200
    assert alice.get("/studio/models", headers={"Host": "vae.example"}).status_code == 200


def test_too_many_at_once_are_turned_away_with_words() -> None:
    async def crowd(path: str, count: int) -> list[int]:
        leave = asyncio.Event()
        answers: list[int] = []

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            await leave.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answers.append(message["status"])
                if message["status"] == 503:
                    assert (b"retry-after", b"1") in message["headers"]

        guarded = guard.Guard(slow, Access(), None, lambda: None)
        scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"host", b"localhost")]}
        asked = [asyncio.create_task(guarded(dict(scope), receive, send)) for _ in range(count)]
        await asyncio.sleep(0.05)
        turned_away = len(answers)
        leave.set()
        await asyncio.gather(*asked)
        assert answers.count(200) == count - turned_away
        await guarded(dict(scope), receive, send)
        assert answers[-1] == 200  # there is room again
        return answers[:turned_away]

    assert asyncio.run(crowd("/studio/runs/a/decode.png", MOST_COMPUTING + 7)) == [503] * 7
    assert asyncio.run(crowd("/studio/runs/a/walk.gif", MOST_COSTLY + MOST_WAITING + 7)) == [503] * 7
    assert asyncio.run(crowd("/studio/training", 200)) == []


def test_who_has_left_while_waiting_is_not_computed_for() -> None:
    async def crowd() -> list[int]:
        computed, gone, leave = [], set(), asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            computed.append(scope["number"])
            await leave.wait()

        async def send(message: Any) -> None:
            raise AssertionError(message)

        def visitor(number: int) -> Any:
            async def receive() -> Any:
                return {"type": "http.disconnect" if number in gone else "http.request", "body": b""}

            scope = {"type": "http", "method": "GET", "path": "/studio/runs/a/map.json", "number": number,
                     "headers": [(b"host", b"localhost")]}  # fmt: skip
            return guarded(scope, receive, send)

        guarded = guard.Guard(slow, Access(), None, lambda: None)
        asked = [asyncio.create_task(visitor(number)) for number in range(MOST_COSTLY + 3)]
        await asyncio.sleep(0.01)
        gone.add(MOST_COSTLY + 1)
        leave.set()
        await asyncio.gather(*asked)
        return computed

    assert asyncio.run(crowd()) == [*range(MOST_COSTLY + 1), MOST_COSTLY + 2]


def test_a_browser_asks_whether_the_scripts_are_still_the_same(studio: TestClient) -> None:
    first = studio.get("/studio/static/studio.js")
    assert (first.status_code, first.headers["cache-control"]) == (200, "no-cache")
    again = studio.get("/studio/static/studio.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.headers["cache-control"]) == (304, "no-cache")


@pytest.mark.parametrize(
    ("access", "is_warned"),
    [
        (Access(), False), (Access("localhost"), False), (Access("0.0.0.0"), True), (Access("::"), True),
        (Access("10.0.0.5"), True), (Access("0.0.0.0", read_only=True), False),
        (Access("0.0.0.0", auth_file=Path("users")), False),
    ],
)  # fmt: skip
def test_an_open_door_to_the_network_is_warned_of(access: Access, is_warned: bool) -> None:
    assert bool(access.warning and "--read-only" in access.warning) == is_warned


def test_who_starts_it_for_assistants_with_a_log_in_is_told_that_they_cannot_get_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GRADIO_MCP_SERVER", "True")
    assert Access().warning is None
    assert "they cannot log in" in (Access(auth_file=Path("users")).warning or "")
    monkeypatch.setenv("GRADIO_MCP_SERVER", "False")
    assert Access(auth_file=Path("users")).warning is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", r"http://127\.0\.0\.1:7860"), ("::1", r"http://\[::1\]:7860"),
        ("0.0.0.0", r"http://127\.0\.0\.1:7860(, for others on http://[\d.]+:7860)?"),
        ("::", r"http://\[::1\]:7860(, for others on http://\[[\da-f:]+\]:7860)?"),
    ],
)  # fmt: skip
def test_the_start_says_where_the_app_is_found(host: str, expected: str) -> None:
    assert re.fullmatch(expected, places(host, 7860))


def test_a_broken_auth_file_keeps_the_app_from_starting(tmp_path: Path) -> None:
    with pytest.raises(PasswordError, match="cannot be read"):
        build_app(tmp_path, access=Access(auth_file=tmp_path / "none"))


def test_the_started_app_warns_and_tidies_up(tmp_path: Path, small_mnist: Path) -> None:
    environment = os.environ | {"MNIST_DIR": str(small_mnist), "TMPDIR": str(tmp_path)}
    (tmp_path / "vae-studio-killed").mkdir()
    (tmp_path / "vae-studio-killed" / ".lock").touch()
    app = App(tmp_path / "runs", environment, "--host", "127.0.0.2", host="127.0.0.2", is_warm=False)
    try:
        assert "WARNING: whoever reaches 127.0.0.2 can start" in app.log.read_text()
        kept = [path.name for path in tmp_path.glob("vae-studio-*")]
        assert len(kept) == 1
        assert kept != ["vae-studio-killed"]
        app.process.send_signal(signal.SIGTERM)
        assert app.process.wait(30) == 0
        assert list(tmp_path.glob("vae-studio-*")) == []
        assert "Traceback" not in app.log.read_text()
    finally:
        app.end()


def test_the_folder_of_a_living_app_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    with temporary_folder():
        first = os.environ["GRADIO_TEMP_DIR"]
        monkeypatch.delenv("GRADIO_TEMP_DIR")
        code = (
            "import os; from vae_core.ui.temporary import temporary_folder\n"
            "with temporary_folder(): print(os.environ['GRADIO_TEMP_DIR'])"
        )
        environment = os.environ | {"TMPDIR": str(tmp_path)}
        second = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            check=True,
        ).stdout.strip()
        assert second != first
        assert Path(first).is_dir()
        monkeypatch.setenv("GRADIO_TEMP_DIR", first)
    assert list(tmp_path.iterdir()) == []


def test_under_a_path_of_a_site_the_page_asks_there(tmp_path: Path, small_mnist: Path) -> None:
    from starlette.testclient import TestClient

    for root_path, root in ((None, "http://127.0.0.1:7860"), ("/vae", "http://127.0.0.1:7860/vae")):
        app = build_app(tmp_path / "runs", str(small_mnist), root_path=root_path)
        with TestClient(app, base_url="http://127.0.0.1:7860") as client:
            assert f'"root":"{root}"' in client.get("/").text
            missing = client.get("/explore/deep", headers=FROM_A_BROWSER).text
            assert f'<a href="{root_path or ""}/">' in missing  # the way back
