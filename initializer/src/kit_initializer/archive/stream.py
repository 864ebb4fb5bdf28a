"""A forward-only view of chunks of bytes, read in whatever portions the format asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_initializer.errors import UnsafeContentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_EMPTY = memoryview(b"")


class Stream:
    """Chunks, one after the other. A chunk may be reused by its owner once the next one is asked for."""

    __slots__ = ("_at", "_chunk", "_chunks", "what")

    def __init__(self, chunks: Iterable[memoryview], what: str) -> None:
        self._chunks = iter(chunks)
        self._chunk = _EMPTY
        self._at = 0
        self.what = what

    def _next(self) -> bool:
        for chunk in self._chunks:
            if len(chunk):
                self._chunk, self._at = chunk, 0
                return True
        self._chunk, self._at = _EMPTY, 0
        return False

    def take(self, count: int) -> bytes:
        """Return exactly `count` bytes; UnsafeContentError when the stream ends before."""
        at = self._at
        if at + count <= len(self._chunk):
            self._at = at + count
            return bytes(self._chunk[at : at + count])
        return b"".join([bytes(part) for part in self.parts(count)])

    def parts(self, count: int) -> Iterator[memoryview]:
        """Yield views that together are exactly the next `count` bytes; UnsafeContentError when they are not there."""
        while count:
            left = len(self._chunk) - self._at
            if not left:
                if not self._next():
                    raise UnsafeContentError(f"{self.what} ends early: {count} more bytes were announced")
                continue
            portion = min(left, count)
            view = self._chunk[self._at : self._at + portion]
            self._at += portion
            count -= portion
            yield view

    def skip(self, count: int) -> None:
        """Pass over exactly `count` bytes."""
        for _ in self.parts(count):
            pass

    def rest(self) -> Iterator[memoryview]:
        """Yield all that is left."""
        while self._at < len(self._chunk) or self._next():
            view = self._chunk[self._at :]
            self._at = len(self._chunk)
            yield view
