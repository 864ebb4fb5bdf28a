"""Small kits that ask for much: of the disk, of memory, of time."""

from __future__ import annotations

import struct
import zlib
from typing import Final

from kit_conformance.testbed.kits import tars
from kit_conformance.testbed.kits.hostile.base import GOOD, good, unsafe
from kit_conformance.testbed.kits.hostile.zstd import frame, raw_blocks, repeated_blocks
from kit_conformance.testbed.kits.tars import BLOCK, END, Header

_MIB: Final = 1024 * 1024
EXPANDED: Final = 512 * _MIB  # bytes of zeros that a decompression bomb holds
_PIECE: Final = 16 * _MIB


def _gzip_zeros(before: bytes, count: int) -> bytes:
    """Return gzip of some bytes and many zeros, compressed once and repeated: each piece begins anew."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = packer.compress(before) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = bytes(_PIECE)
    piece = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = zlib.crc32(before)
    for _ in range(count // _PIECE):
        checksum = zlib.crc32(zeros, checksum)
    trailer = struct.pack("<II", checksum, (len(before) + count) % 2**32)
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + head + piece * (count // _PIECE) + packer.flush() + trailer


def _bomb() -> bytes:
    return bytes(good().data) + Header(b"zeros", EXPANDED - _PIECE).block()


def _gzip_bomb() -> bytes:
    return _gzip_zeros(_bomb(), EXPANDED)  # the last piece is the end of the archive, and zeros behind it


def _zstd_bomb() -> bytes:
    return frame(raw_blocks(_bomb(), last=False) + repeated_blocks(b"\x00", EXPANDED, last=True))


def _zeros_behind_the_end() -> bytes:
    return _gzip_zeros(bytes(good().data) + END, EXPANDED)


def _long_header(kind: bytes, record: bytes, tail: bytes) -> bytes:
    """Return gzip of an extension header of 256 MiB."""
    size = EXPANDED // 2
    header = Header(b"././@LongLink", size + len(record) + len(tail), kind, mode=0, uid=0).block()
    return _gzip_zeros(bytes(good().data) + header + record, size + _PIECE)


def _pax_record() -> bytes:
    digits = len(str(EXPANDED // 2 + 100))
    return b"%d path=" % (EXPANDED // 2 + digits + len(b" path=") + 1)


BOMBS = (
    unsafe(
        "bomb-gzip",
        "half a MiB that becomes 512 MiB",
        _gzip_bomb,
        suffix="tar+gzip",
        brings={"good.txt": GOOD},
    ),
    unsafe(
        "bomb-zstd", "17 KiB that become 512 MiB", _zstd_bomb, suffix="tar+zstd", brings={"good.txt": GOOD}
    ),
    unsafe(
        "bomb-gzip-behind",
        "512 MiB of zeros behind the end",
        _zeros_behind_the_end,
        suffix="tar+gzip",
        brings={"good.txt": GOOD},
    ),
    unsafe(
        "bomb-zstd-window",
        "a frame that asks for a window of 2 GiB of memory",
        lambda: frame(raw_blocks(bytes(good()), last=True), window_log=31),
        suffix="tar+zstd",
        brings={"good.txt": GOOD},
    ),
    unsafe(
        "bomb-pax",
        "a path of 256 MiB, by PAX",
        lambda: _long_header(tars.PAX, _pax_record(), b"\n"),
        suffix="tar+gzip",
    ),
    unsafe(
        "bomb-gnu",
        "a path of 256 MiB, by GNU long name",
        lambda: _long_header(tars.GNU_LONG_NAME, b"n", b""),
        suffix="tar+gzip",
    ),
    unsafe(
        "bomb-pax-lies",
        "an extension header that says it has 8 GiB",
        lambda: good().raw(
            Header(b"PaxHeaders.0/x", 8**11 - 1, tars.PAX, mode=0, uid=0).block() + bytes(BLOCK)
        ),
    ),
)
