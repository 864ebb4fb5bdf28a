"""A registry and a client that has nothing in common with it but HTTP."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from kit_conformance.testbed.kits import ModelKit, Noise, pack
from kit_conformance.testbed.registry import Registry
from kit_conformance.testbed.serving import free_ports

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping
    from http.client import HTTPMessage

INITIALIZER = Path(__file__).parents[2] / "initializer" / "src"
SUBJECT = f"""#!{sys.executable}
import os, sys
sys.path.insert(0, {str(INITIALIZER)!r})
from kit_initializer.cli import main
sys.exit(main(sys.argv[1:], os.environ))
"""
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
def kit() -> ModelKit:
    """Return a kit with one layer of about 200 KB."""
    return pack({"model.bin": Noise(200_000, seed=1)}, KITFILE)


@pytest.fixture
def honest(tmp_path: Path) -> str:
    """Return our own initializer as a subject, whether or not it is installed."""
    path = tmp_path / "initializer"
    path.write_text(SUBJECT, "utf-8")
    path.chmod(0o755)
    return f"command:{path}"


@pytest.fixture
def docker_registry(tmp_path: Path) -> Iterator[str]:
    """Give the host of a docker-registry of our own."""
    (port,) = free_ports(1)
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    (tmp_path / "registry.yml").write_text(json.dumps(config))
    binary = shutil.which("docker-registry")
    assert binary is not None
    process = subprocess.Popen(
        [binary, "serve", tmp_path / "registry.yml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(f"127.0.0.1:{port}", process)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(host: str, process: subprocess.Popen[bytes], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        assert process.poll() is None, "docker-registry ended"
        connection = http.client.HTTPConnection(host, timeout=1)
        try:
            connection.request("GET", "/v2/")
            connection.getresponse().read()
        except OSError:
            assert time.monotonic() < deadline, "docker-registry does not answer"
            time.sleep(0.02)
        else:
            return
        finally:
            connection.close()
