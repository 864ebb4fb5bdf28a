"""What is pulled: the shapes of kits that are compared, and how they grow."""

from __future__ import annotations

import random
import struct
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

from kit_conformance.testbed.kits import Noise, pack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kit_conformance.testbed.kits import ModelKit, Source

MB = 1_000_000
KIB = 1024
_PER_FOLDER = 500
_CHUNK = 4 * 1024 * 1024


class Link(NamedTuple):
    """A network between the pod and the registry: rate of one connection, delay of one request."""

    bytes_per_second: float
    seconds: float


class Shape(NamedTuple):
    """A kit: `layers` layers of `files` files of `size` bytes each.

    `weights` are bytes that compress by a fifth, as bfloat16 weights do; all others do not compress. `seconds` is how
    long rounds are added for, beyond the first ones; for `alone` more, ours and Kit's go on by themselves: where the
    budget is close, a few rounds are too few to judge by. `disk`: trees are on the disk's file system instead of in
    memory (nobody syncs).
    """

    name: str
    what: str
    size: int
    files: int = 1
    layers: int = 1
    compression: str = ""
    raw: bool = False
    weights: bool = False
    link: Link | None = None
    tls: bool = False
    disk: bool = False
    seconds: float = 25.0
    alone: float = 0.0

    @property
    def total(self) -> int:
        """Return the bytes of all files."""
        return self.size * self.files * self.layers


_FAR = Link(bytes_per_second=40 * MB, seconds=0.020)

SHAPES = (
    Shape("1mb", "1 MB", 1 * MB, seconds=10),
    Shape("tar", "400 MB, tar", 400 * MB, seconds=50, alone=75),
    Shape("tar-disk", "400 MB, tar, to a disk", 400 * MB, disk=True, seconds=50, alone=75),
    Shape("tar-tls", "400 MB, tar, over TLS", 400 * MB, tls=True, seconds=40),
    Shape("gzip", "400 MB, tar+gzip", 400 * MB, compression="gzip-fastest", weights=True, seconds=40),
    Shape("zstd", "400 MB, tar+zstd", 400 * MB, compression="zstd", weights=True, seconds=15),
    Shape("raw", "400 MB, raw", 400 * MB, raw=True, seconds=15),
    Shape("files-3k", "3,000 files of 4 KiB", 4 * KIB, files=3_000, seconds=20),
    Shape("files-20k", "20,000 files of 4 KiB", 4 * KIB, files=20_000, seconds=40),
    Shape("layers-4", "4 layers of 100 MB", 100 * MB, layers=4, seconds=50, alone=75),
    Shape(
        "layers-4-disk", "4 layers of 100 MB, to a disk", 100 * MB, layers=4, disk=True, seconds=50, alone=75
    ),
    Shape("layers-64", "64 layers of 4 MB", 4 * MB, layers=64, seconds=20),
    Shape("far-1", "200 MB in one layer, far away", 200 * MB, link=_FAR, seconds=40),
    Shape("far-4", "4 layers of 50 MB, far away", 50 * MB, layers=4, link=_FAR, seconds=40),
)


class Growth(NamedTuple):
    """Shapes that differ in one number: `points` are that number and the shape; `pulls` at once where it is that."""

    name: str
    axis: str
    points: tuple[tuple[int, Shape], ...]
    at_once: bool = False


def _sizes(*megabytes: int) -> tuple[tuple[int, Shape], ...]:
    return tuple((mb, Shape(f"{mb}mb", f"{mb} MB", mb * MB, seconds=6)) for mb in megabytes)


def _files(*counts: int) -> tuple[tuple[int, Shape], ...]:
    return tuple((n, Shape(f"{n}-files", f"{n} files", 4 * KIB, files=n, seconds=6)) for n in counts)


def _layers(*counts: int) -> tuple[tuple[int, Shape], ...]:
    return tuple((n, Shape(f"{n}-layers", f"{n} layers", 128 * MB // n, layers=n, seconds=4)) for n in counts)


GROWTH = (
    Growth("files", "files of 4 KiB", _files(1, 10, 100, 1_000, 10_000, 50_000)),
    Growth("layers", "layers that make up 128 MB", _layers(1, 2, 4, 8, 16, 32, 64)),
    Growth(
        "pulls",
        "pulls of 64 MB at once",
        tuple((n, Shape("64mb", "64 MB", 64 * MB, seconds=4)) for n in (1, 2, 4, 8, 16, 32)),
        at_once=True,
    ),
    Growth("size", "MB in one file", _sizes(1, 4, 16, 64, 256, 1024, 4096)),
)


def weights(size: int, seed: int = 0) -> Iterator[bytes]:
    """Yield bytes like those of bfloat16 weights: a random low byte, a high byte of sign and exponent.

    The values are those of a normal distribution, so the high byte takes few values and the whole shrinks by a fifth.
    """
    normal = NormalDist(0, 0.02)
    high = bytes(struct.pack(">f", normal.inv_cdf((value + 0.5) / 256))[0] for value in range(256))
    source = random.Random(seed)  # noqa: S311 - test data
    for at in range(0, size, _CHUNK):
        chunk = bytearray(source.randbytes(min(_CHUNK, size - at)))
        chunk[1::2] = chunk[1::2].translate(high)
        yield bytes(chunk)


def build(shape: Shape, folder: Path) -> ModelKit:
    """Pack a shape; its layers are files below `folder`. Needs no Kit.

    Every file is below models/, which is where KServe's own initializer looks in an image.
    """
    content: dict[str, Source | None] = {}
    paths = ["models"] if shape.layers == 1 else [f"models/{index:02}" for index in range(shape.layers)]
    for number, path in enumerate(paths):
        for index in range(shape.files):
            inner = f"{index // _PER_FOLDER:03}/" if shape.files > _PER_FOLDER else ""
            content[f"{path}/{inner}{index:05}.bin"] = _source(shape, folder, number * shape.files + index)
    if shape.raw:  # a raw layer is a file, not a folder
        paths = list(content)
    model: dict[str, object] = {"name": "bench", "path": paths[0]}
    if len(paths) > 1:
        model["parts"] = [{"path": path} for path in paths[1:]]
    kitfile = {"manifestVersion": "1.0.0", "package": {"name": "bench"}, "model": model}
    return pack(content, kitfile, compression=shape.compression, raw=shape.raw, directory=folder)


def _source(shape: Shape, folder: Path, seed: int) -> Source:
    if not shape.weights:
        return Noise(shape.size, seed)
    path = folder / f"weights-{seed}"
    with path.open("wb") as file:
        for chunk in weights(shape.size, seed):
            file.write(chunk)
    return path
