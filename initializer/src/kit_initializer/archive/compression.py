"""Decompressors that hand out bounded chunks and refuse what expands beyond reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_initializer.errors import NotAModelKitError, UnsafeContentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

    from kit_initializer.archive.limits import Limits

# Large enough that a call costs nothing beside its work, small enough to stay in the processor's cache.
_OUTPUT_BYTES = 256 * 1024
_GZIP_WBITS = 31


def decompress(
    chunks: Iterable[memoryview], compression: str, limits: Limits, what: str
) -> Iterator[memoryview]:
    """Return the content of `chunks`, in chunks.

    `compression` is "", "gzip" or "zstd". Corrupt content, an early end, bytes after the end and too great an
    expansion raise UnsafeContentError.
    """
    if not compression:
        return iter(chunks)
    if compression == "gzip":
        return _gzip(chunks, limits, what)
    if compression == "zstd":
        return _zstd(chunks, limits, what)
    raise NotAModelKitError(
        f"{what} is compressed with {compression!r}, which is not known", hint="use gzip or zstd"
    )


class _Gauge:
    """The ratio of what came out to what went in, held below the limit."""

    __slots__ = ("_limits", "_what", "consumed", "produced")

    def __init__(self, limits: Limits, what: str) -> None:
        self._limits = limits
        self._what = what
        self.consumed = 0
        self.produced = 0

    def add(self, count: int) -> None:
        self.produced += count
        times = self._limits.expansion
        if self.produced > max(self._limits.expansion_floor_bytes, self.consumed * times):
            raise UnsafeContentError(
                f"{self._what} expands more than {times} times: {self.consumed} bytes gave {self.produced}"
            )


def _fastest_zlib() -> ModuleType:
    import zlib  # noqa: PLC0415 - only kits that are compressed pay for it

    try:  # isal is 1.5 times as fast on weights
        from isal import isal_zlib  # noqa: PLC0415
    except ImportError:  # pragma: no cover - platforms without a build of isal
        return zlib
    return isal_zlib


def _gzip(chunks: Iterable[memoryview], limits: Limits, what: str) -> Iterator[memoryview]:
    """Read gzip, members one after the other as RFC 1952 allows."""
    zlib = _fastest_zlib()
    gauge = _Gauge(limits, what)
    decoder = zlib.decompressobj(wbits=_GZIP_WBITS)
    begun = False
    for chunk in chunks:
        gauge.consumed += len(chunk)
        data: memoryview | bytes = chunk
        more = False  # the input is used up, but the decoder may hold more than it was allowed to hand out
        while len(data) or more:
            if decoder.eof:
                decoder = zlib.decompressobj(wbits=_GZIP_WBITS)
            begun = True
            try:
                output = decoder.decompress(data, _OUTPUT_BYTES)
            except zlib.error as error:
                raise UnsafeContentError(f"{what} is not valid gzip: {error}") from error
            gauge.add(len(output))
            data = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
            more = not decoder.eof and len(output) == _OUTPUT_BYTES
            if output:
                yield memoryview(output)
    if not begun or not decoder.eof:
        raise UnsafeContentError(f"{what} ends in the middle of its gzip stream")


def _zstd(chunks: Iterable[memoryview], limits: Limits, what: str) -> Iterator[memoryview]:
    """Read zstd frames (RFC 8878), with the window bounded because it is held in memory."""
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore] # noqa: PLC0415
    except ImportError:
        try:
            from backports import zstd  # type: ignore[no-redef,unused-ignore] # noqa: PLC0415
        except ImportError as error:  # pragma: no cover - the package depends on it
            raise NotAModelKitError(
                f"{what} is compressed with zstd", hint="install backports.zstd"
            ) from error
    options = {zstd.DecompressionParameter.window_log_max: limits.zstd_window_log}
    gauge = _Gauge(limits, what)
    decoder = zstd.ZstdDecompressor(options=options)
    begun = False
    for chunk in chunks:
        gauge.consumed += len(chunk)
        data: bytes | memoryview = chunk
        while len(data) or (begun and not decoder.eof and not decoder.needs_input):
            if decoder.eof:
                decoder = zstd.ZstdDecompressor(options=options)
            begun = True
            try:
                output = decoder.decompress(data, _OUTPUT_BYTES)
            except zstd.ZstdError as error:
                raise UnsafeContentError(f"{what} is not valid zstd: {error}") from error
            gauge.add(len(output))
            data = decoder.unused_data if decoder.eof else b""
            if output:
                yield memoryview(output)
    if begun and not decoder.eof:  # of no content at all, some encoders make no frame at all
        raise UnsafeContentError(f"{what} ends in the middle of its zstd stream")
