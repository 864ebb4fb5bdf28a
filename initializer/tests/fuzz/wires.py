"""A server that answers anything: heads, bodies, challenges, redirects, tokens, to a client that wants a kit."""

from __future__ import annotations

import contextlib
import gzip
import socket
from threading import Event, Thread
from typing import TYPE_CHECKING

from initializer.tests.fuzz.changes import altered, changed, dumped
from initializer.tests.fuzz.texts import refused
from kit_conformance.testbed.kits import pack
from kit_initializer.credentials.logins import Logins
from kit_initializer.deadline import Deadline
from kit_initializer.errors import InitializerError
from kit_initializer.http import Transport
from kit_initializer.pull.resolve import contents, resolve
from kit_initializer.pull.run import network
from kit_initializer.reference import parse
from kit_initializer.registry import Registry
from kit_initializer.settings import read

if TYPE_CHECKING:
    import random
    from pathlib import Path

_KIT = pack({"model/w": b"1"}, {"manifestVersion": "1.0.0", "model": {"path": "model"}})
_PIECES = [
    *(
        b"\r\n",
        b"\n",
        b": ",
        b"HTTP/1.1 ",
        b"100 Continue\r\n\r\n",
        b"103",
        b"204",
        b"999",
        b"chunked",
        b"gzip",
        b"-1",
    ),
    *(
        b"\xff",
        b"\0",
        b"\x1b[31m",
        b'"',
        b"\\",
        b",",
        b"=",
        b"Bearer ",
        b"Basic ",
        b"x" * 9000,
        b"Content-Length: 5\r\n",
    ),
]
_SAID = [
    b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>no &#27; &bogus;</Message></Error>",
    b"<html><title>Sign in</title>" + b"<" * 5000,
    b"the upstream is busy \x1b[31m\xc2\x9b",
    b'{"error": "x", "error_description": ["y"]}',
]
_FIELDS = [
    b'WWW-Authenticate: Bearer realm="http://%(host)s/token",service="r",scope="repository:k:pull"',
    b'WWW-Authenticate: Basic realm="a\\"b", Negotiate abc==, Bearer realm = "http://%(host)s/token"',
    b"Location: http://%(host)s/v2/k/blobs/x?X-Amz-Signature=1",
    b"Location: //[",
    b"Retry-After: 0",
    b"Content-Encoding: gzip",
    b"Transfer-Encoding: chunked",
    b"Docker-Content-Digest: sha256:0",
    b"Content-Type: text/html",
    b"Connection: close",
]


def responses(dice: random.Random, _: Path) -> None:
    """Resolve a kit of a server with odd answers."""
    login = {"KIT_USER": "ann", "KIT_PASSWORD": "pw-of-ann"} if dice.random() < 0.5 else {}
    environ = {"KIT_UNPACK_FLAGS": "--plain-http", "KIT_RETRIES": "0", "KIT_PROGRESS_TIMEOUT": "1"}
    settings = read(environ | login)
    limits = settings._replace(first_byte_timeout=0.3, stall_timeout=0.3, connect_timeout=1.0)
    stop, said = Event(), []  # type: ignore[var-annotated]
    with _Server(dice) as host:
        # by way of the server as a proxy: a changed redirect may name any host, and reaches none
        transport = Transport(network(limits)._replace(proxy=f"http://{host}"), Deadline(3), stop)
        logins = Logins(limits, transport, said.append)
        client = Registry(
            transport, logins, stop, plain_http=True, retries=0, say=said.append, warn=said.append
        )
        try:
            contents(client, resolve(client, parse(f"kit://{host}/k:v1")), limits)
        except InitializerError as error:
            refused(error)
        finally:
            transport.close()


class _Server:
    """Answers each request by a changed response."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(5)
        self._host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = Thread(target=self._serve, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        return self._host

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._socket.accept()
                with near, contextlib.suppress(OSError):
                    near.settimeout(2)
                    while request := near.recv(64 * 1024):
                        near.sendall(self._response(request.partition(b"\r\n")[0]))

    def _response(self, line: bytes) -> bytes:
        dice = self._dice
        body = _KIT.manifest if b"/manifests/" in line else _KIT.config
        if b"/token" in line:
            token = {"token": "t0ken-of-the-service", "expires_in": 60}
            body = dumped(altered(token, dice) if dice.random() < 0.5 else token).encode()
        status = dice.choice(
            [b"200 OK"] * 6 + [b"401 No", b"403 No", b"404 \xff", b"307 There", b"429 Slow", b"500 \x1b[m"]
        )
        if status[:1] != b"2" and dice.random() < 0.5:
            body = dumped(
                {"errors": altered([{"code": "DENIED", "message": "no", "detail": {}}], dice)}
            ).encode()
        if status[:1] != b"2" and dice.random() < 0.3:
            body = dice.choice(_SAID)
        if dice.random() < 0.2:
            body = gzip.compress(body, mtime=0)
        fields = [
            each.replace(b"%(host)s", self._host.encode())
            for each in dice.sample(_FIELDS, dice.choice([0, 1, 2, 3]))
        ]
        fields.append(
            b"Content-Length: %d" % dice.choice([len(body), len(body), len(body), len(body) + 9, 0])
        )
        message = (
            b"HTTP/1.1 " + status + b"\r\n" + b"".join(each + b"\r\n" for each in fields) + b"\r\n" + body
        )
        return changed(message, dice, _PIECES) if dice.random() < 0.5 else message
