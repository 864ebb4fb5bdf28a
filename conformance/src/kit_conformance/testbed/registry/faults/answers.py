"""Answers and headers that are refusals, or lies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from kit_conformance.testbed.registry.auth import Bearer, errors
from kit_conformance.testbed.registry.faults.base import Exchange, Fault
from kit_conformance.testbed.registry.wire import Memory, Response

if TYPE_CHECKING:
    from kit_conformance.testbed.registry.wire import Request

_CODES: Final = {
    401: "UNAUTHORIZED",
    403: "DENIED",
    404: "NOT_FOUND",
    405: "UNSUPPORTED",
    429: "TOOMANYREQUESTS",
}


@dataclass(frozen=True)
class Status(Fault):
    """A status with an error body, instead of the answer; `retry_after` in seconds or as an HTTP date."""

    status: int = 503
    retry_after: str = ""
    code: str = ""
    message: str = "injected"

    def answer(self, exchange: Exchange) -> Response:
        del exchange
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return errors(self.status, self.code or _CODES.get(self.status, "UNKNOWN"), self.message, headers)


@dataclass(frozen=True)
class Text(Fault):
    """Text that is not the protocol's, with a status: a proxy's own words, or a login page with 200."""

    status: int
    body: bytes
    media_type: str = "text/plain"

    def answer(self, exchange: Exchange) -> Response:
        del exchange
        return Response(self.status, {"Content-Type": self.media_type}, Memory(self.body))


@dataclass(frozen=True)
class ExpireTokens(Fault):
    """Every token given out so far is no longer valid, as at this request."""

    def answer(self, exchange: Exchange) -> Response | None:
        if not isinstance(exchange.auth, Bearer):
            raise TypeError("ExpireTokens needs a registry with Bearer")
        exchange.auth.revoke()
        return exchange.auth.refuse(exchange.request, exchange.base)


@dataclass(frozen=True)
class NoHead(Fault):
    """HEAD is not supported (405)."""

    def concerns(self, request: Request) -> bool:
        return request.method == "HEAD"

    def answer(self, exchange: Exchange) -> Response:
        del exchange
        return errors(405, "UNSUPPORTED", "HEAD is not supported here")


@dataclass(frozen=True)
class NoRange(Fault):
    """A Range is ignored: 200 with the whole content, and no Accept-Ranges."""

    def amend(self, exchange: Exchange, response: Response) -> Response:
        del exchange
        headers = {
            name: value
            for name, value in response.headers.items()
            if name not in {"Accept-Ranges", "Content-Range"}
        }
        if response.status != 206:
            return replace(response, headers=headers)
        return replace(response, status=200, headers=headers, start=0, stop=None)


@dataclass(frozen=True)
class Header(Fault):
    """A response header has this value; None removes it. Only on responses that are no errors."""

    name: str
    value: str | None

    def amend(self, exchange: Exchange, response: Response) -> Response:
        del exchange
        if response.status >= 300:
            return response
        headers = {
            name: value for name, value in response.headers.items() if name.lower() != self.name.lower()
        }
        return replace(
            response, headers=headers if self.value is None else {**headers, self.name: self.value}
        )


def wrong_digest_header(value: str = "sha256:" + "0" * 64) -> Header:
    """Return the fault of a Docker-Content-Digest that is not the content's."""
    return Header("Docker-Content-Digest", value)


def no_digest_header() -> Header:
    """Return the fault (which the specification allows) of no Docker-Content-Digest."""
    return Header("Docker-Content-Digest", None)


@dataclass(frozen=True)
class WrongLength(Fault):
    """Content-Length is too large by so many bytes (the body ends early), or too small (negative)."""

    by: int

    def amend(self, exchange: Exchange, response: Response) -> Response:
        del exchange
        claimed = max(0, response.length + self.by)
        return replace(response, headers={**response.headers, "Content-Length": str(claimed)})


@dataclass(frozen=True)
class WrongContentRange(Fault):
    """A 206 brings other bytes than were asked for: those `by` bytes later, and says so.

    With `lie` only the header is wrong.
    """

    by: int = 1
    lie: bool = False

    def concerns(self, request: Request) -> bool:
        return request.method == "GET" and "range" in request.headers

    def amend(self, exchange: Exchange, response: Response) -> Response:
        del exchange
        if response.status != 206:
            return response
        size = response.content.size
        start, stop = min(response.start + self.by, size - 1), min(response.end + self.by, size)
        headers = {**response.headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"}
        return (
            replace(response, headers=headers)
            if self.lie
            else replace(response, headers=headers, start=start, stop=stop)
        )


@dataclass(frozen=True)
class Chunked(Fault):
    """The body comes in chunked transfer encoding, without a Content-Length."""

    def amend(self, exchange: Exchange, response: Response) -> Response:
        del exchange
        return replace(response, chunked=response.status != 204)
