"""HTTP/1.1 requests over kept connections: TLS, proxies, time limits, and what went wrong told apart.

http.client frames the messages; bodies are read from the socket straight into the caller's buffer, so that a byte
is copied once and it is known exactly how many came before a connection broke.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from threading import Event, Lock
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from kit_initializer import __version__
from kit_initializer.errors import InitializerError, TLSError, UnreachableError
from kit_initializer.registry import proxy
from kit_initializer.registry.retry import StoppedError, TransientError, unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kit_initializer.settings import Settings

USER_AGENT = f"kit-initializer/{__version__}"
# Kept open for the next request to the same server; more than there are connections at a time is never needed.
_KEPT = 32


class Origin(NamedTuple):
    """Scheme, host and port: what credentials and connections belong to (RFC 6454)."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return host if self.port == default else f"{host}:{self.port}"


def origin_of(url: str) -> Origin:
    """Return the origin of an absolute http(s) URL; UnreachableError when it is none."""
    parts = urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        port = 0
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port:
        raise UnreachableError(f"the server points to {url[:200]!r}, which is no http address")
    return Origin(parts.scheme, parts.hostname, port)


class Response:
    """An answer whose body is still to be read. `at` is the offset of the next byte in the whole content."""

    def __init__(
        self,
        transport: Transport,
        origin: Origin,
        connection: http.client.HTTPConnection,
        raw: http.client.HTTPResponse,
    ) -> None:
        self.status = raw.status
        self.reason = raw.reason
        self.headers = raw.headers
        self.at = 0
        self.left = raw.length  # None when the body is chunked or ends with the connection
        self._origin = origin
        self._transport = transport
        self._connection = connection
        self._raw = raw

    def readinto(self, view: memoryview) -> int:
        """Read what has come, at least one byte, into `view`; 0 at the end of the body. Raises TransientError."""
        left = self.left
        if left == 0:
            return 0
        try:
            if left is None:
                data = self._raw.read1(len(view))
                count = len(data)
                view[:count] = data
            else:
                # HTTPResponse.readinto fills the whole view, and forgets how far it came when the connection breaks
                count = self._raw.fp.readinto1(view[:left] if left < len(view) else view)
                self.left = left - count
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            raise self._transport.failure(self._origin, error, "the connection broke off") from error
        if not count and left is not None:
            raise unreachable(str(self._origin), f"the connection ended {left} bytes early")
        self.at += count
        return count

    def read(self, limit: int) -> bytes:
        """Return the whole body; InitializerError when it is longer than `limit` bytes."""
        body = bytearray()
        buffer = memoryview(bytearray(64 * 1024))
        while count := self.readinto(buffer):
            body += buffer[:count]
            if len(body) > limit:
                self.close()
                raise UnreachableError(
                    f"{self._origin} answered with more than the {limit} bytes that were asked for"
                )
        self.close()
        return bytes(body)

    def close(self) -> None:
        """Give the connection back when the body was read to its end, else close it."""
        finished = self.left == 0 or (self.left is None and self._raw.isclosed())
        keep = finished and not self._raw.will_close
        self._raw.close()
        if keep:
            self._transport.keep(self._origin, self._connection)
        else:
            self._connection.close()
            self._transport.forget(self._connection)


class Transport:
    """All connections of a run. Threads share it."""

    def __init__(self, settings: Settings, stop: Event) -> None:
        self._settings = settings
        self._stop = stop
        self._lock = Lock()
        self._idle: dict[Origin, list[http.client.HTTPConnection]] = {}
        self._live: dict[http.client.HTTPConnection, socket.socket] = {}
        self._context: ssl.SSLContext | None = None

    def abort(self) -> None:
        """Break every connection, so that no thread waits for one any longer."""
        with self._lock:
            for connected in self._live.values():
                with contextlib.suppress(OSError):  # it was closed a moment ago
                    connected.shutdown(socket.SHUT_RDWR)

    def request(self, url: str, headers: Mapping[str, str], *, body: bytes | None = None) -> Response:
        """Send one request (POST with a body, else GET) and return the answer, whatever its status.

        Raises TransientError for what may heal; TLSError and UnreachableError otherwise. Redirects are the caller's.
        """
        origin = origin_of(url)
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection = self._take(origin)
        if connection is not None:
            try:
                return self._exchange(origin, connection, target, headers, body)
            except TransientError:
                # the server has closed a kept connection in the meantime: that is no failure of this request
                if self._stop.is_set():
                    raise
        connection, via = self._connect(origin)
        if via is not None:
            target = f"http://{origin}{target}"
            if via.authorization is not None:
                headers = {**headers, "Proxy-Authorization": via.authorization.reveal()}
        return self._exchange(origin, connection, target, headers, body)

    def _exchange(
        self,
        origin: Origin,
        connection: http.client.HTTPConnection,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Response:
        connected = connection.sock
        try:
            connected.settimeout(self._settings.first_byte_timeout)
            connection.putrequest(
                "GET" if body is None else "POST", target, skip_accept_encoding=True, skip_host=True
            )
            connection.putheader("Host", str(origin))
            connection.putheader("User-Agent", USER_AGENT)
            connection.putheader("Accept-Encoding", "identity")  # a digest is of the bytes as they are stored
            for name, value in headers.items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            raw = connection.getresponse()
            connected.settimeout(self._settings.stall_timeout)
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            self.forget(connection)
            raise self.failure(origin, error, "no answer") from error
        return Response(self, origin, connection, raw)

    def _connect(self, origin: Origin) -> tuple[http.client.HTTPConnection, proxy.Proxy | None]:
        """Open a connection; the proxy is returned where the request must name its target in full."""
        via = self._proxy(origin)
        timeout = self._settings.connect_timeout
        host, port = (origin.host, origin.port) if via is None else (via.host, via.port)
        connection: http.client.HTTPConnection
        if origin.scheme == "https":
            connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls())
            if via is not None:
                credentials = (
                    {} if via.authorization is None else {"Proxy-Authorization": via.authorization.reveal()}
                )
                connection.set_tunnel(origin.host, origin.port, credentials)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=timeout)
        try:
            connection.connect()
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            through = "" if via is None else f" through the proxy {via.host}:{via.port}"
            raise self.failure(origin, error, f"cannot connect{through}") from error
        with self._lock:
            self._live[connection] = connection.sock
        if self._stop.is_set():
            connection.close()
            raise StoppedError("stopped")
        return connection, via if origin.scheme == "http" else None

    def _proxy(self, origin: Origin) -> proxy.Proxy | None:
        settings = self._settings
        if settings.proxy:
            return proxy.parse(settings.proxy, "--proxy")
        name, url = (
            ("HTTPS_PROXY", settings.https_proxy)
            if origin.scheme == "https"
            else ("HTTP_PROXY", settings.http_proxy)
        )
        if url and not proxy.bypassed(origin.host, origin.port, settings.no_proxy):
            return proxy.parse(url, name)
        return None

    def _take(self, origin: Origin) -> http.client.HTTPConnection | None:
        if origin.scheme == "http" and self._proxy(origin) is not None:
            return None  # kept connections are known by their origin, and these need their target in full
        with self._lock:
            idle = self._idle.get(origin)
            return idle.pop() if idle else None

    def keep(self, origin: Origin, connection: http.client.HTTPConnection) -> None:
        """Hold a connection for the next request."""
        with self._lock:
            idle = self._idle.setdefault(origin, [])
            if len(idle) < _KEPT:
                idle.append(connection)

    def forget(self, connection: http.client.HTTPConnection) -> None:
        """Note that a connection is closed."""
        with self._lock:
            self._live.pop(connection, None)

    def _tls(self) -> ssl.SSLContext:
        with self._lock:
            if self._context is None:
                self._context = _context(self._settings)
            return self._context

    def failure(self, origin: Origin, error: Exception, doing: str) -> Exception:
        """Return what `error` means: a TransientError, or an InitializerError for what will not heal."""
        if self._stop.is_set():
            return StoppedError("stopped")
        if isinstance(error, InitializerError):
            return error
        if isinstance(error, ssl.SSLError) and not isinstance(
            error, ssl.SSLEOFError | ssl.SSLZeroReturnError
        ):
            return _untrusted(origin, error)
        where = f"{doing}: {origin}"
        if isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN:
            return UnreachableError(f"{where}: there is no such host", hint="check the registry's name")
        hint = ""
        if isinstance(error, TimeoutError):
            reason = "timed out"
        elif isinstance(error, http.client.RemoteDisconnected):
            reason = "the connection was closed"
        elif isinstance(error, http.client.BadStatusLine):
            reason, hint = (
                "the answer is not HTTP",
                "does the registry speak TLS? Then leave --plain-http out",
            )
        else:
            reason = (
                (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
            )
        return unreachable(where, reason, hint=hint)


def _untrusted(origin: Origin, error: ssl.SSLError) -> TLSError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return TLSError(
            f"the certificate of {origin} is not trusted: {error.verify_message}",
            hint="give its CA by KIT_CA_CERT, --tls-cert or KServe's CA bundle",
        )
    reason = (error.reason or str(error)).replace("_", " ").lower()
    plain = any(words in reason for words in ("version number", "http request", "record layer"))
    hint = "for a registry without TLS set KIT_UNPACK_FLAGS=--plain-http" if plain else ""
    return TLSError(f"no TLS with {origin}: {reason}", hint=hint)


def _context(settings: Settings) -> ssl.SSLContext:
    """Return what TLS is to be: the system's authorities and ours beside them, and our own certificate if any."""
    context = ssl.create_default_context()
    if not settings.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for path in settings.ca_files:
        try:
            context.load_verify_locations(cafile=path)
        except (OSError, ssl.SSLError) as error:
            raise TLSError(f"{path} is not a readable PEM file of certificates: {error}") from error
    if settings.ca_pem:
        try:
            context.load_verify_locations(cadata=settings.ca_pem)
        except (ValueError, ssl.SSLError) as error:
            raise TLSError("KIT_CA_CERT does not hold certificates in PEM form") from error
    if settings.client_cert:
        try:
            context.load_cert_chain(settings.client_cert, settings.client_key or None)
        except (OSError, ssl.SSLError) as error:
            raise TLSError(
                f"the client certificate {settings.client_cert} cannot be used: {error}"
            ) from error
    return context
