"""Registries that are open about nothing, or odd about how one logs in: others' products, as they behave."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kit_conformance.testbed.registry.auth import Auth, Bearer, errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit_conformance.testbed.registry.wire import Request, Response


@dataclass
class Hiding:
    """Tells strangers that there is nothing (404), or that it is not for them (403), without a challenge.

    Nexus, Artifactory, Quay and GitLab can be set up so. A login that is sent is looked at as `auth` does; `/v2/` has
    its challenge, or with `asks` off nothing has.
    """

    auth: Auth
    status: int = 404
    asks: bool = True

    def refuse(self, request: Request, base: str) -> Response | None:
        refusal = self.auth.refuse(request, base)
        if refusal is None or "authorization" in request.headers:
            return refusal
        if request.kind == "ping":
            return refusal if self.asks else None
        return errors(self.status, "NAME_UNKNOWN" if self.status == 404 else "DENIED", "not for you")

    def token(self, request: Request) -> Response | None:
        return self.auth.token(request)


@dataclass
class Harbor(Bearer):
    """Asks for Basic after any Authorization that it does not take, and for a token only those who sent none."""

    def refuse(self, request: Request, base: str) -> Response | None:
        refusal = super().refuse(request, base)
        if refusal is None or "authorization" not in request.headers:
            return refusal
        return errors(
            401,
            "UNAUTHORIZED",
            "unauthorized to access repository",
            {"WWW-Authenticate": 'Basic realm="harbor"'},
        )


@dataclass
class Spelled:
    """Writes its challenge as `how` says, in one header field or in two."""

    auth: Auth
    how: Callable[[str], tuple[str, ...]]

    def refuse(self, request: Request, base: str) -> Response | None:
        refusal = self.auth.refuse(request, base)
        if refusal is None:
            return None
        # names that differ in their letters alone are one field, which comes more than once
        names = ("WWW-Authenticate", "www-authenticate")
        fields = self.how(refusal.headers["WWW-Authenticate"])
        others = {name: value for name, value in refusal.headers.items() if name not in names}
        return replace(refusal, headers={**others, **dict(zip(names, fields, strict=False))})

    def token(self, request: Request) -> Response | None:
        return self.auth.token(request)


# How else a challenge may be written (RFC 9110, 11.6.1), that of Bearer being the same every time.
SPELLINGS: dict[str, Callable[[str], tuple[str, ...]]] = {
    "one before in the same field": lambda challenge: (f'Basic realm="r, \\"x\\"", {challenge}',),
    "one behind in the same field": lambda challenge: (f'{challenge}, Basic realm="r"',),
    "a token behind the scheme": lambda challenge: (f"Negotiate YWJj==, {challenge}",),
    "two fields": lambda challenge: ('Basic realm="r"', challenge),
    "blanks around the equals": lambda challenge: (challenge.replace("=", " = ").replace(",", " ,\t"),),
    "empty members": lambda challenge: (f", ,{challenge.replace(',', ',, ')},",),
    "quoted pairs": lambda challenge: (challenge.replace("/token", "/\\t\\oken"),),
    "capitals": lambda challenge: (challenge.replace("Bearer realm", "BEARER REALM"),),
}
