"""Redirects, as registries before object stores send them, and those that nobody should follow."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote
from xml.sax.saxutils import escape

from kit_conformance.testbed.registry.faults.base import Exchange, Fault
from kit_conformance.testbed.registry.protocol import CONTENT_PATH
from kit_conformance.testbed.registry.wire import Memory, Request, Response


@dataclass(frozen=True)
class Redirect(Fault):
    """Blobs are on the second origin, or (`same`) at another path of this one (`relative` or not).

    What the Location leads to needs no authentication and, as at object stores, refuses an Authorization
    header (400).
    """

    status: int = 307
    same: bool = False
    relative: bool = False

    def concerns(self, request: Request) -> bool:
        of_blob = request.kind in {"blob", "config"} and request.method in {"GET", "HEAD"}
        return of_blob and not request.redirected

    def answer(self, exchange: Exchange) -> Response:
        request = exchange.request
        path = f"{CONTENT_PATH}/{quote(request.repository)}/{request.reference}?signature=0123456789abcdef"
        base = exchange.base if self.same else exchange.elsewhere
        return Response(self.status, {"Location": path if self.same and self.relative else base + path})


@dataclass(frozen=True)
class RedirectTo(Fault):
    """A redirect to any URL at all."""

    location: str
    status: int = 307

    def answer(self, exchange: Exchange) -> Response:
        del exchange
        return Response(self.status, {"Location": self.location})


@dataclass(frozen=True)
class RedirectLoop(Fault):
    """A redirect to the same URL, for ever."""

    status: int = 307

    def answer(self, exchange: Exchange) -> Response:
        return Response(
            self.status, {"Location": f"{exchange.base}{quote(exchange.request.path, safe='/:')}"}
        )


@dataclass(frozen=True)
class StoreRefusal(Fault):
    """A refusal in XML, as object stores send it; its reason and its message repeat the query of the address."""

    status: int = 403
    code: str = "AccessDenied"
    message: str = "Request has expired"

    def answer(self, exchange: Exchange) -> Response:
        query = exchange.request.query
        text = f"<Error><Code>{self.code}</Code><Message>{self.message}: {escape(query)}</Message></Error>"
        content = Memory(f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode())
        headers = {"Content-Type": "application/xml"}
        return Response(self.status, headers, content, reason=f"Refused {query}")
