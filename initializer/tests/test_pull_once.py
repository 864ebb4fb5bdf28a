"""A layer that is needed in several places is downloaded once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from initializer.tests.conftest import failed
from initializer.tests.destinations import downloads
from kit_conformance.testbed.kits import Noise, pack
from kit_conformance.testbed.registry import faults
from kit_initializer.pull.spread import spread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from initializer.tests.conftest import Command
    from kit_conformance.testbed.kits import ModelKit
    from kit_conformance.testbed.registry import Registry


def repeated(size: int, places: int) -> ModelKit:
    """Return a kit with the same file as model and as so many datasets: raw layers have one digest wherever they go."""
    paths = [f"data{number}/file.bin" for number in range(places)]
    kitfile = {
        "manifestVersion": "1.0.0",
        "model": {"path": "model"},
        "datasets": [{"name": f"d{number}", "path": path} for number, path in enumerate(paths)],
    }
    body = Noise(size, seed=9)
    return pack({"model/own.bin": b"own", **dict.fromkeys(paths, body)}, kitfile)


@pytest.mark.parametrize("size", [1000, 3_000_000], ids=["in memory", "streamed"])
def test_a_digest_in_several_places_of_two_kits(
    *, size: int, registry: Registry, initialize: Command, tmp_path: Path
) -> None:
    kit = repeated(size, 3)
    uris = [registry.add(kit, name, "v1") for name in ("one", "two")]
    places = [tmp_path / "mnt" / name for name in ("one", "two")]
    run = initialize(uris[0], places[0], uris[1], places[1])
    assert run.code == 0, run.lines
    digests = {layer.digest for layer in kit.layers}
    assert downloads(registry) <= 2 * 1 + len(digests)  # each kit's config, and each layer
    bodies = {path.read_bytes() for place in places for path in place.glob("data*/file.bin")}
    assert len(list(tmp_path.glob("mnt/*/data*/file.bin"))) == 6
    assert [len(body) for body in bodies] == [size]


def test_one_of_two_places_refuses(registry: Registry, initialize: Command, tmp_path: Path) -> None:
    """What one reader refuses holds up no other one, and the digest still decides which error it is."""
    body = Noise(3_000_000, seed=9)
    good = pack({"model/a.bin": body}, {"manifestVersion": "1.0.0", "model": {"path": "model/a.bin"}})
    uris = [registry.add(good, "one", "v1"), registry.add(good, "two", "v1")]
    two = tmp_path / "mnt" / "two"
    run = initialize(uris[0], tmp_path / "mnt" / "one", uris[1], two, KIT_MAX_BYTES="1000000")
    failed(run, 8, "unsafe", "KIT_MAX_BYTES")
    assert not two.exists() or not list(two.rglob("*.bin"))
    registry.inject(faults.Tamper(), kind="blob")
    run = initialize(uris[0], tmp_path / "mnt" / "one", uris[1], two, KIT_MAX_BYTES="1000000")
    failed(run, 7, "integrity")


def chunks(count: int) -> Iterator[memoryview]:
    for number in range(count):
        yield memoryview(bytes([number]))


def test_readers_of_different_haste() -> None:
    seen: list[list[bytes]] = [[] for _ in range(4)]

    def reader(number: int, most: int) -> object:
        def read(stream: Iterator[memoryview]) -> None:
            for chunk in stream:
                seen[number].append(bytes(chunk))
                if len(seen[number]) == most:
                    return

        return read

    source = chunks(10)
    readers = [reader(number, most) for number, most in enumerate((3, 20, 1, 20))]
    assert spread(source, readers) == []  # type: ignore[arg-type]
    assert [len(each) for each in seen] == [3, 10, 1, 10]
    assert seen[1] == [bytes([number]) for number in range(10)]


def test_what_breaks_breaks_for_all() -> None:
    def broken() -> Iterator[memoryview]:
        yield memoryview(b"1")
        raise OSError("cut")

    def read(stream: Iterator[memoryview]) -> None:
        for _ in stream:
            pass

    before = threading.active_count()
    errors = spread(broken(), [read, read, read])
    assert [str(error) for error in errors] == ["cut"] * 3
    assert threading.active_count() == before


def test_an_error_of_one_reader_is_its_own() -> None:
    def read(stream: Iterator[memoryview]) -> None:
        for _ in stream:
            pass

    def refuse(stream: Iterator[memoryview]) -> None:
        next(stream)
        raise ValueError("refused")

    source = chunks(5)
    assert [str(error) for error in spread(source, [refuse, read])] == ["refused"]
    assert list(source) == []
