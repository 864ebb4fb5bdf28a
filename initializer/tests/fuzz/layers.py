"""Layers nobody has packed: random changes to real ones, and tars of entries that are nearly well formed.

What may come of it: files below the tree, or the one error that says why not.
"""

from __future__ import annotations

import gzip
import os
import time
from typing import TYPE_CHECKING

from initializer.tests.fuzz.changes import changed
from initializer.tests.unpacking import Unpacker
from kit_conformance.testbed.kits import Header, Tar, hostile, tars
from kit_conformance.testbed.kits.layers import zstd
from kit_initializer.archive import Limits
from kit_initializer.errors import UnsafeContentError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

LONGEST_S = 20.0  # for one example, on a busy machine: anything beyond is a hang
LIMITS = Limits(bytes=2_000_000, members=500)
FEW = [each for each in hostile.ALL if not each.name.startswith("bomb")]
SEEDS = [
    (layer.read(), layer.media_type.partition("+")[2])
    for each in FEW
    for layer in each.kit().layers
    if layer.size < 100_000
]


def name(dice: random.Random) -> bytes:
    parts = [
        dice.choice([b"a", b"b", b"..", b".", b"", b"\xff", "ü".encode(), b"x" * 120])
        for _ in range(dice.randint(1, 5))
    ]
    return b"/".join(parts)


def tar(dice: random.Random) -> bytes:
    """Make a tar of entries that are all well formed, or nearly."""
    made = Tar()
    for _ in range(dice.randint(0, 8)):
        body = dice.randbytes(dice.choice([0, 1, 511, 512, 513, 3000]))
        kind = dice.choice([b"0", b"0", b"0", b"5", b"\0", b"1", b"2", b"L", b"x", b"g", b"S"])
        if kind in {b"x", b"g"}:
            keys = dice.sample(["path", "size", "mtime", "linkpath", "GNU.sparse.size", "comment"], 2)
            made.raw(
                tars.extended({key: dice.choice([name(dice), b"12", b"-1", b""]) for key in keys}, kind=kind)
            )
        elif kind == b"L":
            made.raw(tars.long_name(name(dice)))
        else:
            sizes: list[int | bytes] = [0, 10**9, b"\xff" * 12, tars.base256(len(body), 12)]
            size = len(body) if dice.random() < 0.9 else dice.choice(sizes)
            made.add(
                Header(name(dice)[:100], size, kind, mode=dice.choice([0o644, 0o4755, 0]), link=b"/etc"), body
            )
    return bytes(made)


def right(data: bytes, dice: random.Random) -> bytes:
    """Put right checksums into headers, so that what stands in them is looked at."""
    body = bytearray(data)
    for at in range(0, len(body) - 511, 512):
        if body[at] and dice.random() < 0.9:
            total = sum(body[at : at + 512]) - sum(body[at + 148 : at + 156]) + 8 * 32
            body[at + 148 : at + 156] = b"%06o\0 " % total
    return bytes(body)


COMPRESS: dict[str, Callable[[bytes], bytes]] = {"": bytes, "gzip": gzip.compress, "zstd": zstd().compress}


def layer(dice: random.Random, folder: Path) -> None:
    """Unpack one layer."""
    outside = os.path.lexists(hostile.OUTSIDE)
    data, compression = (tar(dice), "") if dice.random() < 0.5 else dice.choice(SEEDS)
    if not compression:
        data = right(changed(data, dice), dice)
        compression = dice.choice(["", "", "gzip", "zstd"])
        data = COMPRESS[compression](data)
    if dice.random() < 0.3:
        data = changed(data, dice)
    unpacker = Unpacker(
        folder / "tree", limits=LIMITS, keep=(lambda path: "a" in path) if dice.random() < 0.1 else None
    )
    began, refusal = time.monotonic(), "the layer"
    try:
        unpacker.unpack(
            data,
            compression=compression,
            form=dice.choice(["tar", "tar", "tar", "raw"]),
            directory=dice.choice(["", "model"]),
            path="model/file",
            step=dice.choice([1000, 512, 65_536, dice.randint(1, 700)]),
        )
    except UnsafeContentError as error:
        refusal = str(error)
    assert refusal.startswith("the layer")
    assert "\n" not in refusal
    assert time.monotonic() - began < LONGEST_S
    assert [path.name for path in folder.iterdir()] == ["tree"]
    there = {path for path in unpacker.folder.rglob("*") if not path.is_dir()}
    assert all(path.is_file() and not path.is_symlink() for path in there)
    assert there >= {unpacker.folder / file.path for file in unpacker.tree.files}
    assert os.path.lexists(hostile.OUTSIDE) is outside
