"""Coverage-guided fuzzing of every reader of files, for as long as one likes.

    python tests/scripts/fuzz.py --seconds 60            # every reader, a minute each
    python tests/scripts/fuzz.py --target zip --seconds 600

Needs atheris (`pip install atheris`). A reader may give a result or one of our errors; anything else, or an
input that takes longer than ten seconds or more than two gigabytes, is a finding, kept as a file. The same
readers are run on blindly altered files in test_hostile_files.py.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Target = tuple[Callable[[bytes], Any], list[bytes]]
"""A reader of a file's content, and sound contents to start from."""


def _idx(_: Path, scratch: Path) -> Target:
    from vae_core.data import _parse_idx, _read_idx_file

    images = struct.pack(">IIII", 2051, 3, 28, 28) + bytes(range(256)) * 9 + bytes(48)
    labels = struct.pack(">II", 2049, 3) + b"\1\2\3"

    def read(content: bytes) -> None:
        name = "train-images-idx3-ubyte" if content[:1] < b"\x80" else "train-labels-idx1-ubyte"
        path = scratch / (f"{name}.gz" if content[1:2] > b"\x1e" else name)
        path.write_bytes(content)
        try:
            _parse_idx(_read_idx_file(path)[0], name)
        finally:
            path.unlink()

    return read, [images, labels, gzip.compress(images, 1), gzip.compress(labels, 1)]


def _file_of_run(name: str, read: Callable[[Any], Any]) -> Callable[[Path, Path], Target]:
    def target(run_folder: Path, scratch: Path) -> Target:
        from vae_core.run_folder import Run

        folder = shutil.copytree(run_folder, scratch / "mine")

        def read_changed(content: bytes) -> None:
            (folder / name).write_bytes(content)
            read(Run(folder))

        return read_changed, [(run_folder / name).read_bytes()]

    return target


def _mixture(_: Path, __: Path) -> Target:
    from vae_core.mixture import LatentMixture

    fitted = LatentMixture.fit(np.random.default_rng(0).normal(size=(60, 2)))
    return LatentMixture.from_bytes, [fitted.to_bytes()]


def _picture(_: Path, __: Path) -> Target:
    from vae_core.sketch import read_picture, to_mnist_form

    seeds = []
    for mode, kind in (
        ("L", "PNG"),
        ("RGBA", "PNG"),
        ("P", "GIF"),
        ("RGB", "JPEG"),
        ("RGB", "WEBP"),
        ("L", "BMP"),
        ("L", "TIFF"),
    ):
        buffer = io.BytesIO()
        picture = Image.new("L", (20, 28))
        picture.paste(255, (8, 4, 12, 24))
        picture.convert(mode).save(buffer, kind)
        seeds.append(buffer.getvalue())

    return lambda content: to_mnist_form(read_picture(content)), seeds


def _zip(run_folder: Path, scratch: Path) -> Target:
    from vae_core.archives import pack, unpack
    from vae_core.run_folder import Run

    small = scratch / "mine"
    small.mkdir()
    for name in ("run.json", "evaluation.npz"):
        shutil.copy(run_folder / name, small)
    (small / "metrics.jsonl").write_bytes((run_folder / "metrics.jsonl").read_bytes()[:2000])

    def read(content: bytes) -> None:
        with tempfile.TemporaryDirectory(dir=scratch) as into:
            try:
                unpack(content, Path(into) / "runs")
            finally:
                assert {path.name for path in Path(into).iterdir()} <= {"runs"}, "written outside"

    return read, [pack(Run(small))]


TARGETS: dict[str, Callable[[Path, Path], Target]] = {
    "idx": _idx,
    "run.json": _file_of_run("run.json", lambda found: found.info()),
    "metrics": _file_of_run("metrics.jsonl", lambda found: found.metrics()),
    "evaluation": _file_of_run("evaluation.npz", lambda found: found.evaluation()),
    "weights": _file_of_run("model.safetensors", lambda found: found.model()),
    "mixture": _mixture,
    "picture": _picture,
    "zip": _zip,
}
"""Each is given the folder of a small run and an empty one for its own files."""


def changed(content: bytes, random: np.random.Generator) -> bytes:
    """A content with a few bytes flipped, cut, doubled or replaced by numbers that matter."""
    altered = bytearray(content)
    for _ in range(random.integers(1, 4)):
        at = int(random.integers(max(1, min(len(altered), 10**9)))) if random.random() < 0.5 else 0
        at = at or int(min(len(altered) - 1, random.exponential(60))) if altered else 0
        match random.integers(5):
            case 0:
                altered[at : at + 1] = bytes([int(random.integers(256))])
            case 1:
                del altered[at:]
            case 2:
                altered[at : at + 4] = bytes(
                    random.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"nan,"])
                )
            case 3:
                altered[at:at] = altered[at : at + int(random.integers(1, 64))]
            case 4 if altered:
                altered[-1 - at % len(altered)] ^= 1 << int(random.integers(8))
    return bytes(altered)


def main() -> int:
    """Fuzzes each target in a process of its own; returns 1 if any of them has a finding."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--target", choices=list(TARGETS), help="one reader; all without it")
    parser.add_argument("--seconds", type=int, default=60, help="for each reader (default: %(default)s)")
    parser.add_argument("--run", type=Path, help="a small run's folder; else one is trained")
    parser.add_argument("--here", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        _fuzz(options.target, options.run, options.seconds, options.here)
        return 0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        run = options.run or _small_run(Path(scratch))
        targets = [options.target] if options.target else [*TARGETS]
        return int(_has_findings(targets, run, options.seconds, Path(scratch)))


def _has_findings(targets: list[str], run: Path, seconds: int, scratch: Path) -> bool:
    found = False
    for target in targets:
        here = scratch / f"here-{target}"
        here.mkdir()
        command = [sys.executable, __file__, "--here", str(here), "--target", target, "--run", str(run)]
        ended = subprocess.run([*command, "--seconds", str(seconds)], capture_output=True, text=True)
        last = [line for line in ended.stderr.splitlines() if line.startswith(("Done", "#", "==", " ==="))]
        print(
            f"{target}: {'a finding' if ended.returncode else 'sound'}: {last[-1] if last else ''}",
            flush=True,
        )
        if ended.returncode:
            found = True
            print(ended.stdout[-2000:], ended.stderr[-3000:], flush=True)
    return found


def _fuzz(name: str, run: Path, seconds: int, scratch: Path) -> None:
    import atheris

    with atheris.instrument_imports(include=["vae_core", "zipfile", "json", "gzip", "numpy.lib"]):
        pass
    from vae_core.errors import VAEStudioError

    files, corpus = scratch / "files", scratch / "corpus"
    files.mkdir()
    corpus.mkdir()
    read, seeds = TARGETS[name](run, files)
    for number, seed in enumerate(seeds):
        (corpus / str(number)).write_bytes(seed)

    def once(content: bytes) -> None:
        with suppress(VAEStudioError):
            read(content)

    options = [
        f"-max_total_time={seconds}",
        "-timeout=10",
        "-rss_limit_mb=2048",
        f"-max_len={2 * max(map(len, seeds))}",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], once)
    atheris.Fuzz()


def _small_run(runs_dir: Path) -> Path:
    from vae_core.data import load_dataset
    from vae_core.jobs.job import prepare
    from vae_core.jobs.recording import perform
    from vae_core.settings import Settings

    settings = Settings(epochs=1, limit=128, batch_size=64, latent_dim=2)
    for _ in perform(prepare(settings, runs_dir, "small", alone=False), load_dataset()):
        pass
    return runs_dir / "small"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
