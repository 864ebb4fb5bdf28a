"""Authorization for one registry: Basic, or a Bearer token from the service the registry names.

Follows the distribution project's token specification. Nothing is sent before the registry asks for it.
"""

from __future__ import annotations

import contextlib
import json
from binascii import b2a_base64
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from kit_initializer.errors import DeniedError, NotFoundError, UnreachableError
from kit_initializer.http.retry import retry_after, unreachable
from kit_initializer.http.url import Origin, join, origin_of
from kit_initializer.registry.challenge import Challenge, parse
from kit_initializer.secret import Secret, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kit_initializer.credentials import Login, Wanted
    from kit_initializer.credentials.logins import Logins
    from kit_initializer.http.transport import Response, Transport

_TOKEN_BYTES = 1024 * 1024
_CLIENT_ID = "kit-initializer"
# What may mean that somebody else would be let in.
_REFUSALS = {401, 403, 404}
_REFUSAL_BYTES = 64 * 1024
_TRIES = 3
_REDIRECTS = 8


class Authorizer:
    """Sends requests to one registry, and logs in there for one repository as it asks. Threads share it."""

    def __init__(
        self,
        transport: Transport,
        origin: Origin,
        wanted: Wanted,
        logins: Logins,
        say: Callable[[str], None],
    ) -> None:
        self._transport = transport
        self._origin = origin
        self._wanted = wanted
        self._logins = logins
        self._say = say
        self._login: Login | None = None
        self._asked = False
        self._lock = Lock()
        self._value: Secret | None = None
        self._service: Mapping[str, str] | None = None  # of the challenge that the token was got by
        self._open = False  # the registry has given something to nobody in particular

    @property
    def login(self) -> Login | None:
        """The credentials that were found when the registry asked."""
        return self._login

    def request(self, url: str, headers: Mapping[str, str]) -> Response:
        """Send a GET to the registry and return its response, after logging in where that is asked for.

        Many registries hide from strangers what they have: 403 or 404 without a challenge. A login that is there is
        used then as well, for what `/v2/` asks for, else as Basic. Raises DeniedError when nothing better can be sent,
        TransientError when the token service may recover.
        """
        for _ in range(_TRIES):
            sent = self._value
            full = headers if sent is None else {**headers, "Authorization": sent.reveal()}
            response = self._transport.request(url, full)
            if response.status not in _REFUSALS:
                self._open = self._open or (sent is None and response.status < 400)
                return response
            if sent is not None and response.status != 401:
                return response
            challenges = response.headers.get_all("WWW-Authenticate")
            if not challenges and sent is None:
                login = None if self._open else self._find()
                challenges = [] if login is None else self._knock()
                if login is None or not (challenges or login.password):
                    return response
            _discard(response)
            self._answer(challenges, sent)
        raise self.refused()

    def refused(self, detail: str = "") -> DeniedError:
        """Return the error that says who was refused."""
        said = f" ({detail})" if detail else ""
        repository = self._wanted.repository
        if self._login is None:
            return DeniedError(
                f"{self._origin}/{repository} is not open to anonymous pulls{said}",
                hint=self._logins.advice(self._wanted),
            )
        return DeniedError(
            f"{self._origin} refused the credentials from {self._login.source} for {repository}{said}",
            hint="check the user, the password and the rights to pull",
        )

    def _find(self) -> Login | None:
        with self._lock:
            if not self._asked:
                self._login, self._asked = self._logins.find(self._wanted), True
            return self._login

    def _knock(self) -> list[str]:
        """Return the challenges of the registry as such, none where it has no objection."""
        response = self._transport.request(f"{self._origin.scheme}://{self._origin}/v2/", {})
        _discard(response)
        return response.headers.get_all("WWW-Authenticate") if response.status == 401 else []

    def _answer(self, fields: list[str], sent: Secret | None) -> None:
        """Make ready for another try after a refusal of a request that was sent with `sent`."""
        login = self._find()
        with self._lock:
            if self._value is not sent:
                return  # another thread has renewed it in the meantime
            fresh = self._better(fields, sent)
            if fresh == sent:
                raise self.refused()
            self._value = fresh
        if login is not None and sent is None:
            self._say(f"{self._origin}: logging in with {login.source}")

    def _better(self, fields: list[str], sent: Secret | None) -> Secret:
        """Return what answers the challenges. Raises DeniedError where that was sent already, or cannot be sent."""
        challenges, unreadable = _parsed(fields)
        services = [
            each.parameters for each in challenges if each.scheme == "bearer" and "realm" in each.parameters
        ]
        # Harbor asks for Basic after any other Authorization, also after a token whose time is over
        service = services[0] if services else self._service
        if service is not None:
            fresh = self._token(service)
            self._service = service
            return fresh
        schemes = {each.scheme for each in challenges}
        if sent is None and self._login is not None and (not fields or "basic" in schemes):
            return _basic(self._login)
        if sent is None and "basic" not in schemes:
            raise self._unanswerable(schemes, unreadable)
        raise self.refused()

    def _unanswerable(self, schemes: set[str], unreadable: str) -> DeniedError:
        wants = f"sends a WWW-Authenticate that cannot be read: {printable(unreadable, 80)!r}"
        if schemes:
            wants = f"wants {' or '.join(sorted(schemes))}"
            wants += " without a token service" if schemes == {"bearer"} else ", which is not supported"
        return DeniedError(
            f"{self._origin} {wants}",
            hint="let the registry ask for Basic, or for Bearer with the address of its token service",
        )

    def _token(self, parameters: Mapping[str, str]) -> Secret:
        realm = parameters.get("realm", "")
        service = parameters.get("service", "")
        # not the registry's idea of a scope: a token is good for this repository's pull alone
        scope = f"repository:{self._wanted.repository}:pull"
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
        return self._read_token(*self._ask(url, headers, body))

    def _ask(self, url: str, headers: dict[str, str], body: bytes | None) -> tuple[Response, Origin]:
        """Ask a token service, which may redirect, and return the response and whose it is.

        A login stays at the origin that the registry has named: another server would read it, or give a
        token of nobody's in its place, and the registry be blamed for that. A body is sent again by 307 and 308 alone.
        """
        named = origin_of(url)
        for _ in range(_REDIRECTS):
            response = self._transport.request(url, headers, body=body)
            service = origin_of(url)
            if response.status not in {301, 302, 303, 307, 308}:
                return response, service
            location = response.headers.get("Location")
            response.close()
            if not location:
                raise unreachable(str(service), "the token service redirects to nowhere")
            url = join(url, location)
            self._check_realm(url)
            if self._login is not None and origin_of(url) != named:
                raise DeniedError(
                    f"the token service {named} of {self._origin} redirects to {origin_of(url)}, and credentials do"
                    " not go along",
                    hint="let the registry name the address of its token service itself",
                )
            if body is not None and response.status not in {307, 308}:
                raise DeniedError(
                    f"the token service {service} of {self._origin} redirects a POST with {response.status}",
                    hint="let the registry name the address of its token service itself",
                )
        raise UnreachableError(f"the token service {named} of {self._origin} redirects without end")

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
                f"{self._origin} names http://{service} as its token service, which has no TLS",
                hint="let the registry name an https address: behind a proxy that ends TLS, set its external address",
            )
        if self._login is not None and self._origin.scheme == "http" and service.host != self._origin.host:
            raise DeniedError(
                f"{self._origin} asks to send its credentials to {service}",
                hint="only a registry with TLS may name another host as its token service",
            )


def _discard(response: Response) -> None:
    """Read a body that nobody wants, to keep the connection; one that is longer than that is worth is closed."""
    with contextlib.suppress(UnreachableError):
        response.read(_REFUSAL_BYTES)


def _parsed(fields: list[str]) -> tuple[list[Challenge], str]:
    """Return the challenges of all header fields, and the last field that cannot be read."""
    challenges: list[Challenge] = []
    unreadable = ""
    for field in fields:
        try:
            challenges += parse(field)
        except ValueError:
            unreadable = field
    return challenges, unreadable


def _basic(login: Login) -> Secret:
    pair = f"{login.username}:{login.password.reveal()}".encode(errors="surrogateescape")
    return Secret("Basic " + b2a_base64(pair, newline=False).decode())
