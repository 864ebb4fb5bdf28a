"""A listening address: it accepts connections, reads requests and hands them on."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kit_conformance.testbed.registry.auth import errors
from kit_conformance.testbed.registry.ledger import Ledger
from kit_conformance.testbed.registry.wire import BadRequestError, Connection, ConnectionEndError, Request

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

_PATIENCE: Final = 5.0  # seconds for a TLS handshake, and for a thread of ours to end


class Origin:
    """One listening address with its ledger; both origins of a registry answer from the same storage."""

    def __init__(
        self, name: str, address: str, answer: Callable[[Origin, Connection, Request], None]
    ) -> None:
        self.name = name
        self.ledger = Ledger()
        self.handshake_failures = 0
        self._address = address
        self._answer = answer
        self._port = 0
        self._tls: ssl.SSLContext | None = None
        self._listener: socket.socket | None = None
        self._closing = threading.Event()
        self._threads: set[threading.Thread] = set()
        self._connections: set[Connection] = set()
        self._lock = threading.Lock()
        self._count = 0

    @property
    def host(self) -> str:
        """Return `address:port`, as it stands in references and URLs."""
        return f"[{self._address}]:{self._port}" if ":" in self._address else f"{self._address}:{self._port}"

    @property
    def url(self) -> str:
        """Return the URL of the origin, without a slash at the end."""
        return f"{'https' if self._tls else 'http'}://{self.host}"

    @property
    def connections(self) -> int:
        """Return how many connections have been accepted so far."""
        return self._count

    def listen(self, tls: ssl.SSLContext | None) -> None:
        """Listen, on a free port the first time and on the same one later, and answer in threads."""
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self._address, self._port))
            listener.listen(128)
        except OSError:
            listener.close()
            raise
        self._tls, self._listener, self._port = tls, listener, listener.getsockname()[1]
        self._closing = threading.Event()
        self._spawn(self._accept, listener, self._closing)

    def close(self) -> None:
        """Stop listening, end every connection, and wait for the threads."""
        self._closing.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            connections, threads = tuple(self._connections), tuple(self._threads)
        for connection in connections:
            connection.shutdown()
        for thread in threads:
            thread.join(_PATIENCE)

    def _spawn(self, target: Callable[..., None], *arguments: object) -> None:
        def run() -> None:
            try:
                target(*arguments)
            finally:
                with self._lock:
                    self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, name=f"registry-{self.name}", daemon=True)
        with self._lock:  # closing the origin joins what is in the set, which must have been started
            self._threads.add(thread)
            thread.start()

    def _accept(self, listener: socket.socket, closing: threading.Event) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._count += 1
            self._spawn(self._serve, client, self._count, closing)

    def _serve(self, client: socket.socket, number: int, closing: threading.Event) -> None:
        if self._tls is not None:
            try:
                client.settimeout(_PATIENCE)
                client = self._tls.wrap_socket(client, server_side=True)
                client.settimeout(None)
            except OSError:
                self.handshake_failures += 1
                client.close()
                return
        connection = Connection(client, number, closing)
        with self._lock:
            self._connections.add(connection)
        reset = False
        try:
            while not closing.is_set() and (request := connection.request()) is not None:
                self._answer(self, connection, replace(request, origin=self.name))
                if request.headers.get("connection", "").lower() == "close":
                    break
        except ConnectionEndError as end:
            reset = end.reset
        except BadRequestError as error:
            with contextlib.suppress(ConnectionEndError):
                response = errors(400, "BAD_REQUEST", str(error), {"Connection": "close"})
                connection.send(response.head() + b"".join(response.content.chunks(0, response.length)))
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close(reset=reset)
