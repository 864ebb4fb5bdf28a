"""Fakes of Entra's token endpoint and of the exchange of an Azure registry, and the way to the latter.

The registry's name cannot be resolved to loopback, so it is reached as in a closed network: by a proxy that tunnels
(CONNECT, RFC 9110) whatever host is named to the one fake.
"""

from __future__ import annotations

import json
import select
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from initializer.tests.fakes.server import Answer, Asked

if TYPE_CHECKING:
    from collections.abc import Iterator

TENANT, CLIENT = "fake-tenant", "fake-client"
ASSERTION = "fake-federated-token"
ACCESS = "canary-entra-token"
REFRESH = "canary-registry-token"


def entra(request: Asked) -> Answer:
    """Answer the client credentials flow with a federated assertion."""
    form = _form(request)
    expected = {
        "grant_type": "client_credentials",
        "client_id": CLIENT,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "scope": "https://containerregistry.azure.net/.default",
    }
    if request.path != f"/{TENANT}/oauth2/v2.0/token" or any(form.get(k) != v for k, v in expected.items()):
        return Answer(400, json.dumps({"error": "invalid_request"}))
    if form.get("client_assertion") != ASSERTION:
        error = {
            "error": "invalid_client",
            "error_description": f"AADSTS70021: {form.get('client_assertion')}",
        }
        return Answer(401, json.dumps(error))
    return Answer(200, json.dumps({"token_type": "Bearer", "expires_in": 3599, "access_token": ACCESS}))


def exchange(request: Asked) -> Answer:
    """Exchange an access token of Entra for a refresh token of the registry."""
    form = _form(request)
    expected = {"grant_type": "access_token", "tenant": TENANT, "access_token": ACCESS}
    right = (
        all(form.get(k) == v for k, v in expected.items()) and form.get("service") == request.headers["host"]
    )
    if request.path != "/oauth2/exchange" or not right:
        return Answer(401, json.dumps({"errors": [{"code": "UNAUTHORIZED"}]}))
    return Answer(200, json.dumps({"refresh_token": REFRESH}))


@contextmanager
def tunnel(target: str) -> Iterator[tuple[str, list[str]]]:
    """Tunnel every CONNECT to `target` (host:port); gives the proxy's `host:port` and what was asked for."""
    asked: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    closing = threading.Event()
    threads: list[threading.Thread] = []

    def accept() -> None:
        while not closing.is_set():
            with suppress(TimeoutError):
                client, _ = listener.accept()
                thread = threading.Thread(target=serve, args=(client,), daemon=True)
                threads.append(thread)
                thread.start()

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(10)
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            asked.append(head.split(b" ")[1].decode())
            name, _, port = target.partition(":")
            with socket.create_connection((name, int(port)), timeout=10) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                pump(client, server)

    def pump(client: socket.socket, server: socket.socket) -> None:
        while not closing.is_set():
            for ready in select.select([client, server], [], [], 0.1)[0]:
                data = ready.recv(65536)
                if not data:
                    return
                (server if ready is client else client).sendall(data)

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", asked
    finally:
        closing.set()
        for thread in [accepting, *threads]:
            thread.join(timeout=10)
        listener.close()


def _form(request: Asked) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(request.body.decode()).items()}
