"""Registries that repeat a login, or ask to send it to others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kit_conformance.testbed.registry.auth import errors, user_of
from kit_conformance.testbed.registry.faults.base import Exchange, Fault

if TYPE_CHECKING:
    from kit_conformance.testbed.registry.wire import Request, Response


@dataclass(frozen=True)
class RepeatLogin(Fault):
    """A status whose reason, headers and error body repeat the Authorization that came, decoded too."""

    status: int = 403

    def concerns(self, request: Request) -> bool:
        return "authorization" in request.headers

    def answer(self, exchange: Exchange) -> Response:
        sent = exchange.request.headers["authorization"]
        user = user_of(exchange.request)
        said = sent if user is None else f"{sent} ({user[0]}:{user[1]})"
        response = errors(self.status, said, f"no rights for {said}")
        reason = said.encode().decode("latin-1")
        return replace(response, reason=reason, headers={**response.headers, "X-Refused": reason})


@dataclass(frozen=True)
class Challenge(Fault):
    """Every request is refused with a challenge of Bearer that names this realm and this scope."""

    realm: str
    scope: str = ""

    def answer(self, exchange: Exchange) -> Response:
        scope = self.scope or f"repository:{exchange.request.repository}:pull"
        value = f'Bearer realm="{self.realm}",service="fixture",scope="{scope}"'
        return errors(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": value})

    def concerns(self, request: Request) -> bool:
        return request.kind != "token"
