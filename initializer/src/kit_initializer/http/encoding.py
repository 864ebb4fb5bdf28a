"""A body that somebody on the way has compressed although nobody asked for it (Content-Encoding, RFC 9110, 8.4)."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from kit_initializer.errors import UnreachableError
from kit_initializer.http.retry import unreachable
from kit_initializer.secret import printable

if TYPE_CHECKING:
    from collections.abc import Callable

_BYTES = 64 * 1024
# What comes in without anything to show for it; a megabyte of empty blocks is no content.
_FRUITLESS_BYTES = 1024 * 1024
_EITHER = 32 + zlib.MAX_WBITS  # gzip or zlib, by the first bytes


class Decoder:
    """Read through `receive` what is compressed by gzip or deflate; `speaker` has sent it.

    What does not begin as such is passed on as it is: some stores have the header on whatever they hold.
    """

    def __init__(self, encoding: str, receive: Callable[[memoryview], int], speaker: str) -> None:
        if encoding.lower() not in {"gzip", "x-gzip", "deflate"}:
            raise UnreachableError(
                f"{speaker} answered with Content-Encoding {printable(encoding, 40)!r}, which was not asked for",
                hint="let proxies before the registry pass on what it sends as it is",
            )
        self._receive = receive
        self._speaker = speaker
        self._buffer = memoryview(bytearray(_BYTES))
        self._waiting = b""
        self._begun = False
        self._inflate = zlib.decompressobj(_EITHER)
        self._raw = False
        self.finished = False

    def readinto(self, view: memoryview) -> int:
        """Put what has come, at least a byte, into `view`; 0 at the end. Raises TransientError."""
        if not self._begun:
            self._begin()
        if self._raw:
            count = min(len(view), len(self._waiting))
            view[:count], self._waiting = self._waiting[:count], self._waiting[count:]
            return count or self._receive(view)
        fruitless = 0
        while not self.finished:
            try:
                data = self._inflate.decompress(self._waiting, len(view))
            except zlib.error as error:
                raise unreachable(self._speaker, f"what is compressed cannot be read: {error}") from error
            self._waiting = self._inflate.unconsumed_tail
            self.finished = self._inflate.eof
            if data:
                view[: len(data)] = data
                return len(data)
            if not self.finished and not self._waiting:
                self._more()
                fruitless += len(self._waiting)
            if fruitless > _FRUITLESS_BYTES:
                raise unreachable(self._speaker, "what is compressed has no content")
        return 0

    def _begin(self) -> None:
        """Receive the first two bytes, by which both formats are known."""
        self._begun = True
        while len(self._waiting) < 2 and not self._raw:
            count = self._receive(self._buffer)
            self._waiting += self._buffer[:count]
            self._raw = not count
        first, second = (*self._waiting[:2], 0, 0)[:2]
        gzip, deflate = (first, second) == (0x1F, 0x8B), first & 15 == 8 and (256 * first + second) % 31 == 0
        self._raw = self._raw or not (gzip or deflate)

    def _more(self) -> None:
        count = self._receive(self._buffer)
        if not count:
            raise unreachable(self._speaker, "what is compressed ends early")
        self._waiting = bytes(self._buffer[:count])
