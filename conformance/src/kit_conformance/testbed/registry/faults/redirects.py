"""Redirects, as registries before object stores send them, and those that nobody should follow."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from kit_conformance.testbed.registry.faults.base import Exchange, Fault
from kit_conformance.testbed.registry.protocol import CONTENT_PATH
from kit_conformance.testbed.registry.wire import Request, Response


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
