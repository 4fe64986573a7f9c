"""NumPy's .npz files from anywhere: every size is checked before anything is set aside, no pickle is read."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterable

import numpy as np

from vae_core.errors import RunError

MOST_ENTRIES = 100
CENTRAL_ENTRY = b"PK\x01\x02"
"""How an entry of a zip file's table of contents begins."""
HEADER_BYTES = 2**14


def read_arrays(
    content: bytes, names: Iterable[str], most_bytes: int, file_name: str
) -> dict[str, np.ndarray]:
    """The arrays of these names that a file has; others in it are not looked at.

    Args:
        most_bytes: that all entries may unpack to.
        file_name: for the message.

    Raises:
        RunError: the file is damaged, unpacks to more, holds a pickle, or an array's header does not fit
            its content.
    """
    too_large = f"{file_name} unpacks to more than {most_bytes // 2**20} MiB; expected far less"
    try:
        if content.count(CENTRAL_ENTRY) > MOST_ENTRIES:
            raise ValueError(f"more than {MOST_ENTRIES} entries")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            if sum(entry.file_size for entry in entries.values()) > most_bytes:
                raise RunError(too_large)
            return {
                name: _read_array(archive, entries[f"{name}.npy"], name)
                for name in names
                if f"{name}.npy" in entries
            }
    except RunError:
        raise
    except Exception as error:  # NumPy parses headers as Python: a damaged one may raise anything
        raise RunError(f"{file_name} is damaged or incomplete: {error}") from error


def _read_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> np.ndarray:
    with archive.open(entry) as source:
        content = source.read(entry.file_size + 1)  # no more than was announced, whatever unpacks
    if len(content) != entry.file_size:
        raise ValueError(f"{name} is not as long as announced")
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file, HEADER_BYTES)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(file, HEADER_BYTES)
    if dtype.hasobject:
        raise ValueError(f"{name} holds a pickle, which is not read")
    if any(length < 0 for length in shape) or math.prod(shape) * dtype.itemsize != len(content) - file.tell():
        raise ValueError(f"{name} is announced with shape {shape}, which is not what follows")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)
