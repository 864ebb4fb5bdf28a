"""Content that a proxy has compressed on the way, although nobody asked for it."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

import pytest

from initializer.tests.conftest import failed
from initializer.tests.destinations import LARGE as KIT
from kit_conformance.testbed.kits import Noise, pack
from kit_conformance.testbed.registry import Bearer, Registry, faults
from kit_initializer.errors import UnreachableError
from kit_initializer.http import TransientError
from kit_initializer.http.encoding import Decoder

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command, Trees

PATIENT = {"KIT_RETRIES": "5", "KIT_PROGRESS_TIMEOUT": "20"}
QUICK = {"KIT_RETRIES": "0", "KIT_PROGRESS_TIMEOUT": "1"}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("kind", ["manifest", "config", "blob", ""])
def test_what_is_compressed_on_the_way_is_decoded(
    *,
    kind: str,
    encoding: str,
    chunked: bool,
    registry: Registry,
    initialize: Command,
    destination: Path,
    trees: Trees,
) -> None:
    registry.inject(faults.Compressed(encoding, chunked), kind=kind)
    run = initialize(registry.add(KIT, "k", "v1"), destination, env=PATIENT)
    assert run.code == 0, run.lines
    trees.check(destination, KIT)


def test_a_token_is_decoded(initialize: Command, destination: Path) -> None:
    with Registry(auth=Bearer({}, anonymous=True)) as registry:
        registry.inject(faults.Compressed(), kind="token")
        run = initialize(registry.add(KIT, "k", "v1"), destination, env=PATIENT)
    assert run.code == 0, run.lines


@pytest.mark.parametrize("connections", ["1", "4"])
def test_it_begins_again_after_a_cut(
    *, connections: str, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    registry.inject(faults.Cut(after=2_000_000), kind="blob", times=1)
    registry.inject(faults.Compressed(), kind="blob")
    registry.inject(faults.Bandwidth(8_000_000), kind="blob")
    run = initialize(registry.add(KIT, "k", "v1"), destination, env=PATIENT, KIT_CONCURRENCY=connections)
    assert run.code == 0, run.lines
    trees.check(destination, KIT)


@pytest.mark.parametrize("compression", ["", "gzip"])
def test_what_is_only_called_compressed_is_taken_as_it_is(
    compression: str, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    recipe = {"manifestVersion": "1.0.0", "package": {}, "model": {"path": "m"}}
    kit = pack({"m": Noise(3_000_000)}, recipe, compression=compression)
    registry.inject(faults.Compressed(truly=False))
    run = initialize(registry.add(kit, "k", "v1"), destination, env=QUICK)
    assert run.code == 0, run.lines
    trees.check(destination, kit)


@pytest.mark.parametrize("kind", ["manifest", "blob"])
def test_another_encoding_is_named(
    kind: str, registry: Registry, initialize: Command, destination: Path
) -> None:
    registry.inject(faults.Compressed("br"), kind=kind)
    run = initialize(registry.add(KIT, "k", "v1"), destination, env=QUICK)
    failed(run, 5, "unreachable", f"{registry.host} answered with Content-Encoding 'br'", "as it is")


def test_a_small_thing_that_becomes_large_is_not_read_to_its_end(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    registry.inject(faults.Replace(bytes(500_000_000)), kind="manifest")
    registry.inject(faults.Compressed(), kind="manifest")
    run = initialize(registry.add(KIT, "k", "v1"), destination, env=QUICK)
    failed(run, 5, "unreachable", "more than 4194304 bytes")


def read(body: bytes, *, at_once: int, view: int = 100) -> bytes:
    """Decode a body that comes in pieces of `at_once` bytes."""
    rest = bytearray(body)

    def receive(into: memoryview) -> int:
        count = min(at_once, len(into), len(rest))
        into[:count] = rest[:count]
        del rest[:count]
        return count

    decoder, whole, buffer = Decoder("gzip", receive, "r.example"), bytearray(), memoryview(bytearray(view))
    while count := decoder.readinto(buffer):
        whole += buffer[:count]
    return bytes(whole)


@pytest.mark.parametrize("at_once", [1, 2, 7, 1_000_000])
@pytest.mark.parametrize("view", [1, 100, 1_000_000])
def test_any_pieces_give_the_same(at_once: int, view: int) -> None:
    content = b"a" * 3000 + bytes(range(256))
    for body in (gzip.compress(content), zlib.compress(content), content):
        assert read(body, at_once=at_once, view=view) == content
    assert read(b"", at_once=at_once) == b""
    assert read(b"{", at_once=at_once) == b"{"


def test_what_is_broken_may_heal() -> None:
    whole = gzip.compress(bytes(range(256)))
    with pytest.raises(TransientError, match="ends early"):
        read(whole[:-9], at_once=50)
    with pytest.raises(TransientError, match="cannot be read"):
        read(whole[:10] + b"\xff" * 20, at_once=50)
    empty_blocks = whole[:10] + b"\0\0\0\xff\xff" * 500_000
    with pytest.raises(TransientError, match="no content"):
        read(empty_blocks, at_once=60_000)
    with pytest.raises(UnreachableError, match="'gzip, br'"):
        Decoder("gzip, br", lambda _: 0, "r.example")
