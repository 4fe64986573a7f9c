"""Runs as zip files, to take along and to bring in. What is brought in is checked before it becomes a run."""

from __future__ import annotations

import errno
import io
import re
import shutil
import struct
import zipfile
import zlib
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vae_core.errors import RunError, TrainingError, reason_of
from vae_core.npz import CENTRAL_ENTRY
from vae_core.run_folder import MOST_METRIC_BYTES, Run, RunWriter, cannot_write
from vae_core.runs import INCOMING, check_name, free_name
from vae_core.scratch import scratch_folder

FILES = (
    "run.json", "metrics.jsonl", "model.safetensors", "training_state.safetensors", "evaluation.npz",
    "mixture.npz",
)  # fmt: skip
PREVIEW = re.compile(r"previews/[0-9]{6,9}-(reconstructions|samples)\.png")
BESIDE = ("run.lock", "stop", ".DS_Store")
MOST_ENTRIES = 20_100
MOST_UNPACKED_BYTES = 256 * 2**20
MOST_ZIP_BYTES = 128 * 2**20
LEAST_FREE_BYTES = 512 * 2**20
CHUNK = 2**20
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OverflowError, struct.error)
"""What `zipfile` raises at one zip file or another that is none."""
MOST_AHEAD = timedelta(days=1)
"""Of the date of what is brought in: clocks differ, and runs made at once are dated a second apart."""


def pack(run: Run) -> bytes:
    """A run's folder as a zip file's content, under one folder of the run's name."""
    run.info()
    buffer = io.BytesIO()
    # A clock may stand before 1980, where zip files begin.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for path in sorted(run.folder.rglob("*")):
            inside = path.relative_to(run.folder).as_posix()
            if path.is_file() and not path.is_symlink() and _belongs(inside):
                try:
                    archive.write(path, f"{run.name}/{inside}")
                except FileNotFoundError:  # a training has replaced it meanwhile
                    continue
                except OSError as error:
                    raise RunError(f"run {run.name}: {inside} cannot be read ({reason_of(error)})") from error
    return buffer.getvalue()


def unpack(content: bytes, runs_dir: Path, name: str | None = None) -> str:
    """Brings a zipped run in; returns the name it got (numbered where the name is taken).

    Nothing is written outside a new folder in `runs_dir`, and nothing stays unless all of it is sound.

    Args:
        content: a zip file of the files of one run, in one folder or none.
        name: what to call it; else the zip's folder, or "imported".

    Raises:
        RunError: not a zip file, too large, with other files in it than a run's, or a run that is damaged;
            or the disk is nearly full.
    """
    if len(content) > MOST_ZIP_BYTES:
        raise RunError(
            f"the zip file is larger than {MOST_ZIP_BYTES // 2**20} MiB; expected one run's folder"
        )
    if content.count(CENTRAL_ENTRY) > 2 * MOST_ENTRIES:  # before a list of them is made
        raise RunError(f"the zip file holds too many files; expected {MOST_ENTRIES:,} at most")
    try:
        if not zipfile.is_zipfile(io.BytesIO(content)):
            raise RunError("this is not a zip file; expected one with the folder of a run")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            prefix = _common_folder(entries)
            entries = [entry for entry in entries if not _stays_behind(entry.filename.removeprefix(prefix))]
            _check_entries(entries, prefix)
            wish = _usable(name or prefix.rstrip("/"))
            runs_dir.mkdir(parents=True, exist_ok=True)
            _check_space(runs_dir, sum(entry.file_size for entry in entries))
            with scratch_folder(runs_dir, INCOMING) as scratch:
                folder = scratch / wish
                (folder / "previews").mkdir(parents=True)
                left = MOST_UNPACKED_BYTES
                for entry in entries:
                    left -= _extract(archive, entry, folder / entry.filename.removeprefix(prefix), left)
                _check_run(Run(folder))
                _make_no_later_than_now(folder)
                return _move_in(folder, runs_dir, wish)
    except BROKEN as error:
        raise RunError(f"the zip file cannot be read ({error})") from error
    except OSError as error:
        raise cannot_write(runs_dir, error) from error


def _move_in(folder: Path, runs_dir: Path, wish: str) -> str:
    """Gives a folder that lies in `runs_dir`, deeper, its place there; returns the name it got.

    A name that is free now may be another's a moment later: a rename never moves into that other's folder.
    """
    while True:
        name = free_name(runs_dir, wish)
        try:
            folder.rename(runs_dir / name)
            return name
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise


def _check_space(runs_dir: Path, needed: int) -> None:
    """What visitors bring in leaves room for the trainings and for whatever else writes to the disk."""
    if shutil.disk_usage(runs_dir).free - needed < LEAST_FREE_BYTES:
        raise RunError(
            "there is too little space on the disk of this app to load a run: "
            f"{LEAST_FREE_BYTES // 2**20} MiB must stay free"
        )


def _common_folder(entries: list[zipfile.ZipInfo]) -> str:
    """ "name/" if run.json lies in a folder of the zip, "" if it lies at its top."""
    for entry in entries:
        folder, slash, file = entry.filename.rpartition("/")
        if file == "run.json" and "/" not in folder:
            return folder + slash
    raise RunError("the zip file holds no run: expected a run.json at its top or in one folder")


def _check_entries(entries: list[zipfile.ZipInfo], prefix: str) -> None:
    if len(entries) > MOST_ENTRIES:
        raise RunError(f"the zip file holds {len(entries):,} files; expected {MOST_ENTRIES:,} at most")
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        raise RunError("the zip file holds a file twice")
    for entry in entries:
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise RunError(
                f"the zip file packs {entry.filename!r} in a way that is not read here; expected deflate"
            )
        is_link = (entry.external_attr >> 16) & 0o170000 == 0o120000
        if (
            is_link
            or not entry.filename.startswith(prefix)
            or not _belongs(entry.filename.removeprefix(prefix))
        ):
            raise RunError(f"the zip file holds {entry.filename!r}; expected the files of one run only")
    if sum(entry.file_size for entry in entries) > MOST_UNPACKED_BYTES:
        raise RunError(f"the zip file unpacks to more than {MOST_UNPACKED_BYTES // 2**20} MiB")
    for entry in entries:
        if entry.filename.endswith("metrics.jsonl") and entry.file_size > MOST_METRIC_BYTES:
            raise RunError(f"the zip file's metrics.jsonl is larger than {MOST_METRIC_BYTES // 2**20} MiB")


def _belongs(inside: str) -> bool:
    return inside in FILES or PREVIEW.fullmatch(inside) is not None


def _stays_behind(inside: str) -> bool:
    """What a run's folder has besides, if somebody has zipped it by hand."""
    return inside in BESIDE or inside.startswith(("tensorboard/", "__MACOSX/"))


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, left: int) -> int:
    """Writes one file, and no more than is left of the limit whatever its header says; returns its size."""
    size = 0
    with archive.open(entry) as source, target.open("xb") as file:
        while chunk := source.read(CHUNK):
            size += len(chunk)
            if size > left:
                raise RunError(f"the zip file unpacks to more than {MOST_UNPACKED_BYTES // 2**20} MiB")
            file.write(chunk)
    return size


def _check_run(run: Run) -> None:
    """A run that cannot be read whole does not come in."""
    info = run.info()
    if info.has_model:
        run.model()
    if run.has_training_state:
        from vae_core.engine.training_state import check_state

        try:
            check_state(run.training_state(), info.settings, info.trained_on.count)
        except TrainingError as error:
            raise RunError(f"run {run.name}: {error}") from error
    run.evaluation()
    run.mixture()


def _make_no_later_than_now(folder: Path) -> None:
    """A run whose clock was far ahead, or whose date is none, was made now: else it would be the newest until
    its date has come, and each run that is made here would be given a later one."""
    now, made = datetime.now(UTC), Run(folder).info().made
    if made is None or made > now + MOST_AHEAD:
        with closing(RunWriter(folder)) as run:
            run.update(created=now.isoformat(timespec="seconds"))


def _usable(name: str) -> str:
    try:
        check_name(name)
    except RunError:
        return "imported"
    return name
