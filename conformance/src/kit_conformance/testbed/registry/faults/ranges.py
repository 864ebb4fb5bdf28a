"""Servers that serve ranges in their own way, or refuse them instead of passing over them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from kit_conformance.testbed.registry.auth import errors
from kit_conformance.testbed.registry.faults.base import Exchange, Fault
from kit_conformance.testbed.registry.wire import Memory, Response

if TYPE_CHECKING:
    from kit_conformance.testbed.registry.wire import Request

_BOUNDARY: Final = "part-of-a-blob"


@dataclass(frozen=True)
class RefuseRange(Fault):
    """A range is refused with this status; with `without_end` only one of the form `bytes=N-`.

    The registry in go-containerregistry (`crane registry serve`) answers 416 to a range without an end.
    """

    status: int = 416
    without_end: bool = False

    def concerns(self, request: Request) -> bool:
        wanted = request.headers.get("range", "")
        return request.method == "GET" and (wanted.endswith("-") if self.without_end else bool(wanted))

    def answer(self, exchange: Exchange) -> Response:
        del exchange
        return errors(self.status, "RANGE_INVALID", "no such range")


@dataclass(frozen=True)
class EarlierRange(Fault):
    """A 206 begins where a block of so many bytes begins, and says so: at or before what was asked for."""

    block: int = 64 * 1024

    def amend(self, exchange: Exchange, response: Response) -> Response:
        del exchange
        if response.status != 206:
            return response
        start = response.start // self.block * self.block
        where = f"bytes {start}-{response.end - 1}/{response.content.size}"
        return replace(response, start=start, headers={**response.headers, "Content-Range": where})


@dataclass(frozen=True)
class Multipart(Fault):
    """A single range is answered as several would be: 206 with multipart/byteranges (RFC 9110, 14.6)."""

    def amend(self, exchange: Exchange, response: Response) -> Response:
        del exchange
        if response.status != 206:
            return response
        where = response.headers["Content-Range"]
        part = b"".join(response.content.chunks(response.start, response.end))
        head = f"--{_BOUNDARY}\r\nContent-Type: application/octet-stream\r\nContent-Range: {where}\r\n\r\n"
        body = head.encode() + part + f"\r\n--{_BOUNDARY}--\r\n".encode()
        headers = {name: text for name, text in response.headers.items() if name != "Content-Range"}
        headers["Content-Type"] = f"multipart/byteranges; boundary={_BOUNDARY}"
        return Response(206, headers, Memory(body))
