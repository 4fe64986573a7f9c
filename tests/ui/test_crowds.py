"""Many at once, and slow ones: over real sockets, and as a server calls the app."""

from __future__ import annotations

import asyncio
import json
import logging
import select
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from support.studio_client import ZEROS, guard_of, served
from support.waiting import wait_for
from vae_core.ui import page
from vae_core.ui.gate import bodies, connections
from vae_core.ui.gate.bodies import MOST_ARRIVING, Bodies, BodyError
from vae_core.ui.gate.guard import COSTLY_BODY_BYTES, MOST_COMPUTING, MOST_COSTLY, Access, Guard
from vae_core.ui.page import gradio_app

SKETCH = "/studio/runs/reference/sketch"
DECODE = f"/studio/runs/reference/decode.png?z={ZEROS}"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, small_mnist: Path) -> FastAPI:
    return page.build_app(tmp_path_factory.mktemp("crowds") / "runs", str(small_mnist))


@pytest.fixture(scope="module")
def port(app: FastAPI) -> Iterator[int]:
    with served(app) as port:
        assert httpx.get(f"http://127.0.0.1:{port}{DECODE}").status_code == 200
        yield port


@pytest.fixture
def send(port: int) -> Iterator[Callable[..., socket.socket]]:
    """Opens a connection and sends the beginning of a request."""
    opened: list[socket.socket] = []

    def begin(path: str, body: bytes = b"", announced: int = 1000, method: str = "POST") -> socket.socket:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", port))
        length = f"Content-Length: {announced}\r\n" if method == "POST" else ""
        connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}\r\n".encode() + body)
        opened.append(connection)
        return connection

    yield begin
    for connection in opened:
        connection.close()


def answer_to(connection: socket.socket) -> tuple[int, dict[str, str], Any]:
    """Status, headers and content of an answer after which the server hangs up."""
    content = b""
    while piece := connection.recv(65536):
        content += piece
    head, _, body = content.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, json.loads(body)


def test_stalled_bodies_keep_nobody_from_computing(app: FastAPI, port: int, send: Any) -> None:
    stalled = [send(SKETCH, b"x") for _ in range(MOST_ARRIVING)]
    wait_for(lambda: guard_of(app).held == (0, 0, MOST_ARRIVING))
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as visitor:
        for _ in range(5):
            assert visitor.get(DECODE).status_code == 200
            assert visitor.post(SKETCH, content=b"no picture").status_code == 400
            assert visitor.post("/gradio_api/call/stop_training", json={"data": []}).status_code == 200
    status, headers, words = answer_to(stalled[0])  # the oldest had to give way
    assert (status, headers["retry-after"]) == (503, "1")
    assert "try again" in words["error"]
    stalled[-1].sendall(bytes(999))  # the others may still come to their end, and be no picture
    assert stalled[-1].recv(65536).startswith(b"HTTP/1.1 400")
    for connection in stalled:
        connection.close()
    wait_for(lambda: guard_of(app).held == (0, 0, 0))


@pytest.mark.parametrize("path", [SKETCH, "/studio/ink.png", "/studio/archive", "/gradio_api/queue/join"])
def test_a_body_that_does_not_come_is_given_up(
    app: FastAPI, send: Any, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.2)
    connection = send(path, b"x")
    status, _, words = answer_to(connection)
    assert status == 408
    assert words["error"] == "the request did not come to its end in time"
    wait_for(lambda: guard_of(app).held == (0, 0, 0))


def test_a_body_that_trickles_is_given_up_too(send: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.3)
    connection = send(SKETCH)
    until = time.monotonic() + 10
    while not select.select([connection], [], [], 0.02)[0]:
        assert time.monotonic() < until, "it is kept alive by what trickles"
        connection.sendall(b"x")
    assert connection.recv(65536).startswith(b"HTTP/1.1 408")


def test_who_hangs_up_leaves_nothing_behind(
    app: FastAPI, send: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for path in (SKETCH, "/studio/archive", "/gradio_api/queue/join", "/gradio_api/upload"):
            for _ in range(10):
                send(path, b"x").close()
        for _ in range(10):
            send("/studio/runs/reference/walk.gif", method="GET").close()
            send("/gradio_api/queue/data?session_hash=nobody", method="GET").close()
        time.sleep(0.1)
        wait_for(lambda: guard_of(app).held == (0, 0, 0))
    assert [record.message for record in caplog.records if record.exc_info] == []


def test_who_does_not_fetch_an_answer_keeps_nobody_from_computing(app: FastAPI, port: int, send: Any) -> None:
    for _ in range(MOST_COSTLY + 2):
        answer = send("/studio/runs/reference/archive.zip", method="GET")
        assert answer.recv(100).startswith((b"HTTP/1.1 200", b"HTTP/1.1 503"))
    wait_for(lambda: guard_of(app).held == (0, 0, 0))
    assert httpx.get(f"http://127.0.0.1:{port}/studio/runs/reference/walk.gif?scale=1").status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "most"),
    [(SKETCH, b"x", MOST_COMPUTING), (SKETCH, bytes(COSTLY_BODY_BYTES + 1), MOST_COSTLY),
     ("/studio/archive", b"x", MOST_COSTLY), ("/gradio_api/queue/join", b"{}", MOST_COMPUTING)],
)  # fmt: skip
def test_a_burst_of_bodies_takes_no_more_places_than_there_are(path: str, body: bytes, most: int) -> None:
    """All begin before any has come to its end: the limit holds at the moment when computing begins."""
    statuses: list[int] = []

    async def burst() -> None:
        arrived, leave = asyncio.Event(), asyncio.Event()
        inside = 0

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            nonlocal inside
            inside += 1
            assert inside <= most
            assert (await receive())["body"] == body
            await leave.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        async def receive() -> Any:
            await arrived.wait()
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        guard = Guard(slow, Access(), None, lambda: None)
        guard._problem_of_body = _no_problem  # type: ignore[method-assign]
        scope = {"type": "http", "method": "POST", "path": path, "headers": [(b"host", b"localhost")]}
        asked = [asyncio.create_task(guard(dict(scope), receive, send)) for _ in range(most + 9)]
        await asyncio.sleep(0.02)
        arrived.set()
        await asyncio.sleep(0.1)
        assert statuses == [503] * 9
        leave.set()
        await asyncio.gather(*asked)
        assert statuses[9:] == [200] * most
        assert guard.held == (0, 0, 0)

    asyncio.run(burst())


async def _no_problem(*arguments: Any) -> None:
    """Gradio is not there to be asked."""


def test_arriving_bodies_are_bounded_in_bytes_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST_ARRIVING_BYTES", 10_000)

    async def flood() -> list[bytes | BaseException]:
        reader = Bodies()
        most = 0

        def sender() -> Callable[[], Any]:
            sent = 0

            async def receive() -> Any:
                nonlocal sent, most
                await asyncio.sleep(0.001)
                sent += 1
                most = max(most, sum(len(arrival.content) for arrival in reader._arriving))
                return {"type": "http.request", "body": bytes(1000), "more_body": sent < 5}

            return receive

        came = await asyncio.gather(
            *(reader.whole(sender(), 9000) for _ in range(12)), return_exceptions=True
        )
        assert most <= 11_000
        assert len(reader) == 0
        return came

    came = asyncio.run(flood())
    whole = [body for body in came if body == bytes(5000)]
    refused = [error.status for error in came if isinstance(error, BodyError)]
    assert len(whole) + len(refused) == 12
    assert whole
    assert set(refused) == {503}


def test_a_full_queue_is_said_with_when_to_come_back(
    tmp_path: Path, small_mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MOST_QUEUED", 2)
    app = page.build_app(tmp_path / "runs", str(small_mnist))
    with served(app) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as visitor:
        assert visitor.get(DECODE).status_code == 200

        def join(number: int) -> httpx.Response:
            data = {"data": [400, number, "reference", "prior", 1, None]}
            return visitor.post("/gradio_api/call/generate", json=data)

        with ThreadPoolExecutor(30) as pool:
            answers = list(pool.map(join, range(60)))
        full = [answer for answer in answers if answer.status_code != 200]
        assert full
        for answer in full:
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.json()["error"] == answer.json()["detail"]
            assert "many visitors" in answer.json()["error"]
        for answer in answers:
            if answer.status_code == 200:
                event = answer.json()["event_id"]
                assert "event: complete" in visitor.get(f"/gradio_api/call/generate/{event}").text
    assert guard_of(app).held == (0, 0, 0)


def test_calls_whose_answers_nobody_fetches_do_not_pile_up(tmp_path: Path, small_mnist: Path) -> None:
    app = page.build_app(tmp_path / "runs", str(small_mnist))
    queue, sessions = gradio_app(app).get_blocks()._queue, gradio_app(app).state_holder
    assert sessions.capacity == page.MOST_SESSIONS
    sessions.capacity = 10
    assert queue.pending_event_ids_session.max_size == queue.pending_messages_per_session.max_size
    queue.pending_event_ids_session.max_size = queue.pending_messages_per_session.max_size = 10
    with served(app) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as visitor:
        for _ in range(25):
            answer = visitor.post("/gradio_api/call/training_status", json={"data": []})
            assert answer.status_code == 200
        event = answer.json()["event_id"]
        assert "event: complete" in visitor.get(f"/gradio_api/call/training_status/{event}").text
        wait_for(lambda: len(queue) == 0 and not queue.event_ids_to_events)
        assert len(queue.pending_event_ids_session) <= 10
        assert len(queue.pending_messages_per_session) <= 10
        assert len(sessions.session_data) <= 10


def test_an_app_that_nobody_uses_hardly_wakes(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradio's queue would look for work a thousand times a second, beside a training on the same cores."""
    sleep, slept = asyncio.sleep, []

    async def counted(seconds: float, *result: Any) -> Any:
        slept.append(seconds)
        return await sleep(seconds, *result)

    monkeypatch.setattr(asyncio, "sleep", counted)
    time.sleep(1)
    assert 0 < len(slept) < 150


async def _answers_late(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await asyncio.sleep(0.5)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


def test_headers_that_do_not_come_are_given_up_and_late_answers_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.1)
    whole = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with served(_answers_late, http=connections.PunctualProtocol) as port:
        beginnings = (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n")
        stalled = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in beginnings]
        patient = socket.create_connection(("127.0.0.1", port), timeout=20)
        patient.sendall(whole)
        for connection, beginning in zip(stalled, beginnings, strict=True):
            connection.sendall(beginning)
        assert [connection.recv(100) for connection in stalled] == [b""] * 3  # hung up on
        answer = b""
        while not answer.endswith(b"ok"):
            answer += patient.recv(1000)
        patient.sendall(whole[:-4])  # of a second request
        assert patient.recv(100) == b""
        for connection in (*stalled, patient):
            connection.close()


def test_an_app_for_looking_only_refuses_an_archive_before_it_is_sent() -> None:
    guarded = Guard(_answers_late, Access(read_only=True), None, lambda: None)
    size = 8 * 2**20
    with (
        served(guarded, lifespan="off") as port,
        socket.create_connection(("127.0.0.1", port), timeout=20) as connection,
    ):
        head = f"POST /studio/archive HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode())
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 403")
        assert b"for looking only" in answer
        connection.sendall(bytes(size))  # whoever sends on is let
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
