"""Zstandard frames by hand (RFC 8878): blocks that are stored, or one byte many times over."""

from __future__ import annotations

import struct
from typing import Final

_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_BLOCK: Final = 128 * 1024  # the largest block that a frame may have
_WINDOW: Final = 20  # log2 of the window that decoders are asked for, unless told otherwise


def frame(blocks: bytes, *, window_log: int = _WINDOW) -> bytes:
    """Return a frame of blocks, without content size and checksum. The last block must say that it is."""
    return _MAGIC + b"\x00" + bytes([(window_log - 10) << 3]) + blocks


def raw_blocks(data: bytes, *, last: bool) -> bytes:
    """Return data in blocks as they are."""
    out = bytearray()
    for at in range(0, len(data) or 1, _BLOCK):
        part = data[at : at + _BLOCK]
        out += _header(0, len(part), last=last and at + _BLOCK >= len(data)) + part
    return bytes(out)


def repeated_blocks(byte: bytes, count: int, *, last: bool) -> bytes:
    """Return one byte `count` times, four bytes for each 128 KiB."""
    full, rest = divmod(count, _BLOCK)
    blocks = (_header(1, _BLOCK, last=False) + byte) * full
    return blocks + _header(1, rest, last=last) + byte


def stored(data: bytes) -> bytes:
    """Return a frame that holds the data as it is."""
    return frame(raw_blocks(data, last=True))


def _header(kind: int, size: int, *, last: bool) -> bytes:
    return struct.pack("<I", size << 3 | kind << 1 | last)[:3]
