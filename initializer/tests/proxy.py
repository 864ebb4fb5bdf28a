"""A forward proxy on loopback: requests in absolute form, and CONNECT, with a ledger of what was asked of it."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


class Asked(NamedTuple):
    """One request: method, target as it was written, and user:password if it came with any."""

    method: str
    target: str
    login: str


class Proxy:
    """Forward what comes; `names` gives addresses to hosts, as the DNS of a closed network would.

    With `login` ("user:password") everything else is refused. Each connection is for one request, or one tunnel.
    """

    def __init__(self, names: Mapping[str, tuple[str, int]] | None = None, *, login: str = "") -> None:
        self._names = names or {}
        self._login = login
        self._listener = socket.socket()
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self.asked: list[Asked] = []

    @property
    def host(self) -> str:
        """Return `address:port`."""
        address, port = self._listener.getsockname()
        return f"{address}:{port}"

    def __enter__(self) -> Self:
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(64)
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _spawn(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(20)
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(4096)
                if not data:
                    return
                head += data
            lines, _, rest = head.partition(b"\r\n\r\n")
            self._forward(client, lines.decode("latin-1").split("\r\n"), rest)

    def _forward(self, client: socket.socket, lines: list[str], rest: bytes) -> None:
        method, target, _ = lines[0].split(" ")
        login, fields = "", ["Connection: close"]
        for field in lines[1:]:
            name, _, value = field.partition(": ")
            if name.lower() == "proxy-authorization":
                login = base64.b64decode(value.partition(" ")[2]).decode()
            else:
                fields.append(field)
        self.asked.append(Asked(method, target, login))
        if login != self._login:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        authority, slash, path = target.removeprefix("http://").partition("/")
        try:
            server = socket.create_connection(self._address(authority), 5)
        except OSError:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        with server:
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\nX-Proxy: here\r\n\r\n")
            else:
                head = "\r\n".join([f"{method} {slash}{path} HTTP/1.1", *fields])
                server.sendall(head.encode("latin-1") + b"\r\n\r\n" + rest)
            self._spawn(self._pump, client, server)
            self._pump(server, client)

    def _address(self, authority: str) -> tuple[str, int]:
        host, _, port = authority.rpartition(":")
        return self._names[authority] if authority in self._names else (host.strip("[]"), int(port))

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
