"""Contents that are not what their digest says, or not as they were packed."""

from __future__ import annotations

import gzip
import zlib
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


@dataclass(frozen=True)
class Compressed(BodyFault):
    """The whole content is compressed on the way, and `encoding` says so; nobody has asked for it.

    As proxies do it: in chunks, or with the length of what is sent. With `truly` off only the header is there.
    """

    encoding: str = "gzip"
    chunked: bool = True
    truly: bool = True

    def amend(self, exchange: Exchange, response: Response) -> Response:
        del exchange
        if response.status not in {200, 206}:
            return response
        if not self.truly:
            return replace(response, headers={**response.headers, "Content-Encoding": self.encoding})
        dropped = {"Accept-Ranges", "Content-Range", "Content-Length"}
        headers = {name: text for name, text in response.headers.items() if name not in dropped}
        headers["Content-Encoding"] = self.encoding
        whole = b"".join(response.content.chunks(0, response.content.size))
        sent = zlib.compress(whole, 1) if self.encoding == "deflate" else gzip.compress(whole, 1)
        return Response(200, headers, Memory(sent), chunked=self.chunked)
