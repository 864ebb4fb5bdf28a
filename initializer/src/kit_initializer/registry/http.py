"""Requests over kept connections: TLS, proxies, time limits, and what went wrong told apart."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections import deque
from functools import partial
from threading import Event, Lock
from typing import TYPE_CHECKING, cast

from kit_initializer import __version__
from kit_initializer.deadline import NEVER, call_within
from kit_initializer.errors import InitializerError, UnreachableError
from kit_initializer.registry.retry import Pace, StoppedError, TransientError, unreachable
from kit_initializer.registry.url import Origin, split
from kit_initializer.registry.wire import ClosedError, ProtocolError, Wire

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Mapping

    from kit_initializer.deadline import Deadline
    from kit_initializer.registry.proxy import Proxy
    from kit_initializer.settings import Settings

USER_AGENT = f"kit-initializer/{__version__}"
# Kept open for the next request to the same server; more than there are connections at a time is never needed.
_KEPT = 32


class Response:
    """An answer whose body is still to be read. `at` is the offset of the next byte in the whole content."""

    def __init__(self, transport: Transport, origin: Origin, wire: Wire) -> None:
        self._transport = transport
        self._origin = origin
        self._wire = wire
        self._closed = False
        self.status, self.reason, self.headers = wire.head()
        self._stall_s = transport.settings.stall_timeout
        self.at = 0

    @property
    def left(self) -> int | None:
        """Bytes of the body that are still to come; None when only its end will tell."""
        return self._wire.left

    def readinto(self, view: memoryview) -> int:
        """Read what has come, at least one byte, into `view`; 0 at the end of the body. Raises TransientError."""
        wire = self._wire
        wire.until = self._transport.deadline.nearer("KIT_STALL_TIMEOUT", self._stall_s)
        try:
            count = wire.readinto(view)
        except (OSError, ProtocolError, ValueError) as error:
            raise self._transport.failure(
                self._origin, error, "the connection broke off", wire.until
            ) from error
        if not count and self._wire.left:
            raise unreachable(str(self._origin), f"the connection ended {self._wire.left} bytes early")
        self.at += count
        return count

    def read(self, limit: int) -> bytes:
        """Return the whole body; UnreachableError when it is longer than `limit` bytes, or comes too slowly."""
        body = bytearray()
        pace = Pace(self._transport.settings.progress_timeout)
        buffer = memoryview(bytearray(min(limit + 1, 64 * 1024)))
        try:
            while count := self.readinto(buffer):
                body += buffer[:count]
                pace.moved(count, self._origin)
                if len(body) > limit:
                    raise UnreachableError(f"{self._origin} answered with more than {limit} bytes")
        finally:
            self.close()
        return bytes(body)

    def close(self) -> None:
        """Give the connection back when the body was read to its end, else close it."""
        if self._closed:
            return
        self._closed = True
        if self._wire.finished:
            self._transport.keep(self._origin, self._wire)
        else:
            self._transport.drop(self._wire)


class Transport:
    """All connections of a run. Threads share it.

    `errands` are what the caller has to do in any case and can be done while an answer is on its way: one after each
    request, as long as there are some. No wait goes beyond the run's `deadline`.
    """

    def __init__(
        self,
        settings: Settings,
        stop: Event,
        errands: Iterable[Callable[[], object]] = (),
        deadline: Deadline = NEVER,
    ) -> None:
        self.settings = settings
        self.deadline = deadline
        self._stop = stop
        self._errands = deque(errands)
        self._lock = Lock()
        self._idle: dict[Origin, list[Wire]] = {}
        self._live: set[Wire] = set()
        self._context: ssl.SSLContext | None = None

    def abort(self) -> None:
        """Break every connection, so that no thread waits for one any longer."""
        with self._lock:
            for wire in self._live:
                with contextlib.suppress(OSError):  # it was closed a moment ago
                    wire.sock.shutdown(socket.SHUT_RDWR)

    def request(self, url: str, headers: Mapping[str, str], *, body: bytes | None = None) -> Response:
        """Send one request (POST with a body, else GET) and return the answer, whatever its status.

        Raises TransientError for what may heal; TLSError and UnreachableError otherwise. Redirects are the caller's.
        """
        origin, target = split(url)
        via = self._proxy(origin)
        fields = {"Host": str(origin), "User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
        if via is not None and origin.scheme == "http":
            target = f"http://{origin}{target}"
            if via.authorization is not None:
                fields["Proxy-Authorization"] = via.authorization.reveal()
        with self._lock:
            idle = self._idle.get(origin)
            wire = idle.pop() if idle else None
        if wire is not None:
            try:
                return self._exchange(origin, wire, target, fields, body)
            except TransientError:
                pass  # the server has closed a kept connection in the meantime: that is no failure of this request
        return self._exchange(origin, self._connect(origin, via), target, fields, body)

    def _exchange(
        self, origin: Origin, wire: Wire, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> Response:
        wire.until = self.deadline.nearer("KIT_FIRST_BYTE_TIMEOUT", self.settings.first_byte_timeout)
        try:
            wire.send("GET" if body is None else "POST", target, headers.items(), body)
            self._run_errand()
            response = Response(self, origin, wire)
        except (OSError, ProtocolError, ClosedError, ValueError) as error:
            self.drop(wire)
            raise self.failure(origin, error, "no answer", wire.until) from error
        return response

    def _run_errand(self) -> None:
        try:
            errand = self._errands.popleft()
        except IndexError:
            return
        errand()

    def _connect(self, origin: Origin, via: Proxy | None) -> Wire:
        until = self.deadline.nearer("KIT_CONNECT_TIMEOUT", self.settings.connect_timeout)
        host, port = (origin.host, origin.port) if via is None else (via.host, via.port)
        try:
            sock = _connected(host, port, until)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if origin.scheme == "https":
                    if via is not None:
                        _tunnel(Wire(sock, until), origin, via)
                    sock.settimeout(until.left())  # for the whole handshake
                    sock = self._tls().wrap_socket(sock, server_hostname=origin.host)
            except BaseException:
                sock.close()
                raise
        except (OSError, ProtocolError, ClosedError, ValueError) as error:
            through = "" if via is None else f" through the proxy {via.host}:{via.port}"
            raise self.failure(origin, error, f"cannot connect{through}", until) from error
        wire = Wire(sock)
        with self._lock:
            self._live.add(wire)
        if self._stop.is_set():
            self.drop(wire)
            raise StoppedError("stopped")
        return wire

    def _proxy(self, origin: Origin) -> Proxy | None:
        settings = self.settings
        if settings.proxy:
            name, url = "--proxy", settings.proxy
        elif origin.scheme == "https":
            name, url = "HTTPS_PROXY", settings.https_proxy
        else:
            name, url = "HTTP_PROXY", settings.http_proxy
        if not url:
            return None
        from kit_initializer.registry import proxy  # noqa: PLC0415 - only where there is one

        if not settings.proxy and proxy.bypassed(origin.host, origin.port, settings.no_proxy):
            return None
        return proxy.parse(url, name)

    def keep(self, origin: Origin, wire: Wire) -> None:
        """Hold a connection for the next request."""
        with self._lock:
            idle = self._idle.setdefault(origin, [])
            if len(idle) < _KEPT:
                idle.append(wire)
                return
        self.drop(wire)

    def drop(self, wire: Wire) -> None:
        """Close a connection."""
        with self._lock:
            self._live.discard(wire)
        wire.close()

    def _tls(self) -> ssl.SSLContext:
        with self._lock:
            if self._context is None:
                from kit_initializer.registry import tls  # noqa: PLC0415 - OpenSSL is loaded only for TLS

                self._context = tls.context(self.settings)
            return self._context

    def failure(self, origin: Origin, error: Exception, doing: str, until: Deadline) -> Exception:
        """Return what `error` means: a TransientError, or an InitializerError for what will not heal.

        `until` is how long it was waited.
        """
        if self._stop.is_set():
            return StoppedError("stopped")
        if isinstance(error, InitializerError | TransientError):
            return error
        where = f"{doing}: {origin}"
        if isinstance(error, TimeoutError) and error.errno is None:  # ours, and not the kernel's ETIMEDOUT
            late = until.error(where)
            return late if self.deadline.passed else TransientError(late)
        if "ssl" in sys.modules:
            from kit_initializer.registry import tls  # noqa: PLC0415

            if (untrusted := tls.explain(origin, error)) is not None:
                return untrusted
        if isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN:
            return UnreachableError(f"{where}: there is no such host", hint="check the registry's name")
        hint = ""
        if isinstance(error, ClosedError):
            reason = "the connection was closed"
        else:
            if isinstance(error, ProtocolError):
                hint = "does the registry speak TLS? Then leave --plain-http out"
            reason = (
                (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
            )
        return unreachable(where, reason, hint=hint)


def _looked_up(host: str) -> str:
    """Return the name as the resolver takes it: as bytes, text is put through IDNA first (+1 ms to import it)."""
    return cast("str", host.encode()) if host.isascii() else host


def _connected(host: str, port: int, until: Deadline) -> socket.socket:
    """Return a connection to the first address of a host that takes one; each has its part of the time."""
    name = _looked_up(host)
    addresses = call_within(until, partial(socket.getaddrinfo, name, port, type=socket.SOCK_STREAM))
    failed: OSError = TimeoutError()
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout((until.left() or 0.0) / (len(addresses) - index))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failed = error
        else:
            return sock
    raise failed


def _tunnel(wire: Wire, origin: Origin, via: Proxy) -> None:
    """Ask a proxy for a connection to the origin (RFC 9110, 9.3.6)."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    fields = {"Host": f"{host}:{origin.port}", "User-Agent": USER_AGENT}
    if via.authorization is not None:
        fields["Proxy-Authorization"] = via.authorization.reveal()
    wire.send("CONNECT", f"{host}:{origin.port}", fields.items())
    status, reason, _ = wire.head(bodiless=True)
    if status in {407, 403}:
        raise UnreachableError(
            f"the proxy {via.host}:{via.port} refused a connection to {origin}: {status} {reason}"
        )
    if status != 200:
        raise unreachable(f"the proxy {via.host}:{via.port}", f"no connection to {origin}: {status} {reason}")
