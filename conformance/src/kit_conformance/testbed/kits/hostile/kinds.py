"""Entries that are neither files nor folders, and entries that clash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_conformance.testbed.kits import tars
from kit_conformance.testbed.kits.hostile.base import ESCAPE, GOOD, OUTSIDE, fine, good, unsafe
from kit_conformance.testbed.kits.pack import assemble, layer
from kit_conformance.testbed.kits.tars import Header, Tar, extended

if TYPE_CHECKING:
    from kit_conformance.testbed.kits.values import ModelKit


def _link(kind: bytes, name: bytes, target: str) -> Tar:
    return good().add(Header(name, kind=kind, link=target.encode()))


def _kind(kind: bytes, content: bytes = b"") -> Tar:
    return good().add(Header(b"thing", len(content), kind=kind, major=1, minor=3), content)


def _sparse(version: str) -> Tar:
    records = {
        "0.1": {"GNU.sparse.size": "1048576", "GNU.sparse.numblocks": "1", "GNU.sparse.map": "0,1"},
        "1.0": {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": "sparse",
            "GNU.sparse.realsize": "1048576",
        },
    }[version]
    return (
        good().raw(extended(records)).file("GNUSparseFile.0/sparse", b"1\n0\n1\n".ljust(512, b"\x00") + b"x")
    )


def _two_layers(first: Tar, second: Tar) -> ModelKit:
    blobs = [layer(bytes(first), "model"), layer(bytes(second), "docs")]
    model, docs = ({"digest": blob.digest, "diffId": blob.diff_id} for blob in blobs)
    config = {
        "manifestVersion": "1.0.0",
        "package": {},
        "model": {"path": ".", **model},
        "docs": [{"path": "./", **docs}],
    }
    return assemble(config, blobs)


KINDS = (
    unsafe(
        "link-absolute",
        "a symbolic link to a file of the node",
        lambda: _link(tars.SYMLINK, b"l", "/etc/passwd"),
    ),
    unsafe(
        "link-parent", "a symbolic link out of the destination", lambda: _link(tars.SYMLINK, b"l", "../..")
    ),
    unsafe(
        "link-inside",
        "a symbolic link within the kit: Kit packs none",
        lambda: _link(tars.SYMLINK, b"l", "good.txt"),
    ),
    unsafe(
        "link-write-through",
        "a symbolic link, then a file through it",
        lambda: _link(tars.SYMLINK, b"l", "..").file(f"l/{ESCAPE}"),
    ),
    unsafe(
        "link-replace",
        "a symbolic link, then a file of its name",
        lambda: _link(tars.SYMLINK, b"l", OUTSIDE).file("l"),
    ),
    unsafe("link-hard", "a hard link to a file of the node", lambda: _link(tars.LINK, b"l", "/etc/passwd")),
    unsafe("link-hard-inside", "a hard link within the kit", lambda: _link(tars.LINK, b"l", "good.txt")),
    unsafe(
        "link-gnu-long",
        "a symbolic link whose target is a GNU long link",
        lambda: (
            good()
            .raw(tars.long_name(OUTSIDE.encode(), kind=tars.GNU_LONG_LINK))
            .add(Header(b"l", kind=tars.SYMLINK))
        ),
    ),
    unsafe("kind-fifo", "a FIFO, at which a reader waits for ever", lambda: _kind(tars.FIFO)),
    unsafe("kind-character", "a character device", lambda: _kind(tars.CHARACTER)),
    unsafe("kind-block", "a block device", lambda: _kind(tars.DEVICE)),
    unsafe(
        "kind-contiguous",
        "a contiguous file",
        lambda: _kind(tars.CONTIGUOUS, b"x"),
        brings={"good.txt": GOOD, "thing": b"x"},
    ),
    unsafe("kind-sparse-gnu", "a sparse file of GNU's old format", lambda: _kind(tars.GNU_SPARSE, b"x")),
    unsafe("kind-sparse-pax-0.1", "a sparse file of GNU's PAX format 0.1", lambda: _sparse("0.1")),
    unsafe(
        "kind-sparse-pax-1.0",
        "a sparse file of GNU's PAX format 1.0",
        lambda: _sparse("1.0"),
        brings={"good.txt": GOOD},
    ),
    unsafe("kind-volume", "a volume label", lambda: _kind(b"V"), brings={"good.txt": GOOD}),
    unsafe("kind-multivolume", "the continuation of another volume", lambda: _kind(b"M")),
    unsafe(
        "kind-dumpdir",
        "a folder of an incremental dump, which lists what to delete",
        lambda: _kind(b"D", b"Dgood.txt\x00\x00"),
    ),
    unsafe("kind-unknown", "a type that nobody knows", lambda: _kind(b"Z", b"x")),
    unsafe(
        "kind-pax-global",
        "a PAX header for all that follows: it names each file anew",
        lambda: good().raw(extended({"path": f"../{ESCAPE}"}, kind=tars.PAX_GLOBAL)).file("a"),
    ),
    unsafe(
        "kind-pax-global-comment",
        "a PAX header for all that follows, with a comment alone (git archive writes it)",
        lambda: good().raw(extended({"comment": "x"}, kind=tars.PAX_GLOBAL)).file("a"),
        brings={"good.txt": GOOD, "a": b"x"},
    ),
    unsafe(
        "kind-folder-content",
        "a folder with content, which some skip and some read as headers",
        lambda: good().add(Header(b"d", 512, kind=tars.DIRECTORY), Header(f"../{ESCAPE}".encode()).block()),
    ),
    unsafe(
        "clash-different",
        "a file twice, with different contents",
        lambda: good().file("good.txt", b"another content"),
    ),
    unsafe(
        "clash-equal",
        "a file twice, with the same content",
        lambda: good().file("good.txt", GOOD),
        brings={"good.txt": GOOD},
    ),
    unsafe("clash-dot", "a file twice, once behind ./", lambda: good().file("./good.txt", b"other")),
    unsafe("clash-file-folder", "a file, then a folder of its name", lambda: good().directory("good.txt")),
    unsafe("clash-folder-file", "a folder, then a file of its name", lambda: good().directory("d").file("d")),
    unsafe("clash-file-parent", "a file, then a file below it", lambda: good().file("good.txt/x")),
    unsafe(
        "clash-layers",
        "two layers with the same file and different contents",
        lambda: _two_layers(good(), Tar().file("good.txt", b"another content")),
    ),
    fine(
        "odd-folder-twice",
        "a folder in every layer that has something in it, as Kit packs them",
        lambda: _two_layers(Tar().directory("d").file("d/a"), Tar().directory("d").file("d/b")),
        {"d/a": b"x", "d/b": b"x"},
    ),
    fine(
        "odd-mode-setuid",
        "a setuid file: the bit is dropped",
        lambda: good().file("s", mode=0o4755),
        {"good.txt": GOOD, "s": b"x"},
    ),
    fine(
        "odd-mode-none",
        "a file that nobody may read",
        lambda: good().file("n", mode=0),
        {"good.txt": GOOD, "n": b"x"},
    ),
    fine(
        "odd-mode-folder",
        "a folder that may not be written, with a file in it",
        lambda: good().directory("d", mode=0o555).file("d/f"),
        {"good.txt": GOOD, "d/f": b"x"},
    ),
    fine(
        "odd-empty-file",
        "a file without content",
        lambda: good().file("e", b""),
        {"good.txt": GOOD, "e": b""},
    ),
)
