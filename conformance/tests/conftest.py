"""A registry and a client that has nothing in common with it but HTTP."""

from __future__ import annotations

import contextlib
import http.client
from typing import TYPE_CHECKING, NamedTuple

import pytest

from kit_conformance.testbed.kits import Kit, Noise, pack
from kit_conformance.testbed.registry import Registry

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping
    from http.client import HTTPMessage

KITFILE = {"manifestVersion": "1.0.0", "package": {}, "model": {"name": "m", "path": "model.bin"}}


class Answer(NamedTuple):
    status: int
    headers: HTTPMessage
    body: bytes


class Client:
    """A plain client on one connection at a time."""

    def __init__(self, host: str, context: ssl.SSLContext | None = None, timeout: float = 10.0) -> None:
        self._connection = (
            http.client.HTTPSConnection(host, timeout=timeout, context=context)
            if context
            else http.client.HTTPConnection(host, timeout=timeout)
        )

    def __call__(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        part: str = "",
        token: str = "",
    ) -> Answer:
        """Ask and read the answer whole; `part` is a range, `token` a bearer token."""
        sent = dict(headers or {})
        if part:
            sent["Range"] = f"bytes={part}"
        if token:
            sent["Authorization"] = f"Bearer {token}"
        try:
            self._connection.request(method, target, body, sent)
            with contextlib.closing(self._connection.getresponse()) as response:
                return Answer(response.status, response.headers, response.read())
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as running:
        yield running


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    """Give a maker of clients, which are closed at the end: `connect(host, ssl_context=None, timeout=10)`."""
    with contextlib.ExitStack() as stack:

        def made(host: str, context: ssl.SSLContext | None = None, timeout: float = 10.0) -> Client:
            return stack.enter_context(contextlib.closing(Client(host, context, timeout)))

        yield made


@pytest.fixture
def client(registry: Registry, connect: Callable[..., Client]) -> Client:
    return connect(registry.host)


@pytest.fixture(scope="session")
def kit() -> Kit:
    """Return a kit with one layer of about 200 KB."""
    return pack({"model.bin": Noise(200_000, seed=1)}, KITFILE)
