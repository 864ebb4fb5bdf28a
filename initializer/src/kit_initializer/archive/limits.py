"""How much an archive may ask of us before it is refused. Each number has its reason."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Bounds on one layer; what exceeds one is refused as unsafe (exit code 8)."""

    # A PAX record names one path or one size. Linux allows a path of 4,096 bytes; tools that keep extended
    # attributes stay far below this as well, while a lying size would otherwise be read into memory whole.
    header_bytes: int = 64 * 1024
    # PATH_MAX and NAME_MAX of Linux: longer ones cannot be created.
    path_bytes: int = 4095
    name_bytes: int = 255
    # Deeper trees than any packed model is known to have, and shallow enough to walk.
    depth: int = 64
    # Datasets of a million small files exist; more than this is an attack on the volume's inodes.
    members: int = 2_000_000
    # Deflate cannot exceed 1,032:1; zeros aside, weights never come near this. Small layers are exempt:
    # a few kilobytes of repeated text may well shrink a thousandfold.
    expansion: int = 200
    expansion_floor_bytes: int = 64 * 1024 * 1024
    # The largest window that zstd may ask for (2^25 = 32 MiB): what it needs is held in memory, and encoders
    # use 8 MiB unless they are told otherwise.
    zstd_window_log: int = 25
