from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from vae_core.scratch import write_whole


def test_a_file_is_written_whole_or_stays_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole(tmp_path / "file", b"the first")
    write_whole(tmp_path / "file", b"the second")
    assert (tmp_path / "file").read_bytes() == b"the second"

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "file", b"the third")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"the second"


def test_windows_is_asked_again_where_a_reader_keeps_a_file_from_being_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, refusals = Path.replace, iter([True, True])

    def sometimes(old: Path, new: Path) -> Path:
        if next(refusals, False):
            raise PermissionError(13, "Access is denied")
        return replace(old, new)

    write_whole(tmp_path / "file", b"old")
    with monkeypatch.context() as windows:
        windows.setattr(Path, "replace", sometimes)
        windows.setattr("vae_core.scratch.IS_WINDOWS", True)
        write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such modes")
def test_a_file_for_its_owner_is_for_nobody_else_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (seen.append(os.fstat(file).st_mode), real(file)))
    left_behind = tmp_path / f".file.{os.getpid()}.tmp"
    left_behind.touch(0o666)
    write_whole(tmp_path / "file", b"secret", mode=0o600)
    assert [stat.S_IMODE(mode) for mode in (*seen, (tmp_path / "file").stat().st_mode)] == [0o600, 0o600]
