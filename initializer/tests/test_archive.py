"""Layers to files: what Kit writes arrives, in pieces of any size."""

from __future__ import annotations

import contextlib
import gc
import gzip
import os
import threading
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from initializer.tests.unpacking import Unpacker
from kit_conformance.testbed.kits import Header, Tar, pack, tars
from kit_conformance.testbed.kits.layers import zstd
from kit_initializer.archive import Limits, Tree, unpack
from kit_initializer.checksum import crc32
from kit_initializer.errors import UnsafeContentError
from kit_initializer.listing import Entry

if TYPE_CHECKING:
    from pathlib import Path


def test_files_and_folders(unpacker: Unpacker) -> None:
    tar = Tar().directory("d/").file("d/e/f", b"abc" * 1000).file("./run", b"", mode=0o700).directory("empty")
    tree = unpacker.unpack(bytes(tar), directory="model/./v1/")
    assert unpacker.found() == {"model/v1/d/e/f": b"abc" * 1000, "model/v1/run": b""}
    assert (unpacker.folder / "model/v1/empty").is_dir()
    assert {path.name: path.stat().st_mode & 0o7777 for path in unpacker.folder.rglob("*")} == {
        "model": 0o755,
        "v1": 0o755,
        "d": 0o755,
        "e": 0o755,
        "empty": 0o755,
        "f": 0o644,
        "run": 0o755,
    }
    assert sorted(tree.files) == [
        Entry("model/v1/d/e/f", 3000, zlib.crc32(b"abc" * 1000)),
        Entry("model/v1/run", 0, 0),
    ]


def test_a_raw_layer_is_one_file(unpacker: Unpacker) -> None:
    unpacker.unpack(b"hello", form="raw", path="a/b", executable=True)
    unpacker.unpack(gzip.compress(b"world"), form="raw", path="a/c", compression="gzip")
    assert unpacker.found() == {"a/b": b"hello", "a/c": b"world"}
    assert (unpacker.folder / "a/b").stat().st_mode & 0o777 == 0o755
    assert (unpacker.folder / "a/c").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("compression", ["", "gzip", "zstd"])
@pytest.mark.parametrize("step", [1, 511, 512, 513, 100_000])
def test_pieces_of_any_size(unpacker: Unpacker, compression: str, step: int) -> None:
    tar = bytes(Tar().file("a", b"a" * 700).raw(tars.member("ü" * 60, 3, 0o644)).raw(tars.padded(b"abc")))
    compress = {"": bytes, "gzip": gzip.compress, "zstd": zstd().compress}[compression]
    unpacker.unpack(compress(tar), compression=compression, step=step)
    assert unpacker.found() == {"a": b"a" * 700, "ü" * 60: b"abc"}


def test_members_of_gzip_and_frames_of_zstd_follow_each_other(unpacker: Unpacker) -> None:
    tar, at = bytes(Tar().file("a", bytes(300_000)).file("b", b"b" * 5000)), 100_000
    for name, compress in (("gzip", gzip.compress), ("zstd", zstd().compress)):
        for step in (1000, 10_000_000):
            parts = compress(tar[:at]) + compress(b"") + compress(tar[at:])
            unpacker.unpack(parts, compression=name, step=step, directory=f"{name}{step}")
            assert (unpacker.folder / f"{name}{step}" / "b").read_bytes() == b"b" * 5000


def test_numbers_beyond_octal(unpacker: Unpacker) -> None:
    tar = Tar().add(Header(b"a", tars.base256(3, 12), mtime=tars.base256(-1, 12)), b"abc")
    tar.raw(tars.extended({"size": "2", "path": "long/" * 40 + "b"})).add(Header(b"x", 2), b"bb")
    tar.add(Header(b"c", size=b"            ", mode=b"       \0"))
    unpacker.unpack(bytes(tar))
    assert unpacker.found() == {"a": b"abc", "long/" * 40 + "b": b"bb", "c": b""}


def test_the_last_of_two_records_counts(unpacker: Unpacker) -> None:
    tar = Tar().raw(tars.extended({"path": "one"})).raw(tars.extended({"comment": "x"})).file("zero", b"a")
    tar.raw(tars.extended({"path": "one"})).raw(tars.long_name(b"two")).file("zero", b"b").file("three", b"c")
    unpacker.unpack(bytes(tar))
    assert unpacker.found() == {"one": b"a", "two": b"b", "three": b"c"}


def test_only_what_is_wanted_is_written(tmp_path: Path) -> None:
    unpacker = Unpacker(tmp_path / "tree", keep=lambda path: path.endswith(".py"))
    tar = Tar().directory("empty").file("a.py", b"a").file("x/b.bin", b"b" * 2000).file("y/c.py", b"c")
    tree = unpacker.unpack(bytes(tar), directory="code")
    assert unpacker.found() == {"code/a.py": b"a", "code/y/c.py": b"c"}
    assert sorted(path.name for path in (tmp_path / "tree" / "code").iterdir()) == ["a.py", "y"]
    assert {file.path for file in tree.files} == {"code/a.py", "code/y/c.py"}


def test_layers_at_once_share_folders(unpacker: Unpacker) -> None:
    def layer(number: int) -> bytes:
        tar = Tar()
        for each in range(60):
            tar.file(f"shared/{each % 20}/{number}-{each}", b"x")
        return bytes(tar)

    threads = [threading.Thread(target=unpacker.unpack, args=(layer(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(unpacker.found()) == len(unpacker.tree.files) == 240


@pytest.mark.parametrize("deep", [False, True])
def test_open_folders_stay_few(unpacker: Unpacker, deep: bool) -> None:
    gc.collect()  # what earlier tests have left open
    before = len(os.listdir("/proc/self/fd"))
    path = "/".join("d" * 50) if deep else "d"
    with unpacker.tree.writer("", "it") as writer:
        for number in range(100):
            writer.file(f"{path}/{number % 40}/{number}", [memoryview(b"x")])
            assert len(os.listdir("/proc/self/fd")) <= before + 18
    assert len(os.listdir("/proc/self/fd")) == before


def test_empty_pieces_are_passed_over(tmp_path: Path) -> None:
    unpacker = Unpacker(tmp_path / "tree")
    tar = bytes(Tar().file("a", b"a" * 600))
    pieces = [tar[:0], tar[:100], tar[:0], tar[:0], tar[100:], tar[:0]]
    chunks = (memoryview(piece) for piece in pieces)
    unpack(
        chunks,
        unpacker.tree,
        format="tar",
        compression="",
        directory="",
        path="",
        executable=False,
        what="it",
    )
    assert unpacker.found() == {"a": b"a" * 600}


def test_a_checksum_is_that_of_zlib() -> None:
    assert crc32(b"world", crc32(b"hello ")) == zlib.crc32(b"hello world")


# anything at all

# a backslash separates names as a slash does
names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\\\0"), min_size=1, max_size=80
).filter(lambda name: name not in {".", ".."} and len(name.encode()) <= 255)
folders = st.recursive(
    st.binary(max_size=3000), lambda inner: st.dictionaries(names, inner, max_size=5), max_leaves=12
)


def flat(tree: object, prefix: str = "model") -> dict[str, bytes | None]:
    if isinstance(tree, dict):
        found: dict[str, bytes | None] = {prefix: None}
        for name, inner in tree.items():
            found |= flat(inner, f"{prefix}/{name}")
        return found
    return {prefix: tree if isinstance(tree, bytes) else None}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    folders.filter(lambda tree: isinstance(tree, dict)),
    st.sampled_from(["", "gzip", "zstd"]),
    st.integers(1, 5000),
)
def test_any_folder_comes_back(
    tmp_path_factory: pytest.TempPathFactory, tree: object, compression: str, step: int
) -> None:
    entries = flat(tree)
    recipe = {"manifestVersion": "1.0.0", "package": {}, "model": {"path": "model"}}
    kit = pack(entries, recipe, compression=compression)
    unpacker = Unpacker(tmp_path_factory.mktemp("any") / "tree")
    unpacker.unpack(kit.layers[0].read(), compression=compression, step=step)
    assert unpacker.found() == {path: body for path, body in entries.items() if body is not None}
    there = {str(path.relative_to(unpacker.folder)) for path in unpacker.folder.rglob("*") if path.is_dir()}
    assert there == {path for path, body in entries.items() if body is None}


BLOCKS = st.one_of(
    st.binary(max_size=600),
    st.builds(
        lambda name, size, kind, link, prefix, mode: Header(
            name[:100], size, kind, mode=mode, link=link[:100], prefix=prefix[:155]
        ).block(),
        st.binary(max_size=100),
        st.one_of(st.integers(0, 3000), st.binary(max_size=12)),
        st.sampled_from([b"0", b"5", b"x", b"L", b"g", b"1", b"2", b"\0", b"S", b"7", b"K"]),
        st.binary(max_size=20),
        st.binary(max_size=20),
        st.one_of(st.integers(0, 0o7777), st.binary(max_size=8)),
    ),
    st.dictionaries(
        st.sampled_from(["path", "size", "mtime", "GNU.sparse.name"]),
        st.text(max_size=20).map(str.encode),
        max_size=3,
    ).map(tars.extended),
    st.just(bytes(512)),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(BLOCKS, max_size=8), st.booleans(), st.sampled_from([7, 512, 100_000]))
def test_any_blocks_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[bytes], ended: bool, step: int
) -> None:
    """Nothing but the one error, and nothing outside of the tree."""
    folder = tmp_path_factory.mktemp("any")
    unpacker = Unpacker(folder / "tree")
    data = b"".join(tars.padded(block) for block in blocks) + (tars.END if ended else b"")
    with contextlib.suppress(UnsafeContentError):
        unpacker.unpack(data, step=step)
    assert [path.name for path in folder.iterdir()] == ["tree"]
    assert not any(path.is_symlink() for path in unpacker.folder.rglob("*"))
    assert unpacker.found().keys() >= {file.path for file in unpacker.tree.files}


def test_an_empty_chunk_is_no_end(tmp_path: Path) -> None:
    content = bytes(Tar().file("model", b"weights"))
    handle = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        tree = Tree(handle, Limits())
        chunks = [memoryview(b""), memoryview(content[:600]), memoryview(b""), memoryview(content[600:])]
        place = {"format": "tar", "compression": "", "directory": "", "path": ""}
        unpack(iter(chunks), tree, **place, executable=False, what="it")
    finally:
        os.close(handle)
    assert (tmp_path / "model").read_bytes() == b"weights"
