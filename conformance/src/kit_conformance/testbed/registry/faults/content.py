"""Contents that are not what their digest says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kit_conformance.testbed.registry.faults.base import BodyFault, Exchange
from kit_conformance.testbed.registry.wire import Content, Memory, Response

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class _Flipped:
    content: Content
    at: int

    @property
    def size(self) -> int:
        return self.content.size

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        position = start
        for chunk in self.content.chunks(start, stop):
            if position <= self.at < position + len(chunk):
                changed = bytearray(chunk)
                changed[self.at - position] ^= 0xFF
                yield bytes(changed)
            else:
                yield chunk
            position += len(chunk)


@dataclass(frozen=True)
class Tamper(BodyFault):
    """One byte of the content is another one: that at `offset`, counted from the end if negative.

    Ranges get the same changed byte. Headers stay what they were.
    """

    offset: int = 0

    def amend(self, exchange: Exchange, response: Response) -> Response:
        del exchange
        if response.status not in {200, 206} or not response.content.size:
            return response
        return replace(response, content=_Flipped(response.content, self.offset % response.content.size))


@dataclass(frozen=True)
class Replace(BodyFault):
    """Other content altogether, with headers that still claim the old digest; of equal size if so made."""

    data: bytes

    def amend(self, exchange: Exchange, response: Response) -> Response:
        del exchange
        if response.status not in {200, 206}:
            return response
        stop = None if response.stop is None else min(response.stop, len(self.data))
        return replace(response, content=Memory(self.data), stop=stop)
