"""Authorization for one registry: Basic, or a Bearer token from the service the registry names.

Follows the distribution project's token specification. Nothing is sent before the registry asks for it.
"""

from __future__ import annotations

import json
from binascii import b2a_base64
from threading import Lock
from typing import TYPE_CHECKING

from kit_initializer.errors import DeniedError, NotFoundError
from kit_initializer.http.retry import retry_after, unreachable
from kit_initializer.http.url import Origin, origin_of
from kit_initializer.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kit_initializer.credentials import Login
    from kit_initializer.http.transport import Response, Transport

_TOKEN_BYTES = 1024 * 1024
_CLIENT_ID = "kit-initializer"


class Authorizer:
    """What is sent as Authorization to one registry, for one repository. Threads share it."""

    def __init__(
        self, transport: Transport, origin: Origin, repository: str, find: Callable[[], Login | None]
    ) -> None:
        self._transport = transport
        self._origin = origin
        self._scope = f"repository:{repository}:pull"
        self._find = find
        self._login: Login | None = None
        self._asked = False
        self._lock = Lock()
        self._value: Secret | None = None

    @property
    def value(self) -> Secret | None:
        """The header's value, None as long as nothing was asked for."""
        return self._value

    @property
    def login(self) -> Login | None:
        """The credentials that were found when the registry asked."""
        return self._login

    @property
    def source(self) -> str:
        """Where the credentials come from, for a person to read; "" when there are none."""
        return self._login.source if self._login is not None else ""

    def answer(self, challenges: list[str], sent: Secret | None) -> None:
        """Make ready for another try after a 401 that answered a request sent with `sent`.

        Raises DeniedError when nothing better can be sent, TransientError when the token service may recover.
        """
        with self._lock:
            if self._value is not sent:
                return  # another thread has renewed it in the meantime
            if not self._asked:
                self._login, self._asked = self._find(), True
            schemes = dict(parse_challenge(text) for text in challenges)
            if "bearer" in schemes:
                fresh = self._token(schemes["bearer"])
            elif "basic" in schemes and self._login is not None and sent is None:
                fresh = _basic(self._login)
            else:
                raise self.refused()
            if sent is not None and fresh == sent:
                raise self.refused()
            self._value = fresh

    def refused(self, detail: str = "") -> DeniedError:
        """Return the error that says who was refused."""
        said = f" ({detail})" if detail else ""
        repository = self._scope.split(":", 2)[1].removesuffix(":pull")
        if self._login is None:
            return DeniedError(
                f"{self._origin}/{repository} is not open to anonymous pulls{said}",
                hint="give credentials: KIT_USER and KIT_PASSWORD, or a docker config",
            )
        return DeniedError(
            f"{self._origin} refused the credentials from {self.source} for {repository}{said}",
            hint="check the user, the password and the rights to pull",
        )

    def _token(self, parameters: Mapping[str, str]) -> Secret:
        from urllib.parse import quote, urlencode  # noqa: PLC0415 - only for token services

        realm = parameters.get("realm", "")
        service = parameters.get("service", "")
        scope = (
            self._scope
        )  # not the registry's idea of one: a token is good for this repository's pull alone
        login = self._login
        self._check_realm(realm)
        headers: dict[str, str] = {}
        body: bytes | None = None
        if login is not None and login.identity_token is not None:
            form = {
                "grant_type": "refresh_token",
                "service": service,
                "scope": scope,
                "client_id": _CLIENT_ID,
                "refresh_token": login.identity_token.reveal(),
            }
            body = urlencode(form).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            url = realm
        else:
            if login is not None:
                headers["Authorization"] = _basic(login).reveal()
            query = f"service={quote(service, safe='')}&scope={quote(scope, safe='')}"
            url = f"{realm}{'&' if '?' in realm else '?'}{query}"
        with_body = self._transport.request(url, headers, body=body)
        return self._read_token(with_body, origin_of(realm))

    def _read_token(self, response: Response, service: Origin) -> Secret:
        text = response.read(_TOKEN_BYTES)
        if response.status in {400, 401, 403}:
            raise self.refused(f"the token service {service} answered {response.status}")
        if response.status == 404:
            raise NotFoundError(f"the token service {service} of {self._origin} is not there")
        if response.status != 200:
            raise unreachable(
                str(service),
                f"the token service answered {response.status}",
                retry_after_s=retry_after(response.headers.get("Retry-After")),
            )
        try:
            answer = json.loads(text)
            token = answer.get("token") or answer.get("access_token")
        except (ValueError, AttributeError, RecursionError):
            token = None
        if not isinstance(token, str) or not token.isprintable():
            raise unreachable(str(service), "the token service gave no token")
        return Secret(f"Bearer {token}")

    def _check_realm(self, realm: str) -> None:
        """Let a token service be asked only where nobody reads along or answers in its place.

        That holds without a login, too: the registry is handed what the service calls a token, and a realm could be
        any address within the cluster that answers in plain text. Only a registry of plain HTTP may be its token
        service itself, at its own port.
        """
        service = origin_of(realm)
        if service == self._origin:
            return
        if service.scheme == "http":
            raise DeniedError(
                f"{self._origin} names {service} as its token service, which has no TLS",
                hint="a token service at another origin than the registry must have TLS",
            )
        if self._login is not None and self._origin.scheme == "http" and service.host != self._origin.host:
            raise DeniedError(
                f"{self._origin} asks to send its credentials to {service}",
                hint="only a registry with TLS may name another host as its token service",
            )


def _basic(login: Login) -> Secret:
    pair = f"{login.username}:{login.password.reveal()}".encode(errors="surrogateescape")
    return Secret("Basic " + b2a_base64(pair, newline=False).decode())


def parse_challenge(text: str) -> tuple[str, dict[str, str]]:
    """Return the scheme, in lower case, and the parameters of one WWW-Authenticate value (RFC 9110, 11.6.1)."""
    scheme, _, rest = text.strip().partition(" ")
    parameters: dict[str, str] = {}
    at = 0
    while at < len(rest):
        equals = rest.find("=", at)
        if equals < 0:
            break
        name = rest[at:equals].strip(" ,\t").lower()
        at = equals + 1
        if rest[at : at + 1] == '"':
            value, at = _quoted(rest, at + 1)
        else:
            end = rest.find(",", at)
            end = len(rest) if end < 0 else end
            value, at = rest[at:end].strip(), end
        parameters[name] = value
    return scheme.lower(), parameters


def _quoted(text: str, at: int) -> tuple[str, int]:
    letters: list[str] = []
    while at < len(text) and text[at] != '"':
        if text[at] == "\\":
            at += 1
        letters.append(text[at : at + 1])
        at += 1
    return "".join(letters), at + 1
