"""Requests over kept connections: TLS, proxies, time limits, and what went wrong told apart."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from threading import Event, Lock
from typing import TYPE_CHECKING, NamedTuple

from kit_initializer import __version__
from kit_initializer.errors import InitializerError, TLSError, UnreachableError
from kit_initializer.http import dial, proxy
from kit_initializer.http.retry import Pace, StoppedError, TransientError, unreachable
from kit_initializer.http.url import Origin, split
from kit_initializer.http.wire import ClosedError, NotHTTPError, ProtocolError, SpeaksTLSError, Wire
from kit_initializer.secret import printable, without_query

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from kit_initializer.deadline import Deadline
    from kit_initializer.http.encoding import Decoder
    from kit_initializer.http.network import Network
    from kit_initializer.http.proxy import Proxy

USER_AGENT = f"kit-initializer/{__version__}"
_REASON_CHARACTERS = 100
# Kept open for the next request to the same server; more than there are connections at a time is never needed.
_KEPT = 32


class _Request(NamedTuple):
    """What is sent to an origin; `via` is the proxy that reads it, which a tunnel's does not."""

    origin: Origin
    via: Proxy | None
    target: str
    fields: Mapping[str, str]
    body: bytes | None


class Response:
    """A response whose body is still to be read.

    `at` is the offset of the next byte in the whole content; `origin` is who was asked, with the query `query`, and
    `speaker` names who may have answered.
    """

    def __init__(self, transport: Transport, request: _Request, wire: Wire) -> None:
        self._transport = transport
        self._wire = wire
        self._closed = False
        self.status, reason, self.headers = wire.head()
        self.origin = request.origin
        self.query = request.target.partition("?")[2]
        self.reason = printable(without_query(reason, self.query), _REASON_CHARACTERS)
        through = f" through the proxy {request.via.host}:{request.via.port}" if request.via else ""
        self.speaker = f"{self.origin}{through}"
        self.at = 0
        self._decoder: Decoder | None = None

    @property
    def left(self) -> int | None:
        """Bytes of the body that are still to come; None when only its end will tell."""
        if self._decoder is not None:
            return 0 if self._decoder.finished else None
        return self._wire.left

    def decode(self) -> None:
        """Undo a Content-Encoding from here on. UnreachableError for one that is not known."""
        encoding = self.headers.get("Content-Encoding")
        if encoding and encoding != "identity" and self._decoder is None:
            from kit_initializer.http.encoding import Decoder  # noqa: PLC0415 - nobody is asked to compress

            self._decoder = Decoder(encoding, self._receive, self.speaker)

    def readinto(self, view: memoryview) -> int:
        """Read what has come, at least one byte, into `view`; 0 at the end of the body. Raises TransientError."""
        count = self._decoder.readinto(view) if self._decoder is not None else self._receive(view)
        self.at += count
        return count

    def _receive(self, view: memoryview) -> int:
        try:
            count = self._wire.readinto(view)
        except (OSError, ProtocolError, ValueError) as error:
            stall = self._transport.nearer("KIT_STALL_TIMEOUT", self._wire.stall_s)
            raise self._transport.failure(self.origin, error, "the connection broke off", stall) from error
        if not count and self._wire.left:
            raise unreachable(str(self.origin), f"the connection ended {self._wire.left} bytes early")
        return count

    def read(self, limit: int, *, whole: bool = True) -> bytes:
        """Return the body, decoded; UnreachableError when it is longer than `limit` bytes, or comes too slowly.

        Of a longer one its first `limit` bytes where `whole` is off.
        """
        body = bytearray()
        pace = Pace(self._transport.network.progress_timeout)
        buffer = memoryview(bytearray(min(limit + 1, 64 * 1024)))
        try:
            self.decode()
            while count := self.readinto(buffer):
                body += buffer[:count]
                pace.moved(count, self.origin)
                self._transport.deadline.check(f"reading a response of {self.origin}")
                if len(body) > limit and not whole:
                    break
                if len(body) > limit:
                    raise UnreachableError(f"{self.origin} answered with more than {limit} bytes")
        finally:
            self.close()
        return bytes(body[:limit])

    def close(self) -> None:
        """Give the connection back when the body was read to its end, else close it."""
        if self._closed:
            return
        self._closed = True
        if self._wire.finished:
            self._transport.keep(self.origin, self._wire)
        else:
            self._transport.drop(self._wire)


class Transport:
    """All connections of a run. Threads share it. `trace` is told of each request: what came of it, when, and how."""

    def __init__(
        self,
        network: Network,
        deadline: Deadline,
        stop: Event,
        trace: Callable[[str], None] | None = None,
    ) -> None:
        self.network = network
        self.deadline = deadline
        self._stop = stop
        self.trace = trace
        self._lock = Lock()
        self._idle: dict[Origin, list[Wire]] = {}
        self._live: set[Wire] = set()
        self._answered: set[Origin] = set()
        self._context: ssl.SSLContext | None = None

    def verified(self) -> Transport:
        """Return another transport, to be closed, that checks certificates even where this one does not."""
        return Transport(self.network._replace(tls_verify=True), self.deadline, self._stop, self.trace)

    def close(self) -> None:
        """Close every connection, kept or not: nobody asks for anything any more."""
        with self._lock:
            live = tuple(self._live)
            self._idle.clear()
        for wire in live:
            self.drop(wire)

    def abort(self) -> None:
        """Break every connection, so that no thread waits for one any longer."""
        with self._lock:
            for wire in self._live:
                with contextlib.suppress(OSError):  # it was closed a moment ago
                    wire.sock.shutdown(socket.SHUT_RDWR)

    def request(self, url: str, headers: Mapping[str, str], *, body: bytes | None = None) -> Response:
        """Send one request (POST with a body, else GET) and return the response, whatever its status.

        Raises TransientError for what may heal; TLSError and UnreachableError otherwise. Redirects are the caller's.
        """
        origin, target = split(url)
        via = self._proxy(origin)
        fields = {"Host": str(origin), "User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
        if via is not None and origin.scheme == "http":
            target = f"http://{origin}{target}"
            if via.authorization is not None:
                fields["Proxy-Authorization"] = via.authorization.reveal()
        request = _Request(origin, via if origin.scheme == "http" else None, target, fields, body)
        with self._lock:
            idle = self._idle.get(origin)
            wire = idle.pop() if idle else None
        response = None
        if wire is not None:
            try:
                response = self._exchange(request, wire)
            except TransientError:
                if wire.until.passed:
                    raise
                # else the server has closed a kept connection in the meantime: that is no failure of this request
        if response is None:
            response = self._exchange(request, self._connect(origin, via))
        if request.via is not None and response.status == 407:
            response.close()
            raise dial.refused(origin, request.via, response.status, response.reason)
        return response

    def _exchange(self, request: _Request, wire: Wire) -> Response:
        began = time.monotonic()
        try:
            response = self._sent(request, wire)
        except (TransientError, InitializerError) as error:
            self._told(request, wire, f"failed: {error}", began)
            raise
        self._told(request, wire, f"{response.status} {response.reason}".rstrip(), began)
        return response

    def _told(self, request: _Request, wire: Wire, outcome: str, began: float) -> None:
        if self.trace is not None:
            path = request.target.partition("?")[0]  # a query may sign
            place = path if "://" in path else f"{request.origin.scheme}://{request.origin}{path}"
            range_ = request.fields.get("Range", "")
            how = "kept connection" if wire.used > 1 else "new connection"
            self.trace(
                f"{'GET' if request.body is None else 'POST'} {place}{range_ and f' {range_}'}: {outcome}"
                f" after {1000 * (time.monotonic() - began):.0f} ms, {how}"
            )

    def _sent(self, request: _Request, wire: Wire) -> Response:
        wire.until = self.nearer("KIT_FIRST_BYTE_TIMEOUT", self.network.first_byte_timeout)
        try:
            method = "GET" if request.body is None else "POST"
            wire.send(method, request.target, request.fields.items(), request.body)
            response = Response(self, request, wire)
        except (OSError, ProtocolError, ClosedError, ValueError) as error:
            self.drop(wire)
            raise self.failure(request.origin, error, "no response", wire.until) from error
        self._answered.add(request.origin)
        return response

    def nearer(self, variable: str, seconds: float) -> Deadline:
        """Return the deadline of a step that may take `seconds`, or the run's where that comes first."""
        return self.deadline.nearer(variable, seconds)

    def _connect(self, origin: Origin, via: Proxy | None) -> Wire:
        """Connect: name, connection, proxy and TLS share one limit."""
        until = self.nearer("KIT_CONNECT_TIMEOUT", self.network.connect_timeout)
        try:
            sock = dial.connect(*((via.host, via.port) if via else (origin.host, origin.port)), until)
            try:
                if origin.scheme == "https":
                    if via is not None:
                        dial.tunnel(Wire(sock, until), origin, via, USER_AGENT)
                    sock.settimeout(until.left())  # for the whole handshake
                    sock = self._tls().wrap_socket(sock, server_hostname=origin.host)
            except BaseException:
                sock.close()
                raise
        except (OSError, ProtocolError, ClosedError, ValueError) as error:
            through = "" if via is None else f" through the proxy {via.host}:{via.port}"
            raise self.failure(origin, error, f"cannot connect{through}", until) from error
        wire = Wire(sock, until, self.network.stall_timeout, self.deadline)
        with self._lock:
            self._live.add(wire)
        if self._stop.is_set():
            self.drop(wire)
            raise StoppedError("stopped")
        return wire

    def _proxy(self, origin: Origin) -> Proxy | None:
        network = self.network
        if network.proxy:
            name, url = "--proxy", network.proxy
        elif origin.scheme == "https":
            name, url = "HTTPS_PROXY", network.https_proxy
        else:
            name, url = "HTTP_PROXY", network.http_proxy
        if not url:
            return None
        if not network.proxy and proxy.bypassed(origin.host, origin.port, network.no_proxy):
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
                from kit_initializer.http import tls  # noqa: PLC0415 - OpenSSL is loaded only for TLS

                self._context = tls.context(self.network)
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
        if self._is_tls(origin, error):
            return speaks_tls(where)
        if self.deadline.passed:
            return self.deadline.error(where)
        if isinstance(error, TimeoutError) and error.errno is None:  # ours, and not the kernel's ETIMEDOUT
            return TransientError(until.error(where))
        return _untrusted(origin, error) or _explain(where, error)

    def _is_tls(self, origin: Origin, error: Exception) -> bool:
        """Say whether plain HTTP fails at a server that never answered because it wants TLS: many just hang up."""
        if origin.scheme == "https" or origin in self._answered or self._proxy(origin) is not None:
            return False
        if isinstance(error, SpeaksTLSError):
            return True
        if not isinstance(error, ConnectionResetError | BrokenPipeError | ClosedError | ProtocolError):
            return False
        self._answered.add(origin)  # it is asked once
        until = self.nearer("KIT_CONNECT_TIMEOUT", self.network.connect_timeout)
        return dial.speaks_tls(origin.host, origin.port, until)


def _untrusted(origin: Origin, error: Exception) -> Exception | None:
    if "ssl" not in sys.modules:
        return None
    from kit_initializer.http import tls  # noqa: PLC0415

    return tls.explain(origin, error)


def speaks_tls(where: str) -> TLSError:
    """Return the error for a server that is spoken to in plain HTTP and wants TLS."""
    return TLSError(
        f"{where} speaks TLS, and was sent plain HTTP", hint="remove --plain-http from KIT_UNPACK_FLAGS"
    )


def _explain(where: str, error: Exception) -> Exception:
    if isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN:
        return UnreachableError(f"{where}: there is no such host", hint="check the registry's name")
    if isinstance(error, ClosedError):
        return unreachable(where, "the connection was closed")
    reason = (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
    hint = ""
    if isinstance(error, NotHTTPError):
        hint = "does something else listen on this port?"
    return unreachable(where, reason, hint=hint)
