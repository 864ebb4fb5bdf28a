"""How the bytes of a layer are packed, in the words of its media type: `FORMAT[+COMPRESSION]`.

To add a compression is a row here and its decoder in `archive.compression.DECODERS`; a format is read by
`archive.unpack`. A media type with other words is not known (exit code 9).
"""

from __future__ import annotations

from typing import Final, NamedTuple

TAR: Final = "tar"  # names relative to the layer's folder
RAW: Final = "raw"  # one file
FORMATS: Final = (TAR, RAW)
GZIP: Final = "gzip"
ZSTD: Final = "zstd"
COMPRESSIONS: Final = ("", GZIP, ZSTD)


class Packing(NamedTuple):
    """A format and a compression, "" for none."""

    format: str
    compression: str


def packing(suffix: str) -> Packing | None:
    """Return how a media type with this suffix ("tar+gzip") is packed; None when that is not known."""
    format_, plus, compression = suffix.partition("+")
    if format_ not in FORMATS or compression not in COMPRESSIONS or (plus and not compression):
        return None
    return Packing(format_, compression)
