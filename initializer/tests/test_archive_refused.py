"""Layers that are refused, each for its own reason."""

from __future__ import annotations

import errno
import gzip
import os
import zlib
from collections.abc import Callable  # noqa: TC003 - in a value's annotation
from typing import TYPE_CHECKING

import pytest

from initializer.tests.unpacking import Unpacker
from kit_conformance.testbed.kits import Header, Tar, hostile, tars
from kit_conformance.testbed.kits.layers import zstd
from kit_initializer import formats, modelkit
from kit_initializer.archive import Limits
from kit_initializer.archive.compression import DECODERS
from kit_initializer.errors import InitializerError, NotAModelKitError, UnsafeContentError
from kit_initializer.listing import Entry

if TYPE_CHECKING:
    from pathlib import Path

    from kit_conformance.testbed.kits.hostile import Hostile


def refused(unpacker: Unpacker, data: bytes, *words: str, compression: str = "") -> None:
    for step in (7, 100_000):
        with pytest.raises(UnsafeContentError) as caught:
            unpacker.unpack(data, compression=compression, step=step, directory=f"at{step}")
        assert str(caught.value).startswith("the layer ")
        for word in words:
            assert word in str(caught.value)


@pytest.mark.parametrize("each", hostile.ALL, ids=str)
def test_hostile_kits(each: Hostile, tmp_path: Path) -> None:
    unpacker = Unpacker(tmp_path / "tree", limits=Limits(bytes=64 << 20))
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
        (limited(members=2), Tar().file("a").directory("b").file("c"), "more than 2 files and folders"),
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


def test_each_compression_has_a_decoder() -> None:
    assert tuple(DECODERS) == formats.COMPRESSIONS


@pytest.mark.parametrize(
    "suffix",
    ["", "tar+", "tar+lz4", "tar+gzip+zstd", "tar.gz", "zip", "Tar", "+gzip", "raw +zstd", "tarx+gzip"],
)
def test_packings_that_nobody_knows(suffix: str) -> None:
    assert formats.packing(suffix) is None


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
    assert list(unpacker.tree.files) == [Entry("a", 5000, zlib.crc32(b"ab" * 2500))]


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
