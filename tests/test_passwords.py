from __future__ import annotations

import asyncio
import inspect
import io
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from fastapi import HTTPException

from vae_core import __main__
from vae_core.errors import PasswordError
from vae_core.passwords import Passwords, read_passwords, set_password
from vae_core.ui.gate.login import LONGEST_WAIT_SECONDS, MOST_NAMES, MOST_WAITING, Doorman


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("users") / "users"
    assert set_password(file, "alice", "correct horse")
    assert set_password(file, "bob@lab.example", "battery staple")
    return file


def test_only_the_right_password_of_a_user_is_right(users: Path) -> None:
    passwords = read_passwords(users)
    assert passwords.check("alice", "correct horse")
    assert passwords.check("bob@lab.example", "battery staple")
    for name, password in (
        ("alice", "Correct horse"), ("alice", "battery staple"), ("alice", ""), ("nobody", "correct horse"),
        ("nobody", "nobody's password"), ("", ""), ("alice", "x" * 10_000_000), ("alice", "\ud800" * 9),
    ):  # fmt: skip
        assert not passwords.check(name, password)


def test_passwords_are_kept_as_argon2id_for_their_owners_eyes(users: Path) -> None:
    content = users.read_text()
    assert content.count("$argon2id$") == 2
    assert "horse" not in content
    assert stat.S_IMODE(users.stat().st_mode) == 0o600
    assert [path.name for path in users.parent.iterdir()] == ["users"]


def test_another_password_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    assert set_password(tmp_path / "users", "alice", "the first one")
    assert not set_password(tmp_path / "users", "alice", "the second one")
    passwords = read_passwords(tmp_path / "users")
    assert passwords.check("alice", "the second one")
    assert not passwords.check("alice", "the first one")


def test_a_link_to_the_file_stays_one(tmp_path: Path) -> None:
    set_password(tmp_path / "users", "alice", "the first one")
    (tmp_path / "link").symlink_to("users")
    assert set_password(tmp_path / "link", "bob", "the second one")
    assert (tmp_path / "link").is_symlink()
    assert read_passwords(tmp_path / "users").check("bob", "the second one")


def test_comments_stay_where_they_are(tmp_path: Path) -> None:
    file = tmp_path / "users"
    set_password(file, "alice", "the first one")
    file.write_bytes(b"# Teachers, caf\xe9\n" + file.read_bytes() + b"\n# Pupils\n")
    assert not set_password(file, "alice", "the second one")
    assert set_password(file, "bob", "battery staple")
    before, alice, empty, between, bob = file.read_bytes().splitlines()
    assert (before, empty, between) == (b"# Teachers, caf\xe9", b"", b"# Pupils")
    assert alice.startswith(b"alice:$argon2id$")
    assert bob.startswith(b"bob:$argon2id$")
    assert read_passwords(file).check("alice", "the second one")


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("a:b", "correct horse"), ("a\nb", "correct horse"), ("", "correct horse"), ("-a", "correct horse"),
        ("a" * 65, "correct horse"), ("alice", "short"), ("alice", "x" * 257), ("alice", "\ud800" * 9),
    ],
)  # fmt: skip
def test_names_and_passwords_that_cannot_be_used_are_refused(
    tmp_path: Path, name: str, password: str
) -> None:
    with pytest.raises(PasswordError):
        set_password(tmp_path / "users", name, password)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"", b"# nobody\n", b"alice:secret\n", b"alice\n", b"alice:$2y$05$abc\n", b"\xff\xfe\n", b"\0" * 50,
        b":$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2g\n", b"x" * (2**20 + 1),
    ],
)  # fmt: skip
def test_a_file_that_is_not_ours_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "users").write_bytes(content)
    with pytest.raises(PasswordError, match="users"):
        read_passwords(tmp_path / "users")


def test_the_command_adds_a_user_and_says_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "users")
    for text, code, said in (
        ("correct horse\n", None, "alice was added to"),
        ("short\n", 1, "error: a password has 8 to 256"),
    ):
        monkeypatch.setattr(sys, "argv", ["vae-studio", "password", file, "alice"])
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        with pytest.raises(SystemExit) as ended:
            __main__.main()
        assert (ended.value.code or None) == code
        assert said in "".join(capsys.readouterr())
    assert read_passwords(tmp_path / "users").check("alice", "correct horse")


@pytest.mark.parametrize(
    ("typed", "code", "said", "asked"),
    [
        (["short"], 1, "error: a password has 8 to 256", 1),
        (["correct horse", "correct hrose"], 1, "error: the two passwords differ; nothing was changed", 2),
        (["correct horse", "correct horse"], None, "alice was added to", 2),
    ],
)
def test_at_a_terminal_a_mistake_is_said_as_soon_as_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    typed: list[str], code: int | None, said: str, asked: int,
) -> None:  # fmt: skip
    users, prompts = tmp_path / "users", []
    monkeypatch.setattr(sys, "argv", ["vae-studio", "password", str(users), "alice"])
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)

    def prompt(words: str, hide_input: bool) -> str:
        assert hide_input
        prompts.append(words)
        return typed[len(prompts) - 1]

    monkeypatch.setattr(typer, "prompt", prompt)
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert (ended.value.code or None) == code
    assert said in "".join(capsys.readouterr())
    assert len(prompts) == asked
    assert users.exists() == said.startswith("alice")


class Doorway:
    """A doorman whose time is in the test's hands."""

    def __init__(self) -> None:
        self.now, self.waited = 0.0, 0.0
        passwords = Passwords({})
        passwords.check = lambda name, password: password == "right"  # type: ignore[method-assign]
        self.doorman = Doorman(passwords, lambda: self.now, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.waited = seconds

    def try_in(self, name: str, password: str) -> tuple[bool, float]:
        self.waited = 0.0
        return asyncio.run(self.doorman.lets_in(name, password)), self.waited


def test_gradio_can_see_that_the_doorman_is_to_be_awaited() -> None:
    assert inspect.iscoroutinefunction(Doorway().doorman.lets_in)  # or everyone would come in


def test_guesses_wait_longer_and_longer_but_nobody_is_locked_out() -> None:
    door = Doorway()
    waits = [door.try_in("alice", "wrong") for _ in range(12)]
    assert not any(came_in for came_in, _ in waits)
    assert [wait for _, wait in waits] == [0, 0, 0, 1, 2, 4, 8, 16, 20, 20, 20, 20]
    assert door.try_in("bob", "right") == (True, 0)
    assert door.try_in("alice", "right") == (True, LONGEST_WAIT_SECONDS)
    assert door.try_in("alice", "right") == (True, 0)


def test_old_failures_are_forgotten() -> None:
    door = Doorway()
    for _ in range(9):
        door.try_in("alice", "wrong")
    door.now = 901.0
    assert door.try_in("alice", "wrong") == (False, 0)


def test_one_password_tried_with_many_names_is_slowed_too() -> None:
    door = Doorway()
    waits = [door.try_in(f"user{number}", "wrong")[1] for number in range(40)]
    assert waits[:30] == [0.0] * 30
    assert waits[30:] == sorted(waits[30:])
    assert waits[-1] == LONGEST_WAIT_SECONDS


def test_right_log_ins_do_not_slow_a_class_that_comes_at_once() -> None:
    door = Doorway()
    assert [door.try_in(f"student{number}", "right") for number in range(100)] == [(True, 0.0)] * 100


def test_what_the_doorman_remembers_and_lets_wait_is_bounded() -> None:
    door = Doorway()
    for number in range(MOST_NAMES + 500):
        door.try_in(f"user{number}", "wrong")
    assert len(door.doorman._failures) <= MOST_NAMES
    remembered = set(door.doorman._failures)
    for name in ("x" * 65, "x" * 4_000_000, "", "two words"):  # no user's
        assert door.try_in(name, "right") == (False, 0)
    assert set(door.doorman._failures) == remembered

    async def crowd() -> list[Any]:
        async def forever(seconds: float) -> None:
            await asyncio.sleep(0.2)

        door.doorman._sleep = forever
        guesses = [door.doorman.lets_in("alice", "wrong") for _ in range(MOST_WAITING + 60)]
        return await asyncio.gather(*guesses, return_exceptions=True)

    refused = [answer for answer in asyncio.run(crowd()) if isinstance(answer, HTTPException)]
    assert len(refused) == 60
    assert {answer.status_code for answer in refused} == {429}
