"""Streams that are broken, end too early or too late, or say what is not so."""

from __future__ import annotations

import gzip
from typing import Final

from kit_conformance.testbed.kits import tars
from kit_conformance.testbed.kits.hostile.base import ESCAPE, GOOD, fine, good, unsafe
from kit_conformance.testbed.kits.hostile.zstd import stored
from kit_conformance.testbed.kits.tars import BLOCK, Header, Tar, extended, padded

_GOOD: Final = {"good.txt": GOOD}


def _size(size: int | bytes, content: bytes = b"x") -> Tar:
    return good().add(Header(b"a", size), content)


def _pax(body: bytes) -> Tar:
    header = Header(b"PaxHeaders.0/x", len(body), tars.PAX, mode=0, uid=0)
    return good().raw(header.block() + padded(body)).file("a")


def _ending(end: bytes) -> Tar:
    tar = good()
    tar.end = end
    return tar


def _smuggled() -> Tar:
    """Content that looks like an entry to those who take the size from the header, not from PAX."""
    hidden = Header(f"../{ESCAPE}".encode()).block()
    return good().raw(extended({"size": str(len(hidden))})).add(Header(b"a", 0), b"").raw(hidden)


def _gzip() -> bytes:
    return gzip.compress(bytes(good()), mtime=0)


STRUCTURE = (
    unsafe(
        "tar-checksum",
        "a header with a wrong checksum",
        lambda: good().add(Header(b"a", 1, checksum=b"000000\x00 "), b"x"),
    ),
    unsafe(
        "tar-checksum-text",
        "a checksum that is no number",
        lambda: good().add(Header(b"a", 1, checksum=b"zzzzzz\x00 "), b"x"),
    ),
    unsafe("tar-size-negative", "a size below zero, in base 256", lambda: _size(tars.base256(-512, 12))),
    unsafe("tar-size-huge", "a size of 2 to the 80, in base 256", lambda: _size(tars.base256(2**80, 12))),
    unsafe("tar-size-octal", "a size that is not octal", lambda: _size(b"0000000009z\x00")),
    unsafe("tar-size-minus", "a size with a sign", lambda: _size(b"-0000000001\x00")),
    unsafe("tar-size-lies", "a size far beyond the stream's end", lambda: _size(8**11 - 1)),
    unsafe(
        "tar-size-overflow",
        "a size that becomes negative when padded to blocks",
        lambda: _size(tars.base256(2**63 - 1, 12)),
    ),
    unsafe(
        "tar-mode-text",
        "a mode that is no number",
        lambda: good().add(Header(b"a", 1, mode=b"rw-r--r-"), b"x"),
        brings={**_GOOD, "a": b"x"},
    ),
    unsafe("tar-nothing", "no bytes at all", lambda: b"", brings={}),
    unsafe("tar-no-tar", "bytes that are no tar", lambda: bytes(range(256)) * 8),
    unsafe(
        "tar-cut-header",
        "the stream ends within a header",
        lambda: bytes(good().data) + Header(b"a", 1).block()[:100],
    ),
    unsafe(
        "tar-cut-content",
        "the stream ends within a file",
        lambda: bytes(good().data) + Header(b"a", 5000).block() + bytes(600),
    ),
    unsafe(
        "tar-cut-padding",
        "the stream ends within a file's padding",
        lambda: bytes(good().data) + Header(b"a", 5).block() + b"12345",
        brings={**_GOOD, "a": b"12345"},
    ),
    unsafe("tar-no-end", "no block of zeros at the end", lambda: _ending(b""), brings=_GOOD),
    unsafe("tar-half-end", "one block of zeros instead of two", lambda: _ending(bytes(BLOCK)), brings=_GOOD),
    unsafe("tar-trailing", "bytes behind the end", lambda: _ending(tars.END + b"garbage"), brings=_GOOD),
    unsafe(
        "tar-trailing-entry",
        "another entry behind the end, for readers that skip zeros",
        lambda: _ending(tars.END + Header(f"../{ESCAPE}".encode()).block() + tars.END),
        brings=_GOOD,
    ),
    unsafe(
        "pax-alone",
        "a PAX header with no entry behind it",
        lambda: good().raw(extended({"path": "a"})),
        brings=_GOOD,
    ),
    unsafe("pax-no-length", "a PAX record without a length", lambda: _pax(b"path=a\n")),
    unsafe("pax-length-zero", "a PAX record of length zero", lambda: _pax(b"0 path=a\n")),
    unsafe("pax-length-long", "a PAX record that ends behind its header", lambda: _pax(b"999 path=a\n")),
    unsafe(
        "pax-length-huge", "a PAX record whose length has 400 digits", lambda: _pax(b"9" * 400 + b" path=a\n")
    ),
    unsafe("pax-no-newline", "a PAX record without its line end", lambda: _pax(b"9 path=ab")),
    unsafe("pax-no-equals", "a PAX record without a value", lambda: _pax(b"7 path\n")),
    unsafe(
        "pax-size-negative", "a PAX size below zero", lambda: good().raw(extended({"size": "-1"})).file("a")
    ),
    unsafe(
        "pax-size-text",
        "a PAX size that is no number",
        lambda: good().raw(extended({"size": "0x10"})).file("a"),
    ),
    unsafe(
        "gzip-checksum",
        "gzip whose own checksum is wrong",
        lambda: _gzip()[:-8] + b"\x00\x00\x00\x00" + _gzip()[-4:],
        suffix="tar+gzip",
        brings=_GOOD,
    ),
    unsafe(
        "gzip-length",
        "gzip whose own length is wrong",
        lambda: _gzip()[:-4] + b"\x01\x00\x00\x00",
        suffix="tar+gzip",
        brings=_GOOD,
    ),
    unsafe("gzip-cut", "gzip that ends in the middle", lambda: _gzip()[:-20], suffix="tar+gzip"),
    unsafe(
        "gzip-trailing",
        "bytes behind the end of gzip",
        lambda: _gzip() + b"garbage",
        suffix="tar+gzip",
        brings=_GOOD,
    ),
    unsafe("gzip-none", "a plain tar that calls itself gzip", lambda: bytes(good()), suffix="tar+gzip"),
    unsafe("gzip-hidden", "gzip that calls itself a plain tar", _gzip),
    unsafe("gzip-nothing", "no bytes at all, as gzip", lambda: b"", suffix="tar+gzip"),
    unsafe(
        "zstd-cut", "zstd that ends in the middle", lambda: stored(bytes(good()))[:-700], suffix="tar+zstd"
    ),
    unsafe("zstd-none", "a plain tar that calls itself zstd", lambda: bytes(good()), suffix="tar+zstd"),
    fine(
        "odd-padding",
        "zeros up to 10 KiB behind the end, as GNU tar and tarfile write them",
        lambda: _ending(bytes(10240 - 1024)),
        _GOOD,
    ),
    fine("odd-base256", "a small size in base 256", lambda: _size(tars.base256(1, 12)), {**_GOOD, "a": b"x"}),
    fine(
        "odd-size-blanks",
        "a size with blanks for zeros",
        lambda: _size(b"          1 "),
        {**_GOOD, "a": b"x"},
    ),
    fine(
        "odd-pax-size",
        "a PAX size over a header's: content that looks like an entry",
        _smuggled,
        {**_GOOD, "a": Header(f"../{ESCAPE}".encode()).block()},
    ),
    fine(
        "odd-gzip-members",
        "gzip of two members",
        lambda: gzip.compress(bytes(good().data), mtime=0) + gzip.compress(tars.END, mtime=0),
        _GOOD,
        suffix="tar+gzip",
    ),
    fine(
        "odd-zstd-stored",
        "zstd that compresses nothing",
        lambda: stored(bytes(good())),
        _GOOD,
        suffix="tar+zstd",
    ),
)
