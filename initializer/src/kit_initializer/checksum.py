"""CRC-32, by whichever implementation is the fastest there is."""

from __future__ import annotations

try:  # carry-less multiplication: as fast as memory, where zlib's tables are a tenth of that
    from isal.isal_zlib import crc32
except ImportError:  # pragma: no cover - platforms without a build of isal
    from zlib import crc32

__all__ = ["crc32"]
