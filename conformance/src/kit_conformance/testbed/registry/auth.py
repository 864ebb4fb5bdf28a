"""Who may do what: Basic, and Bearer with a token endpoint of its own."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import parse_qsl

from kit_conformance.testbed.registry.wire import Memory, Request, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN_PATH: Final = "/token"  # noqa: S105  (a path, not a token)


class Auth(Protocol):
    """How a registry knows its clients."""

    def refuse(self, request: Request, base: str) -> Response | None:
        """Return the 401 for a request that may not be answered; None lets it pass. `base` is our own URL."""

    def token(self, request: Request) -> Response | None:
        """Answer a request to the token endpoint; None when there is no such endpoint."""


def errors(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with the error body of the distribution specification."""
    body = json.dumps({"errors": [{"code": code, "message": message, "detail": None}]}).encode()
    return Response(status, {"Content-Type": "application/json", **(headers or {})}, Memory(body))


def user_of(request: Request) -> tuple[str, str] | None:
    """Return user name and password of an Authorization header; None when it has none."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, password) if colon else None


@dataclass(frozen=True)
class Basic:
    """HTTP Basic with the given users (name to password), as an htpasswd file would have it."""

    users: Mapping[str, str]
    realm: str = "fixture"

    def refuse(self, request: Request, base: str) -> Response | None:
        del base
        user = user_of(request)
        if user is not None and self.users.get(user[0]) == user[1]:
            return None
        return errors(
            401,
            "UNAUTHORIZED",
            "authentication required",
            {"WWW-Authenticate": f'Basic realm="{self.realm}"'},
        )

    def token(self, request: Request) -> None:
        del request


@dataclass
class _Token:
    scopes: frozenset[tuple[str, str]]  # (repository, action)
    expires: float
    uses: int | None


@dataclass
class Bearer:
    """Docker's token authentication.

    `users` may have tokens for any repository; with `anonymous` everybody may have tokens to pull. A token is
    good for `expires_in` seconds and for `uses` requests (None: any number). `identity_tokens` are refresh
    tokens that stand for a user without a password, exchanged by POST; GET with `offline_token=true` hands
    one out, too. With `elsewhere` the token endpoint is on the registry's second origin, as at registries
    that run it on another host.
    """

    users: Mapping[str, str] = field(default_factory=dict)
    expires_in: float = 300.0
    uses: int | None = None
    anonymous: bool = False
    identity_tokens: set[str] = field(default_factory=set)
    elsewhere: bool = False
    service: str = "fixture"
    issued: int = 0
    _tokens: dict[str, _Token] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def revoke(self) -> None:
        """Let every token given out so far expire now."""
        with self._lock:
            self._tokens.clear()

    def refuse(self, request: Request, base: str) -> Response | None:
        action = "pull" if request.method in {"GET", "HEAD"} else "push"
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        problem = ""
        if scheme.lower() == "bearer":
            problem = self._use(value, request.repository, action)
            if not problem:
                return None
        challenge = f'Bearer realm="{base}{TOKEN_PATH}",service="{self.service}"'
        if request.repository:
            actions = "pull" if action == "pull" else "pull,push"
            challenge += f',scope="repository:{request.repository}:{actions}"'
        if problem:
            challenge += f',error="{problem}"'
        return errors(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": challenge})

    def _use(self, value: str, repository: str, action: str) -> str:
        with self._lock:
            token = self._tokens.get(value)
            if token is None or token.expires <= time.monotonic() or token.uses == 0:
                return "invalid_token"
            if repository and (repository, action) not in token.scopes:
                return "insufficient_scope"
            if token.uses is not None:
                token.uses -= 1
        return ""

    def token(self, request: Request) -> Response:
        if request.method == "POST":
            return self._post(dict(parse_qsl(request.body.read().decode("latin-1"), keep_blank_values=True)))
        user = user_of(request)
        known = user is not None and self.users.get(user[0]) == user[1]
        if (user is not None or not self.anonymous) and not known:
            return errors(401, "UNAUTHORIZED", "authentication required")
        parameters = request.parameters
        scopes = [value for name, value in parse_qsl(request.query) if name == "scope"]
        refresh = known and parameters.get("offline_token") == "true"
        return self._issue(scopes, may_push=known, name="token", refresh=refresh)

    def _post(self, form: Mapping[str, str]) -> Response:
        known = {
            "refresh_token": form.get("refresh_token") in self.identity_tokens,
            "password": form.get("username", "") in self.users
            and self.users[form.get("username", "")] == form.get("password"),
        }.get(form.get("grant_type", ""), False)
        if not known:
            return errors(401, "UNAUTHORIZED", "the grant is not valid")
        refresh = form.get("access_type") == "offline"
        return self._issue(form.get("scope", "").split(), may_push=True, name="access_token", refresh=refresh)

    def _issue(self, scopes: list[str], *, may_push: bool, name: str, refresh: bool) -> Response:
        granted: set[tuple[str, str]] = set()
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            repository, _, actions = rest.rpartition(":")
            if kind == "repository":
                granted |= {(repository, each) for each in actions.split(",") if each == "pull" or may_push}
        value = secrets.token_urlsafe(24)
        answer: dict[str, object] = {name: value, "expires_in": max(1, round(self.expires_in))}
        with self._lock:
            self.issued += 1
            self._tokens[value] = _Token(frozenset(granted), time.monotonic() + self.expires_in, self.uses)
            if refresh:
                answer["refresh_token"] = secrets.token_urlsafe(24)
                self.identity_tokens.add(str(answer["refresh_token"]))
        return Response(200, {"Content-Type": "application/json"}, Memory(json.dumps(answer).encode()))
