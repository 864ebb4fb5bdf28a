"""Layers to files: what Kit writes arrives, all else is refused with a reason, in pieces of any size."""

from __future__ import annotations

import contextlib
import errno
import gc
import gzip
import os
import threading
import zlib
from collections.abc import Callable  # noqa: TC003 - in a value's annotation
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from initializer.tests.unpacking import Unpacker
from kit_conformance.testbed.kits import Header, Tar, hostile, pack, tars
from kit_conformance.testbed.kits.layers import zstd
from kit_initializer import modelkit
from kit_initializer.archive import File, Limits, Tree, unpack
from kit_initializer.checksum import crc32
from kit_initializer.errors import InitializerError, NotAModelKitError, UnsafeContentError

if TYPE_CHECKING:
    from pathlib import Path

    from kit_conformance.testbed.kits.hostile import Hostile


@pytest.fixture
def unpacker(tmp_path: Path) -> Unpacker:
    return Unpacker(tmp_path / "tree")


# what is read


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
        File("model/v1/d/e/f", 3000, zlib.crc32(b"abc" * 1000)),
        File("model/v1/run", 0, 0),
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


# what is refused


def refused(unpacker: Unpacker, data: bytes, *words: str, compression: str = "") -> None:
    for step in (7, 100_000):
        with pytest.raises(UnsafeContentError) as caught:
            unpacker.unpack(data, compression=compression, step=step, directory=f"at{step}")
        assert str(caught.value).startswith("the layer ")
        for word in words:
            assert word in str(caught.value)


@pytest.mark.parametrize("each", hostile.ALL, ids=str)
def test_hostile_kits(each: Hostile, unpacker: Unpacker) -> None:
    kit = each.kit()
    problem: InitializerError | None = None
    try:
        manifest = modelkit.parse(kit.manifest)
        assert isinstance(manifest, modelkit.Manifest)
        for layer in modelkit.plan(manifest, kit.config, filters=()).layers:
            data = next(blob.read() for blob in kit.layers if blob.digest == layer.digest)
            unpacker.unpack(
                data,
                form=layer.format,
                compression=layer.compression,
                directory=layer.directory,
                path=layer.path,
                step=65_536,
            )
    except (UnsafeContentError, NotAModelKitError) as error:
        problem = error
    assert not [
        path
        for path in unpacker.folder.parent.rglob(f"*{hostile.ESCAPE}*")
        if unpacker.folder not in path.parents
    ]
    assert not os.path.lexists(hostile.OUTSIDE)
    if each.expect == "ok":
        assert problem is None
        assert unpacker.found() == dict(each.files or {})
    elif problem is None:
        assert each.tolerable
        assert unpacker.found() == dict(each.files or {})
    assert all(not path.is_symlink() for path in unpacker.folder.rglob("*"))


@pytest.mark.parametrize(
    ("tar", "word"),
    [
        (Tar().add(Header(b"n", kind=tars.LINK, link=b"m")), "a hard link"),
        (Tar().add(Header(b"n", kind=tars.SYMLINK, link=b"m")), "a symbolic link"),
        (Tar().add(Header(b"n", kind=tars.CHARACTER)), "a character device"),
        (Tar().add(Header(b"n", kind=tars.DEVICE)), "a block device"),
        (Tar().add(Header(b"n", kind=tars.FIFO)), "a FIFO"),
        (Tar().add(Header(b"n", kind=tars.CONTIGUOUS)), "a contiguous file"),
        (Tar().add(Header(b"n", kind=tars.GNU_SPARSE)), "a sparse file"),
        (Tar().add(Header(b"n", kind=tars.PAX_GLOBAL)), "a global PAX header"),
        (Tar().add(Header(b"n", kind=b"Z")), "an entry of type 'Z'"),
        (Tar().raw(tars.extended({"GNU.sparse.major": "1"})).file("n"), "a sparse file"),
        (Tar().add(Header(b"n", 600, kind=tars.DIRECTORY), bytes(600)), "a folder with content"),
        (Tar().file("/n"), "leads out of the kit: '/n'"),
        (Tar().file("a/../../n"), "leads out"),
        (Tar().file("a//n"), "leads out"),
        (Tar().raw(tars.extended({"path": "a\0b"})).file("n"), "leads out"),
        (Tar().directory("../n"), "leads out"),
        (Tar().file("n/"), "without a name"),
        (Tar().file("."), "without a name"),
        (Tar().file(b"\xff"), "not UTF-8"),
        (Tar().raw(tars.extended({"path": b"\xff"})).file("n"), "not UTF-8"),
        (Tar().file("n").file("n"), "n', which the kit holds already"),
        (Tar().file("n").file("n/m"), "n' as a file and as a folder"),
        (Tar().directory("n").file("n"), "which the kit holds already"),
        (Tar().add(Header(b"n", checksum=b"000001\0 ")), "checksum is wrong"),
        (Tar().add(Header(b"n", checksum=b"x" * 8)), "a checksum is not octal"),
        (Tar().add(Header(b"n", size=b"9" * 11)), "a size is not octal"),
        (Tar().add(Header(b"n", size=b"\xff" * 12)), "a size is negative"),
        (Tar().add(Header(b"n", size=b"\x80" + b"\xff" * 11)), "beyond any volume"),
        (Tar().add(Header(b"n", mode=b"rwx")), "a mode is not octal"),
        (Tar().raw(tars.extended({"size": "-1"})).file("n"), "a PAX size"),
        (Tar().raw(tars.extended({"size": "9" * 30})).file("n"), "a PAX size"),
        (Tar().raw(tars.extended({"size": str(1 << 61)})).file("n"), "a PAX size"),
        (Tar().raw(tars.extended({"size": "\u0663"})).file("n"), "a PAX size"),
        (Tar().raw(tars.extended({"path": "n"})), "announces an entry"),
        (Tar().raw(tars.long_name(b"n")), "announces an entry"),
        (Tar().add(Header(b"x", 5, kind=tars.PAX), b"hello"), "has no length"),
        (Tar().add(Header(b"x", 9, kind=tars.PAX), b"9 path=n"), "does not end where it says"),
        (Tar().add(Header(b"x", 10, kind=tars.PAX), b"99 path=n\n"), "does not end where it says"),
        (Tar().add(Header(b"x", 9, kind=tars.PAX), b"9 path n\n"), "does not end where it says"),
        (Tar().add(Header(b"x", 9, kind=tars.PAX), b"0 path=n\n"), "does not end where it says"),
        (Tar().add(Header(b"x", 65_537, kind=tars.PAX), bytes(65_537)), "65536 are allowed"),
        (Tar().add(Header(b"x", 1 << 33, kind=tars.GNU_LONG_NAME)), "a header of 8589934592 bytes"),
        (Tar(end=b""), "ends early: 512 more bytes"),
        (Tar(end=bytes(512)), "ends early"),
        (Tar(end=bytes(512) + Header(b"n").block()), "one block of zeros"),
        (Tar(end=bytes(5000) + b"x"), "bytes behind the archive's end"),
        (Tar(end=bytes(1024) + b"x" * 512), "bytes behind the archive's end"),
        (Tar(end=b"").add(Header(b"n", 10)), "ends early: 10 more bytes"),
        (Tar(end=b"").raw(Header(b"n", 10).block() + b"x" * 10), "ends early: 502 more bytes"),
    ],
)
def test_tars_that_are_refused(unpacker: Unpacker, tar: Tar, word: str) -> None:
    refused(unpacker, bytes(tar), word)


def limited(**values: int) -> Limits:
    return Limits()._replace(**values)


@pytest.mark.parametrize(
    ("limits", "tar", "word"),
    [
        (limited(members=2), Tar().file("a").directory("b").file("c"), "more than 2 entries"),
        (limited(depth=3), Tar().file("a/b/c/d"), "deeper than 3"),
        (limited(path_bytes=10), Tar().file("abcde/fghij"), "a path of more than 10 bytes"),
        (
            limited(path_bytes=10),
            Tar().raw(tars.extended({"path": "ü" * 6})).file("x"),
            "a path of more than 10 bytes",
        ),
        (limited(name_bytes=4), Tar().file("a/abcde"), "a name of more than 4 bytes"),
        (
            limited(name_bytes=4),
            Tar().raw(tars.extended({"path": "\u2603\u2603"})).file("x"),
            "a name of more than 4",
        ),
        (limited(header_bytes=20), Tar().raw(tars.extended({"path": "a" * 20})).file("x"), "20 are allowed"),
    ],
)
def test_limits(tmp_path: Path, limits: Limits, tar: Tar, word: str) -> None:
    refused(Unpacker(tmp_path / "tree", limits=limits), bytes(tar), word)


def test_what_is_at_a_limit_is_not_beyond_it(tmp_path: Path) -> None:
    limits = limited(members=2, depth=3, path_bytes=10, name_bytes=6, header_bytes=20)
    tar = Tar().file("a/b/c").raw(tars.extended({"path": "abcdef/ghi"})).file("x", b"y")
    unpacker = Unpacker(tmp_path / "tree", limits=limits)
    unpacker.unpack(bytes(tar))
    assert unpacker.found() == {"a/b/c": b"x", "abcdef/ghi": b"y"}
    deep, long = "/".join("d" * 63 + "n"), "/".join(["n" * 255] * 15 + ["m" * 253, "k"])
    assert (deep.count("/"), len(long)) == (63, 4095)
    usual = Unpacker(tmp_path / "usual")
    with usual.tree.writer("", "it") as writer:
        for path in (deep, long):
            writer.file(path, [memoryview(b"x")])
    assert {file.path for file in usual.tree.files} == {deep, long}


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_expansion_beyond_reason(tmp_path: Path, name: str) -> None:
    tar = bytes(Tar().file("zeros", bytes(3_000_000)))
    data = gzip.compress(tar) if name == "gzip" else zstd().compress(tar)
    few = limited(expansion_floor_bytes=1_000_000, expansion=2)
    refused(Unpacker(tmp_path / "a", limits=few), data, "expands more than 2 times", compression=name)
    for limits in (
        limited(expansion_floor_bytes=4_000_000, expansion=2),
        limited(expansion_floor_bytes=0, expansion=100_000),
    ):
        unpacker = Unpacker(tmp_path / str(limits.expansion), limits=limits)
        unpacker.unpack(data, compression=name)
        assert len(unpacker.found()["zeros"]) == 3_000_000


BREAKS: dict[str, tuple[str, str, Callable[[bytes], bytes]]] = {
    "gzip without its last byte": ("gzip", "ends in the middle", lambda data: data[:-1]),
    "gzip without most of it": ("gzip", "ends in the middle", lambda data: data[:20]),
    "gzip without anything": ("gzip", "ends in the middle", lambda data: data[:0]),
    "gzip and a byte": ("gzip", "", lambda data: data + b"x"),
    "gzip with another sum": (
        "gzip",
        "not valid gzip",
        lambda data: data[:-8] + bytes([data[-8] ^ 1]) + data[-7:],
    ),
    "gzip with another size": (
        "gzip",
        "not valid gzip",
        lambda data: data[:-4] + bytes([data[-4] ^ 1]) + data[-3:],
    ),
    "no gzip": ("gzip", "not valid gzip", lambda data: b"no gzip" + data),
    "zstd without its last byte": ("zstd", "ends in the middle", lambda data: data[:-1]),
    "zstd without anything": ("zstd", "ends early", lambda data: data[:0]),
    "zstd and a byte": ("zstd", "", lambda data: data + b"x"),
    "no zstd": ("zstd", "not valid zstd", lambda data: b"no zstd" + data),
}


@pytest.mark.parametrize("name", BREAKS)
def test_compression_that_breaks_off(unpacker: Unpacker, name: str) -> None:
    compression, word, change = BREAKS[name]
    whole = bytes(Tar().file("a", os.urandom(2000) + bytes(600_000)))
    compress = gzip.compress if compression == "gzip" else zstd().compress
    refused(unpacker, change(compress(whole)), word, compression=compression)


def test_a_window_that_takes_too_much_memory(tmp_path: Path) -> None:
    module = zstd()
    options = {module.CompressionParameter.window_log: 24}
    data = module.compress(bytes(Tar().file("a", os.urandom(9_000_000))), options=options)
    Unpacker(tmp_path / "a").unpack(data, compression="zstd")
    limits = limited(zstd_window_log=20)
    refused(Unpacker(tmp_path / "b", limits=limits), data, "not valid zstd", compression="zstd")


def test_formats_that_nobody_knows(unpacker: Unpacker) -> None:
    for form, compression in (("tar", "lz4"), ("zip", "")):
        with pytest.raises(NotAModelKitError, match="is not known"):
            unpacker.unpack(b"", form=form, compression=compression)


def test_paths_of_the_config_are_refused_as_well(unpacker: Unpacker) -> None:
    with pytest.raises(UnsafeContentError, match="leads out"):
        unpacker.unpack(bytes(Tar().file("a")), directory="../x")
    with pytest.raises(UnsafeContentError, match="leads out"):
        unpacker.unpack(b"", form="raw", path="/etc/x")
    assert unpacker.found() == {}


@pytest.mark.parametrize("number", [errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ENOSPC])
def test_a_volume_that_takes_no_such_name(
    unpacker: Unpacker, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Case-folding and other volumes refuse names that Linux allows: a fake of such an os.open."""
    real = os.open

    def refuse(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_CREAT:
            raise OSError(number, os.strerror(number), path)
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError if number == errno.ENOSPC else UnsafeContentError):
        unpacker.unpack(bytes(Tar().file("a")))


def test_writes_that_take_a_part_only(unpacker: Unpacker, monkeypatch: pytest.MonkeyPatch) -> None:
    """write(2) may take fewer bytes than it was given: a fake that always does."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, data[:1000]))
    unpacker.unpack(bytes(Tar().file("a", b"ab" * 2500)))
    assert unpacker.found() == {"a": b"ab" * 2500}
    assert unpacker.tree.files == [File("a", 5000, zlib.crc32(b"ab" * 2500))]


def test_a_folder_that_another_layer_makes_at_the_same_moment(
    unpacker: Unpacker, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.mkdir

    def first(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        real(path, mode, dir_fd=dir_fd)
        real(path, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", first)
    unpacker.unpack(bytes(Tar().file("a/b")))
    assert unpacker.found() == {"a/b": b"x"}


def test_a_checksum_is_that_of_zlib() -> None:
    assert crc32(b"world", crc32(b"hello ")) == zlib.crc32(b"hello world")


# anything at all

names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=80
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
