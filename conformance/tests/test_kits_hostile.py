"""Hostile kits are what they are called: digests right, contents wrong in the one way that they name."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zlib
from typing import TYPE_CHECKING

import pytest

from kit_conformance.testbed.kits import Header, Tar, hostile, tars
from kit_conformance.testbed.kits.hostile.zstd import frame, raw_blocks, repeated_blocks, stored
from kit_conformance.testbed.kits.layers import zstd
from kit_conformance.testbed.kits.values import sha256

if TYPE_CHECKING:
    from kit_conformance.testbed.kits.hostile import Hostile

HUGE = {"bomb-gzip", "bomb-zstd", "bomb-gzip-behind", "bomb-pax", "bomb-gnu"}


def test_names_are_unique_and_reasons_are_given() -> None:
    assert len({each.name for each in hostile.ALL}) == len(hostile.ALL) == len(hostile.BY_NAME)
    assert all(each.why and each.expect in {"unsafe", "ok"} for each in hostile.ALL)
    assert all(each.files for each in hostile.ALL if each.expect == "ok")


@pytest.mark.parametrize("each", hostile.ALL, ids=str)
def test_descriptors_are_right(each: Hostile) -> None:
    kit = each.kit()
    manifest = json.loads(kit.manifest)
    assert manifest["config"] == {
        "mediaType": "application/vnd.kitops.modelkit.config.v1+json",
        "digest": sha256(kit.config),
        "size": len(kit.config),
    }
    for descriptor, layer in zip(manifest["layers"], kit.layers, strict=True):
        assert (descriptor["digest"], descriptor["size"]) == (sha256(layer.read()), len(layer.read()))
    if each.name not in HUGE:
        assert each.kit() == kit


def content_of(each: Hostile) -> dict[str, bytes]:
    """Return what Python's own readers find in the layers."""
    found: dict[str, bytes] = {}
    for layer in each.kit().layers:
        data = layer.read()
        if layer.media_type.endswith("+gzip"):
            data = gzip.decompress(data)
        elif layer.media_type.endswith("+zstd"):
            data = zstd().decompress(data)
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isfile() else None
                if content is not None:
                    found[member.name.removeprefix("./").replace("\\", "/")] = content.read()
    return found


@pytest.mark.parametrize("each", [each for each in hostile.ALL if each.expect == "ok"], ids=str)
def test_odd_kits_hold_what_they_promise(each: Hostile) -> None:
    assert content_of(each) == each.files


@pytest.mark.parametrize(
    ("name", "member", "kind"),
    [
        ("path-parent", f"../{hostile.ESCAPE}", tars.FILE),
        ("path-absolute", hostile.OUTSIDE, tars.FILE),
        ("path-prefix-parent", f"../{hostile.ESCAPE}", tars.FILE),
        ("path-prefix-absolute", hostile.OUTSIDE, tars.FILE),
        ("path-pax-parent", f"../{hostile.ESCAPE}", tars.FILE),
        ("path-pax-twice", f"../{hostile.ESCAPE}", tars.FILE),
        ("path-gnu-absolute", hostile.OUTSIDE, tars.FILE),
        ("link-absolute", "l", tars.SYMLINK),
        ("link-hard", "l", tars.LINK),
        ("kind-fifo", "thing", tars.FIFO),
        ("kind-character", "thing", tars.CHARACTER),
        ("kind-block", "thing", tars.DEVICE),
        ("kind-contiguous", "thing", tars.CONTIGUOUS),
        ("kind-sparse-gnu", "thing", tars.GNU_SPARSE),
        ("kind-sparse-pax-1.0", "sparse", tars.FILE),
        ("kind-pax-global", f"../{hostile.ESCAPE}", tars.FILE),
    ],
)
def test_bad_members_are_seen_by_another_reader(name: str, member: str, kind: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(hostile.BY_NAME[name].kit().layers[0].read())) as tar:
        found = {each.name: each for each in tar}
    assert found[member].type == kind
    assert "good.txt" in found


@pytest.mark.parametrize(
    "name",
    [each.name for each in hostile.ALL if each.name.startswith("gzip-")],
)
def test_bad_gzip_is_refused_by_another_reader(name: str) -> None:
    layer = hostile.BY_NAME[name].kit().layers[0]
    if name in {"gzip-nothing", "gzip-hidden"}:  # nothing is wrong with these as gzip
        assert gzip.decompress(layer.read()) == b"" or layer.media_type.endswith(".tar")
        return
    with pytest.raises((OSError, EOFError, zlib.error)):
        gzip.decompress(layer.read())


def test_gzip_bomb_is_valid_and_as_large_as_it_says() -> None:
    data = hostile.BY_NAME["bomb-gzip"].kit().layers[0].read()
    assert len(data) < 1024 * 1024
    with gzip.open(io.BytesIO(data)) as unpacked:
        size = 0
        while chunk := unpacked.read(8 * 1024 * 1024):
            size += len(chunk)
    assert size == hostile.EXPANDED + 1536


def test_zstd_by_hand_is_read_by_a_real_decoder() -> None:
    data = bytes(range(256)) * 2000
    assert zstd().decompress(stored(data)) == data
    assert zstd().decompress(stored(b"")) == b""
    mixed = frame(raw_blocks(b"head", last=False) + repeated_blocks(b"z", 300_000, last=True))
    assert zstd().decompress(mixed) == b"head" + b"z" * 300_000
    assert len(mixed) < 100
    bomb = hostile.BY_NAME["bomb-zstd"].kit().layers[0].read()
    assert len(bomb) < 32 * 1024
    assert len(zstd().ZstdDecompressor().decompress(bomb, 100_000)) == 100_000


def test_headers_by_hand() -> None:
    block = Header(b"name", 5, prefix=b"dir").block()
    assert tarfile.TarInfo.frombuf(block, "utf-8", "strict").name == "dir/name"
    assert (
        tarfile.TarInfo.frombuf(Header(b"n", tars.base256(2**40, 12)).block(), "utf-8", "strict").size
        == 2**40
    )
    assert bytes(Tar().file("a").directory("d"))[-1024:] == tars.END
    with pytest.raises(ValueError, match="100 bytes"):
        Header(b"n" * 101).block()
    assert tars.pax_records({"path": "a" * 90}) == b"99 path=" + b"a" * 90 + b"\n"
    assert tars.pax_records({"path": "a" * 91}) == b"101 path=" + b"a" * 91 + b"\n"
    large = tars.member("big", 8**11, 0o644)
    with tarfile.open(fileobj=io.BytesIO(large + tars.END)) as tar:
        assert next(iter(tar)).size == 8**11
