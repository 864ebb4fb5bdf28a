"""Decompressors that hand out bounded chunks, in bounded memory, and count what comes out of them."""

from __future__ import annotations

import zlib as _zlib
from typing import TYPE_CHECKING, Any

from kit_initializer.archive.limits import Windows
from kit_initializer.errors import NotAModelKitError, UnsafeContentError
from kit_initializer.formats import GZIP, ZSTD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

    from kit_initializer.archive.limits import Limits

# Large enough that a call costs nothing beside its work, small enough to stay in the processor's cache.
_OUTPUT_BYTES = 256 * 1024
# Behind the end of a member or frame the decoder copies all that it was given: so it is given little there.
_SLICE_BYTES = 16 * 1024
_GZIP_WBITS = 31
# What the windows of all zstd layers hold together; two of the usual 8 MiB. A larger one is alone.
_WINDOWS = Windows(16 * 1024 * 1024)
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_HEADER_BYTES = 18  # of a zstd frame at most (RFC 8878, 3.1.1.1)


def decompress(
    chunks: Iterable[memoryview], compression: str, limits: Limits, what: str, count: Callable[[int], None]
) -> Iterator[memoryview]:
    """Return the content of `chunks`, in chunks; `count` is told the size of each.

    `compression` is one of `formats.COMPRESSIONS`. Corrupt content, an early end and bytes after the end raise
    UnsafeContentError, and so does whatever `count` refuses.
    """
    return _counted(DECODERS[compression](chunks, limits, what), count)


def _counted(chunks: Iterable[memoryview], count: Callable[[int], None]) -> Iterator[memoryview]:
    for chunk in chunks:
        count(len(chunk))
        yield chunk


def _fastest_zlib() -> ModuleType:
    try:  # isal is 1.5 times as fast on weights
        from isal import isal_zlib  # noqa: PLC0415 - only kits that are compressed pay for it
    except ImportError:  # pragma: no cover - platforms without a build of isal
        return _zlib
    return isal_zlib


def _plain(chunks: Iterable[memoryview], _limits: Limits, _what: str) -> Iterator[memoryview]:
    return iter(chunks)


def _gzip(chunks: Iterable[memoryview], _limits: Limits, what: str) -> Iterator[memoryview]:
    """Read gzip, members one after the other as RFC 1952 allows."""
    zlib, source, begun = _fastest_zlib(), _Source(chunks), False
    while source.peek(1):
        begun = True
        yield from _member(zlib, source, what)
    if not begun:
        raise UnsafeContentError(f"{what} ends in the middle of its gzip stream")


def _member(zlib: ModuleType, source: _Source, what: str) -> Iterator[memoryview]:
    decoder = zlib.decompressobj(wbits=_GZIP_WBITS)
    data: memoryview | bytes = b""
    more = False  # the input is used up, but the decoder may hold more than it was allowed to hand out
    while not decoder.eof:
        if not data and not more:
            data = source.take()
            if not data:
                raise UnsafeContentError(f"{what} ends in the middle of its gzip stream")
        try:
            output = decoder.decompress(data, _OUTPUT_BYTES)
        except zlib.error as error:
            raise UnsafeContentError(f"{what} is not valid gzip: {error}") from error
        data = decoder.unconsumed_tail
        more = len(output) == _OUTPUT_BYTES
        if output:
            yield memoryview(output)
    source.give_back(decoder.unused_data)


def _zstd(chunks: Iterable[memoryview], limits: Limits, what: str) -> Iterator[memoryview]:
    """Read zstd frames (RFC 8878); a frame's window is held in memory while it is read."""
    zstd = _zstd_module(what)
    source = _Source(chunks)
    while head := source.peek(_HEADER_BYTES):
        with _WINDOWS.hold(min(_window(head), 1 << limits.zstd_window_log)):
            yield from _frame(zstd, source, limits, what)


def _frame(zstd: Any, source: _Source, limits: Limits, what: str) -> Iterator[memoryview]:  # noqa: ANN401
    options = {zstd.DecompressionParameter.window_log_max: limits.zstd_window_log}
    decoder = zstd.ZstdDecompressor(options=options)
    while not decoder.eof:
        data = source.take() if decoder.needs_input else memoryview(b"")
        if decoder.needs_input and not data:
            raise UnsafeContentError(f"{what} ends in the middle of its zstd stream")
        try:
            output = decoder.decompress(data, _OUTPUT_BYTES)
        except zstd.ZstdError as error:
            raise UnsafeContentError(f"{what} is not valid zstd: {error}") from error
        if output:
            yield memoryview(output)
    source.give_back(decoder.unused_data)


DECODERS: dict[str, Callable[[Iterable[memoryview], Limits, str], Iterator[memoryview]]] = {
    "": _plain,
    GZIP: _gzip,
    ZSTD: _zstd,
}


class _Source:
    """Chunks that can be looked at ahead, and given back in part."""

    def __init__(self, chunks: Iterable[memoryview]) -> None:
        self._chunks = iter(chunks)
        self._ahead = memoryview(b"")
        self._sliced = False

    def peek(self, count: int) -> bytes:
        """Return the next bytes, as many as there are, without taking them."""
        while len(self._ahead) < count:
            held = bytes(self._ahead)  # a chunk is only good until the next one is asked for
            following = next(self._chunks, None)
            if following is None:
                self._ahead = memoryview(held)
                break
            self._ahead = memoryview(held + bytes(following)) if held else following
            self._sliced = False
        return bytes(self._ahead[:count])

    def take(self) -> memoryview:
        """Return what comes next, b"" at the end."""
        if not self._ahead:
            self._sliced = False
            self._ahead = next(self._chunks, memoryview(b""))
        step = _SLICE_BYTES if self._sliced else len(self._ahead)
        taken, self._ahead = self._ahead[:step], self._ahead[step:]
        return taken

    def give_back(self, rest: bytes) -> None:
        """Return what was taken and is not wanted: what follows is taken in slices."""
        self._sliced = True
        if rest and not self._ahead:
            self._ahead = memoryview(rest)
        elif rest:
            self._ahead = memoryview(rest + bytes(self._ahead))


def _window(head: bytes) -> int:
    """Return how much a zstd frame has the decoder hold, in bytes; 0 for one that may be skipped, or is none."""
    if not head.startswith(_ZSTD_MAGIC) or len(head) < 6:
        return 0
    descriptor = head[4]
    if not descriptor & 0x20:  # a window descriptor follows
        exponent, mantissa = head[5] >> 3, head[5] & 7
        base = 1 << (10 + exponent)
        return base + base // 8 * mantissa
    at = 5 + (0, 1, 2, 4)[descriptor & 3]  # a single segment: as large as its content
    length = (1, 2, 4, 8)[descriptor >> 6]
    return int.from_bytes(head[at : at + length], "little") + (256 if length == 2 else 0)


def _zstd_module(what: str) -> Any:  # noqa: ANN401 - one of two modules with one interface
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore] # noqa: PLC0415
    except ImportError:
        try:
            from backports import zstd  # type: ignore[no-redef,unused-ignore] # noqa: PLC0415
        except ImportError as error:  # pragma: no cover - the package depends on it
            raise NotAModelKitError(
                f"{what} is compressed with zstd", hint="install backports.zstd"
            ) from error
    return zstd
