"""Hostile files, for the tests and the fuzzer: runs, pictures and data sets as an attacker makes them."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib

from PIL import Image


def npy(shape: str, content: bytes = b"", dtype: str = "<f4") -> bytes:
    """An array file whose header announces a shape, whatever follows."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def npz(**arrays: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def lying_npz(megabytes: int) -> bytes:
    """An entry that unpacks to much more than the zip's table of contents says."""
    content = bytearray(npz(weights=npy(f"({megabytes * 2**18},)", bytes(megabytes * 2**20))))
    entry = content.rfind(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = struct.pack("<I", 1000)
    return bytes(content)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, pixels: bytes = b"", extra: bytes = b"", colour: int = 0) -> bytes:
    """A grey PNG whose header announces a size, whatever follows."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    pixels = _chunk(b"IDAT", zlib.compress(pixels))
    return b"\x89PNG\r\n\x1a\n" + header + extra + pixels + _chunk(b"IEND", b"")


def pictures() -> dict[str, bytes]:
    """Pictures that would take much memory or time, each by another way."""
    clear = io.BytesIO()
    row = bytes(29 * 28)
    swollen = b"a\0\0" + zlib.compress(bytes(200 * 2**20))
    bitmap = struct.pack("<IIIIiiHHIIiiII", 0, 0, 54, 40, 50_000, 50_000, 1, 24, 0, 0, 0, 0, 0, 0)
    Image.new("RGBA", (6300, 6300)).save(clear, "PNG")
    return {
        "announced 3.6 gigapixels": png(60_000, 60_000),
        "one row of two thousand million": png(2**31 - 1, 1),
        "one column of 30 million": png(1, 30_000_000, bytes(60_000_000)),
        "39 megapixels of nothing": png(6_200, 6_300, bytes(6_201 * 6_300)),
        "40 megapixels of transparency": clear.getvalue(),
        "a text of 200 MiB": png(28, 28, row, _chunk(b"zTXt", swollen)),
        "a colour profile of 200 MiB": png(28, 28, row, _chunk(b"iCCP", swollen)),
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9000 9000\n%%EndComments\n{} loop\n",
        "a bitmap of 2 gigapixels": b"BM" + bitmap,
    }


def many_entries(count: int, name: str = "tiny/{}") -> bytes:
    """A zip file with a long table of contents."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(count):
            archive.writestr(name.format(number), b"")
    return buffer.getvalue()


def idx_bomb(count: int) -> bytes:
    """A gzip file that unpacks to more than its own header says."""
    return gzip.compress(struct.pack(">IIII", 2051, count, 28, 28) + bytes(300 * 2**20), 9)
