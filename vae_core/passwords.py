"""Who may log in to the app: a text file with one `name:hash` a line, the hashes Argon2id's.

A password is never stored, and the file is safe to back up; still it is written for its owner's eyes only.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path

from vae_core.errors import PasswordError, in_short, reason_of
from vae_core.scratch import write_whole

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
LEAST_CHARACTERS, MOST_CHARACTERS = 8, 256
MOST_FILE_BYTES = 2**20


class Passwords:
    """The users of an auth file. Read once: who is added later can log in after a restart."""

    def __init__(self, hashes: dict[str, str]) -> None:
        from argon2 import PasswordHasher

        self._hashes = hashes
        self._hasher = PasswordHasher()
        # Checked for unknown names, so that they take as long as known ones and cannot be told apart.
        self._nobodys = self._hasher.hash("nobody's password")
        self._one_at_a_time = threading.Lock()  # each check takes 64 MiB of memory for a moment

    def check(self, name: str, password: str) -> bool:
        """Whether this is the user's password. Takes some hundredths of a second, on purpose."""
        from argon2.exceptions import InvalidHashError, VerificationError

        if len(password) > MOST_CHARACTERS:
            return False
        known = self._hashes.get(name)
        try:
            with self._one_at_a_time:
                self._hasher.verify(known or self._nobodys, password)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False
        return known is not None


def read_passwords(file: Path) -> Passwords:
    """The users of a file that `set_password` wrote.

    Raises:
        PasswordError: it cannot be read, names nobody, or has a line that is not one of ours.
    """
    hashes = _hashes_of(_read_lines(file), file)
    if not hashes:
        raise PasswordError(f"{file} names nobody; add a user: python -m vae_core password {file} NAME")
    return Passwords(hashes)


def set_password(file: Path, name: str, password: str) -> bool:
    """Adds a user to a file, or gives one another password; returns whether the user is new.

    Args:
        file: made if it is not there.
        password: 8 to 256 characters.

    Raises:
        PasswordError: the name or password cannot be used, or the file cannot be read or written.
    """
    from argon2 import PasswordHasher

    if not NAME_PATTERN.fullmatch(name):
        raise PasswordError(
            "a user's name has 1 to 64 of the characters a-z, A-Z, 0-9, dot, dash, underscore and @, the "
            f"first a letter or number, not {in_short(name)}"
        )
    check_length(password)
    try:
        hashed = PasswordHasher().hash(password)
    except UnicodeEncodeError as error:
        raise PasswordError("a password is made of characters that can be typed") from error
    file = file.resolve()  # where a link leads is what others read
    lines = _read_lines(file) if file.exists() else []
    is_new = name not in _hashes_of(lines, file)
    ours = f"{name}:{hashed}"
    lines = [ours if line.strip().startswith(f"{name}:") else line for line in lines]  # comments stay
    _write_lines([*lines, ours] if is_new else lines, file)
    return is_new


def check_length(password: str) -> None:
    """Raises PasswordError unless a password has 8 to 256 characters."""
    if not LEAST_CHARACTERS <= len(password) <= MOST_CHARACTERS:
        raise PasswordError(f"a password has {LEAST_CHARACTERS} to {MOST_CHARACTERS} characters")


def _read_lines(file: Path) -> list[str]:
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        raise PasswordError(f"{file} cannot be read: {reason_of(error)}") from error
    if len(content) > MOST_FILE_BYTES:
        raise PasswordError(f"{file} is larger than {MOST_FILE_BYTES:,} bytes; expected far less")
    return content.decode(errors="surrogateescape").splitlines()


def _hashes_of(lines: list[str], file: Path) -> dict[str, str]:
    from argon2 import extract_parameters
    from argon2.exceptions import InvalidHashError

    hashes: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, hashed = line.strip().partition(":")
        try:
            extract_parameters(hashed)
            if not NAME_PATTERN.fullmatch(name):
                raise ValueError
        except (InvalidHashError, ValueError) as error:
            raise PasswordError(
                f"{file}, line {number}: expected NAME:HASH as `python -m vae_core password` writes it"
            ) from error
        hashes[name] = hashed
    return hashes


def _write_lines(lines: list[str], file: Path) -> None:
    """For the eyes of its owner only."""
    content = "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")
    try:
        write_whole(file, content, mode=0o600)
    except OSError as error:
        raise PasswordError(f"{file} cannot be written: {reason_of(error)}") from error
