"""The kits that cases use again and again. All are small, and the same in every process."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from kit_conformance.testbed.kits import ModelKit, Noise, Tar, pack

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kit_conformance.testbed.kits import Source

MODEL: Final = "model.joblib"
MIB: Final = 1024 * 1024


def child(parent: str) -> ModelKit:
    """Return a kit of code that takes its model from a parent, `host/repository:tag`."""
    kitfile = {
        "manifestVersion": "1.0.0",
        "package": {},
        "model": {"path": parent},
        "code": [{"path": "c.py"}],
    }
    return pack({"c.py": b"c"}, kitfile)


@cache
def plain(name: str = "iris", size: int = 3000) -> ModelKit:
    """Return a kit with a layer of each old type: model, code, dataset, docs."""
    return pack(
        {
            MODEL: Noise(size, seed=sum(name.encode())),
            "src/predict.py": b"print('predict')\n",
            "src/lib/util.py": b"x = 1\n",
            "data/train.csv": b"a,b\n1,2\n",
            "docs/README.md": f"# {name}\n".encode(),
        },
        {
            "manifestVersion": "1.0.0",
            "package": {"name": name, "version": "1.0.0"},
            "model": {"name": name, "path": MODEL},
            "code": [{"path": "src"}],
            "datasets": [{"name": "train", "path": "data/train.csv"}],
            "docs": [{"path": "docs"}],
        },
    )


def of(
    files: Mapping[str, Source | None],
    *,
    path: str = "",
    name: str = "m",
    modes: Mapping[str, int] | None = None,
    compression: str = "",
    as_kit: str = "",
    raw: bool = False,
    directory: Path | None = None,
) -> ModelKit:
    """Return a kit whose model is these files: all of them, or what is at `path`."""
    return pack(
        files,
        {
            "manifestVersion": "1.0.0",
            "package": {"name": name},
            "model": {"name": name, "path": path or next(iter(files))},
        },
        modes=modes,
        compression=compression,
        as_kit=as_kit,
        raw=raw,
        directory=directory,
    )


@cache
def model(size: int = 3000, seed: int = 7, compression: str = "") -> ModelKit:
    """Return a kit that is one file of noise in one layer."""
    return of({MODEL: Noise(size, seed)}, compression=compression)


@cache
def large() -> ModelKit:
    """Return a kit whose layer no client takes in one read: 9 MiB."""
    return model(9 * MIB, seed=9)


@cache
def many(layers: int = 4, size: int = 2000) -> ModelKit:
    """Return a kit of so many layers of one file each."""
    names = [f"part-{number}.bin" for number in range(layers)]
    return pack(
        {name: Noise(size, seed=number) for number, name in enumerate(names)},
        {
            "manifestVersion": "1.0.0",
            "package": {"name": "many"},
            "model": {
                "name": "many",
                "path": names[0],
                "parts": [{"name": name.partition(".")[0], "path": name} for name in names[1:]],
            },
        },
    )


def layer_of(kit: ModelKit, number: int = 0) -> str:
    """Return the digest of a layer."""
    return kit.layers[number].digest


def harmless() -> bytes:
    """Return a tar that anybody unpacks, as the counterpart of one that nobody should."""
    return bytes(Tar().file(MODEL, b"a good file"))
