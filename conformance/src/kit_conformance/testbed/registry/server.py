"""The fixture registry: the way of each exchange through authentication, faults and protocol."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from kit_conformance.testbed.registry.auth import errors
from kit_conformance.testbed.registry.faults import Exchange, Fault
from kit_conformance.testbed.registry.ledger import Entry, Ledger, authorization_kind, redact
from kit_conformance.testbed.registry.origin import Origin
from kit_conformance.testbed.registry.protocol import Protocol, route
from kit_conformance.testbed.registry.storage import Storage
from kit_conformance.testbed.registry.wire import (
    Connection,
    ConnectionEndError,
    Request,
    Response,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kit_conformance.testbed.registry.auth import Auth
    from kit_conformance.testbed.registry.storage import Artifact
    from kit_conformance.testbed.registry.tls import TLS


@dataclass
class Injection:
    """A fault in force, for the requests that match; `hits` counts those that it has touched."""

    fault: Fault
    matches: Callable[[Request], bool]
    skip: int
    times: int | None
    seen: int = 0
    hits: int = 0

    def take(self, request: Request) -> bool:
        """Say whether the fault applies to this request, and count it."""
        if not (self.fault.concerns(request) and self.matches(request)):
            return False
        self.seen += 1
        if self.seen <= self.skip or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True


class Registry:
    """An OCI registry on loopback, for as long as the `with` block.

    `address` may be an IPv6 literal ("::1"). `tls` makes both origins HTTPS. With `absolute` Locations of
    uploads are whole URLs; they are relative otherwise. `directory` takes uploaded blobs; a temporary one is
    used otherwise. `referrers` is the status of the referrers API: 404 or 405 is a registry without one; it lists
    `page` referrers at a time (0: all).
    """

    def __init__(
        self,
        *,
        address: str = "127.0.0.1",
        auth: Auth | None = None,
        tls: TLS | None = None,
        absolute: bool = False,
        directory: Path | None = None,
        referrers: int = 200,
        page: int = 0,
    ) -> None:
        self.referrers = referrers
        self.page = page
        self.auth = auth
        self.tls = tls
        self._absolute = absolute
        self._home = Origin("home", address, self._answer)
        self.elsewhere = Origin("elsewhere", address, self._answer)
        self._injections: list[Injection] = []
        self._lock = threading.Lock()
        self._release = threading.Event()
        self._folder = directory or Path(tempfile.mkdtemp(prefix="registry-"))
        self._cleanup = None if directory else weakref.finalize(self, shutil.rmtree, self._folder)
        self.storage = Storage(self._folder)

    # what tests ask

    @property
    def host(self) -> str:
        """Return "127.0.0.1:PORT" (or "[::1]:PORT")."""
        return self._home.host

    @property
    def url(self) -> str:
        """Return "http://127.0.0.1:PORT", or https."""
        return self._home.url

    @property
    def ledger(self) -> Ledger:
        """Return the requests so far; those of the second origin are in `elsewhere.ledger`."""
        return self._home.ledger

    @property
    def connections(self) -> int:
        """Return how many connections the first origin has accepted."""
        return self._home.connections

    @property
    def handshake_failures(self) -> int:
        """Return how many clients have broken off the TLS handshake."""
        return self._home.handshake_failures

    # what tests do

    def add(self, artifact: Artifact, repository: str, tag: str = "latest") -> str:
        """Put a kit in without a push and return its reference, `kit://host/repository:tag`."""
        self.storage.add(artifact, repository, tag)
        return f"kit://{self.host}/{repository}:{tag}"

    def inject(
        self,
        fault: Fault,
        *,
        method: str = "",
        kind: str = "",
        reference: str = "",
        repository: str = "",
        origin: str = "",
        skip: int = 0,
        times: int | None = None,
        when: Callable[[Request], bool] | None = None,
    ) -> Injection:
        """Put a fault in force for the authorised requests that match everything given.

        The first `skip` of them pass unharmed and the fault applies to the next `times` (None: to all).
        `kind` as in `Request`, `reference` a tag or digest, `origin` "home" or "elsewhere".
        """

        def matches(request: Request) -> bool:
            return (
                (not method or request.method == method)
                and (not kind or request.kind == kind)
                and (not reference or request.reference == reference)
                and (not repository or request.repository == repository)
                and (not origin or request.origin == origin)
                and (when is None or when(request))
            )

        injection = Injection(fault, matches, skip, times)
        with self._lock:
            self._injections.append(injection)
        return injection

    def heal(self) -> None:
        """Take every fault back and end stalls."""
        with self._lock:
            self._injections.clear()
        self.release()

    def release(self) -> None:
        """Let all that stalls or hangs now go on; later stalls stall again."""
        with self._lock:
            released, self._release = self._release, threading.Event()
        released.set()

    def start(self) -> None:
        """Listen; after `stop` on the same ports, with all that was stored."""
        context = self.tls.server_context() if self.tls else None
        self._home.listen(context)
        try:
            self.elsewhere.listen(context)
        except OSError:
            self._home.close()
            raise

    def stop(self) -> None:
        """End every connection and listen no more, as a registry that is restarted."""
        self._home.close()
        self.elsewhere.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
        if self._cleanup is not None:
            self._cleanup()

    # one exchange

    def _answer(self, origin: Origin, connection: Connection, request: Request) -> None:
        request = route(request, self.storage)
        entry = origin.ledger.open(
            Entry(
                origin=origin.name,
                connection=connection.number,
                method=request.method,
                path=request.path,
                query=request.query,
                kind=request.kind,
                repository=request.repository,
                reference=request.reference,
                authorization=authorization_kind(request.headers.get("authorization", "")),
                headers=redact(request.headers),
            )
        )
        how = "cut"
        try:
            self._exchange(origin, connection, request, entry)
            how = "complete"
        except ConnectionEndError as end:
            how = end.how
            raise
        finally:
            entry.received = request.body.received
            origin.ledger.end(entry, how)

    def _exchange(self, origin: Origin, connection: Connection, request: Request, entry: Entry) -> None:
        exchange = Exchange(request, connection, origin.url, self.elsewhere.url, self.auth, self._release)
        refusal = self._refuse(origin, request)
        faults = [] if refusal else self._faults(request)
        entry.faults = tuple(type(fault).__name__ for fault in faults)
        response = refusal
        for fault in faults:
            answer = fault.answer(exchange)  # asked of all: those that wait do so whichever one answers
            response = response or answer
        response = response or self._respond(origin, request)
        for fault in faults:
            response = fault.amend(exchange, response)
        request.body.drain()
        entry.status = response.status
        self._send(exchange, response, faults, entry)

    def _refuse(self, origin: Origin, request: Request) -> Response | None:
        if request.redirected:
            if request.headers.get("authorization"):
                return errors(400, "UNSUPPORTED", "only one way of authentication is allowed")
            return None
        if self.auth is None or request.kind == "token":
            return None
        tokens = self.elsewhere if getattr(self.auth, "elsewhere", False) else origin
        return self.auth.refuse(request, tokens.url)

    def _faults(self, request: Request) -> list[Fault]:
        with self._lock:
            return [each.fault for each in self._injections if each.take(request)]

    def _respond(self, origin: Origin, request: Request) -> Response:
        if request.kind == "token":
            return (self.auth and self.auth.token(request)) or errors(404, "NOT_FOUND", "no token endpoint")
        base = origin.url if self._absolute else ""
        return Protocol(self.storage, base, referrers=self.referrers, page=self.page).answer(request)

    def _send(self, exchange: Exchange, response: Response, faults: list[Fault], entry: Entry) -> None:
        head, connection, request = response.head(), exchange.connection, exchange.request
        for fault in faults:
            head = fault.head(head)
        if request.method == "HEAD" or response.status in {204, 304}:
            connection.send(head)
            return
        chunks = response.content.chunks(response.start, response.end)
        for fault in faults:
            chunks = fault.stream(chunks, exchange)
        _send_chunks(connection, head, chunks, entry, chunked=response.chunked)
        claimed = response.headers.get("Content-Length", str(response.length))
        if str(entry.sent) != claimed and not (response.chunked and entry.sent == response.length):
            raise ConnectionEndError("cut")
        if response.chunked:
            connection.send(b"0\r\n\r\n")


def _send_chunks(
    connection: Connection, head: bytes, chunks: Iterator[bytes], entry: Entry, *, chunked: bool
) -> None:
    waiting = head  # goes out with the first bytes of the body, unless those have to be waited for
    if entry.faults:
        connection.send(head)
        waiting = b""
    for chunk in chunks:
        if not chunk:
            continue
        entry.sent += len(chunk)
        connection.send(waiting + (b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk))
        waiting = b""
    if waiting:
        connection.send(waiting)
