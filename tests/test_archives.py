from __future__ import annotations

import io
import math
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save

from support.runs import change_record
from vae_core import archives
from vae_core.archives import pack, unpack
from vae_core.errors import RunError
from vae_core.mixture import LatentMixture
from vae_core.run_folder import Run
from vae_core.runs import load_run


@pytest.fixture(scope="module")
def packed(tiny_run: Path) -> bytes:
    return pack(Run(tiny_run))


def rewritten(content: bytes, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(buffer, "w") as target:
        for entry in source.infolist():
            if changed := change(entry.filename, source.read(entry)):
                target.writestr(*changed)
    return buffer.getvalue()


def with_entry(content: bytes, name: str, data: bytes = b"x", mode: int = 0o644) -> bytes:
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        archive.writestr(entry, data)
    return buffer.getvalue()


def test_a_run_comes_back_as_it_went(packed: bytes, tiny_run: Path, tmp_path: Path) -> None:
    assert unpack(packed, tmp_path) == "tiny"
    assert unpack(packed, tmp_path) == "tiny-2"
    for path in tiny_run.rglob("*"):
        if path.is_file() and path.name != "run.lock":
            assert (tmp_path / "tiny" / path.relative_to(tiny_run)).read_bytes() == path.read_bytes()
    assert load_run("tiny-2", tmp_path).metrics == load_run(tiny_run).metrics


def test_a_folder_zipped_by_hand_comes_in_without_what_is_no_runs(packed: bytes, tmp_path: Path) -> None:
    by_hand = packed
    for name in ("run.lock", "stop", ".DS_Store", "tensorboard/events.out.tfevents.1"):
        by_hand = with_entry(by_hand, f"tiny/{name}")
    by_hand = with_entry(by_hand, "__MACOSX/tiny/._run.json")
    assert unpack(by_hand, tmp_path) == "tiny"
    assert unpack(packed, tmp_path) == "tiny-2"
    first, second = (
        sorted(path.relative_to(tmp_path / name).as_posix() for path in (tmp_path / name).rglob("*"))
        for name in ("tiny", "tiny-2")
    )
    assert first == second


def test_two_that_come_in_at_once_lie_side_by_side(
    packed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_name = archives.free_name
    other = iter([packed])

    def taken_a_moment_later(runs_dir: Path, wish: str) -> str:
        name = free_name(runs_dir, wish)
        for content in other:  # another visitor's, just now
            unpack(content, runs_dir)
        return name

    monkeypatch.setattr(archives, "free_name", taken_a_moment_later)
    assert unpack(packed, tmp_path) == "tiny-2"
    for name in ("tiny", "tiny-2"):
        assert not [path for path in (tmp_path / name).iterdir() if path.is_dir() and path.name != "previews"]
        assert load_run(name, tmp_path).evaluation is not None


def test_a_zip_without_a_folder_is_a_run_too(packed: bytes, tmp_path: Path) -> None:
    flat = rewritten(packed, lambda name, data: (name.removeprefix("tiny/"), data))
    assert unpack(flat, tmp_path) == "imported"


def test_a_zip_cannot_take_a_shipped_name(packed: bytes, tmp_path: Path) -> None:
    named = rewritten(packed, lambda name, data: (name.replace("tiny/", "reference/"), data))
    assert unpack(named, tmp_path) == "imported"


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "tiny/../../evil",
        "/etc/evil",
        "tiny/evil.py",
        "tiny/previews/../evil",
        "tiny/previews/1.png",
        "tiny\\..\\evil",
        "other/run.txt",
        "tiny/previews/000001-samples.png/x",
        "tiny/run.json\n",
    ],
)
def test_other_files_than_a_runs_are_refused(packed: bytes, tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="expected the files of one run only"):
        unpack(with_entry(packed, name), tmp_path / "runs")
    assert [path.name for path in tmp_path.rglob("*") if path.name != "runs"] == []


def test_links_are_refused(packed: bytes, tmp_path: Path) -> None:
    without = rewritten(packed, lambda name, data: None if name.endswith("metrics.jsonl") else (name, data))
    link = with_entry(without, "tiny/metrics.jsonl", b"/etc/passwd", stat.S_IFLNK | 0o777)
    with pytest.raises(RunError, match="expected the files of one run only"):
        unpack(link, tmp_path)


def test_bombs_are_refused(packed: bytes, tmp_path: Path) -> None:
    without = rewritten(packed, lambda name, data: None if name.endswith("metrics.jsonl") else (name, data))
    buffer = io.BytesIO(without)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny/metrics.jsonl", bytes(260 * 2**20))
    assert len(buffer.getvalue()) < 8 * 2**20
    with pytest.raises(RunError, match="256 MiB"):
        unpack(buffer.getvalue(), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("limit", "most", "said"),
    [
        ("MOST_ZIP_BYTES", 2**20, "larger than 1 MiB; expected one run's folder"),
        ("MOST_ENTRIES", 8, "expected 8 at most"),
        ("MOST_METRIC_BYTES", 100, "metrics.jsonl is larger than"),
        ("MOST_UNPACKED_BYTES", 2**20, "unpacks to more than 1 MiB"),
    ],
)
def test_each_limit_is_said(
    packed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int, said: str
) -> None:
    monkeypatch.setattr(archives, limit, most)
    with pytest.raises(RunError, match=said):
        unpack(packed, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_another_way_of_packing_is_refused(packed: bytes, tmp_path: Path, method: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as source, zipfile.ZipFile(buffer, "w", method) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    with pytest.raises(RunError, match=r"packs 'tiny/.*' in a way that is not read here; expected deflate"):
        unpack(buffer.getvalue(), tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_there_twice_is_refused(packed: bytes, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds a file twice"):
        unpack(with_entry(packed, "tiny/run.json"), tmp_path)


def test_a_place_that_cannot_be_written_to_is_named(
    packed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(RunError, match=r"^cannot write to folder file: (Not a directory|File exists)"):
        unpack(packed, tmp_path / "file")

    def rename(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(RunError, match="Permission denied"):
        unpack(packed, tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_file_that_cannot_be_read_is_named_and_one_that_is_gone_is_left_out(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, problem = zipfile.ZipFile.write, FileNotFoundError()

    def failing(self: zipfile.ZipFile, path: Path, name: str) -> None:
        if name.endswith("metrics.jsonl"):
            raise problem
        write(self, path, name)

    monkeypatch.setattr(zipfile.ZipFile, "write", failing)
    with zipfile.ZipFile(io.BytesIO(pack(run))) as archive:
        assert "copied/run.json" in archive.namelist()
        assert "copied/metrics.jsonl" not in archive.namelist()
    problem = OSError("Input/output error")
    with pytest.raises(RunError, match=r"metrics.jsonl cannot be read"):
        pack(run)


@pytest.mark.parametrize(
    "name", ["run.json", "model.safetensors", "evaluation.npz", "training_state.safetensors"]
)
def test_a_damaged_run_does_not_come_in(packed: bytes, tmp_path: Path, name: str) -> None:
    damaged = rewritten(packed, lambda entry, data: (entry, data[:50] if entry.endswith(name) else data))
    with pytest.raises(RunError):
        unpack(damaged, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_training_state_that_cannot_be_gone_on_from_does_not_come_in(packed: bytes, tmp_path: Path) -> None:
    def broken(entry: str, data: bytes) -> tuple[str, bytes]:
        if not entry.endswith("training_state.safetensors"):
            return entry, data
        return entry, save(load(data) | {"optimizer.0.step": torch.tensor(math.nan)})

    with pytest.raises(RunError, match=r"run tiny: the training state is .* damaged \(optimizer\.0\.step is"):
        unpack(rewritten(packed, broken), tmp_path)
    assert list(tmp_path.iterdir()) == []


@given(st.binary(max_size=300))
def test_any_bytes_are_one_clear_error(content: bytes) -> None:
    with pytest.raises(RunError):
        unpack(content, Path("never-made"))


def test_a_changed_byte_comes_in_sound_or_not_at_all(packed: bytes, tmp_path: Path) -> None:
    random = Random(0)
    for _ in range(120):
        damaged = bytearray(packed)
        damaged[random.choice([random.randrange(len(packed)), -random.randrange(1, 3000)])] ^= (
            1 << random.randrange(8)
        )
        try:
            name = unpack(bytes(damaged), tmp_path)
        except RunError:
            assert list(tmp_path.iterdir()) == []
        else:
            load_run(name, tmp_path)
            shutil.rmtree(tmp_path / name)


def test_a_nearly_full_disk_keeps_its_space(
    packed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=archives.LEAST_FREE_BYTES))
    with pytest.raises(RunError, match=r"too little space on the disk .*: 512 MiB must stay free"):
        unpack(packed, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_a_clock_that_is_ahead_is_not_the_newest_until_then(run: Run, tmp_path: Path) -> None:
    for created, is_kept in (
        ("2099-01-01T00:00:00+00:00", False),
        ("2099-01-01T00:00:00", False),
        ((datetime.now(UTC) + timedelta(hours=20)).isoformat(), True),
        ("2020-01-01T00:00:00+00:00", True),
        ("then", False),
        ("~", False),
    ):
        change_record(run.folder, created=created)
        brought = Run(tmp_path / "into" / unpack(pack(run), tmp_path / "into")).info()
        assert (brought.created == created) == is_kept
        if not is_kept:
            assert abs(datetime.fromisoformat(brought.created) - datetime.now(UTC)) < timedelta(minutes=5)
    assert not any(Run(folder).is_alive() for folder in (tmp_path / "into").iterdir())


def test_a_place_beyond_any_file_is_one_clear_error(packed: bytes, tmp_path: Path) -> None:
    """In the directory of a zip file of 64 bits an entry's header may lie anywhere."""
    place = packed.rindex(b"PK\x01\x02")  # the last entry
    name, extra = struct.unpack("<HH", packed[place + 28 : place + 32])
    begin = place + 46 + name + extra
    beyond = struct.pack("<HHQ", 1, 8, 2**64 - 1)
    end = bytearray(packed[packed.rindex(b"PK\x05\x06") :])
    end[12:16] = struct.pack("<I", int.from_bytes(end[12:16], "little") + len(beyond))
    entry = bytearray(packed[place:begin])
    entry[30:32], entry[42:46] = struct.pack("<H", extra + len(beyond)), b"\xff" * 4
    with pytest.raises(RunError, match="the zip file cannot be read"):
        unpack(packed[:place] + bytes(entry) + beyond + bytes(end), tmp_path)


def test_a_cut_zip_is_one_clear_error(packed: bytes, tmp_path: Path) -> None:
    for length in range(0, len(packed), len(packed) // 40):
        with pytest.raises(RunError):
            unpack(packed[:length], tmp_path)
    shutil.rmtree(tmp_path)


def test_a_mixture_travels_with_its_run_if_it_fits(tiny_run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_run, tmp_path / "from" / "tiny"))
    random = np.random.default_rng(0)
    kept = LatentMixture.fit(random.normal(size=(60, 16)))
    (folder / "mixture.npz").write_bytes(kept.to_bytes())
    name = unpack(pack(Run(folder)), tmp_path / "to")
    brought = Run(tmp_path / "to" / name).required_mixture()
    assert np.array_equal(brought.sample(5, 0), kept.sample(5, 0))
    (folder / "mixture.npz").write_bytes(LatentMixture.fit(random.normal(size=(60, 3))).to_bytes())
    with pytest.raises(RunError, match=r"mixture\.npz is of 3 latents; expected 16"):
        unpack(pack(Run(folder)), tmp_path / "to", "other")
    assert [path.name for path in (tmp_path / "to").iterdir()] == [name]
