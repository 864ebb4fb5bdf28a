"""Registries of others, as processes and containers that can be killed and started again, and a network that breaks."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Self

from kit_conformance.testbed.serving import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

USER = ("ann", "grey-otter")
# htpasswd -nbB -C 5 ann grey-otter
_HTPASSWD = "ann:$2b$05$abcdefghijklmnopqrstuuUdmrdpu11r80xa6zks2bMNZqouSG9ua\n"
_PATIENCE_S = 30


class Real:
    """A registry of somebody else's on loopback, which keeps its port and its blobs; use it with `with`."""

    def __init__(self, command: list[str], port: int, folder: Path, name: str = "") -> None:
        self.host = f"127.0.0.1:{port}"
        self._command = command
        self._log = folder / "registry.log"
        self._container = name
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        with self._log.open("ab") as log:
            environ = os.environ | {"OTEL_TRACES_EXPORTER": "none"}
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=environ)
        deadline = time.monotonic() + _PATIENCE_S
        while not self._answers():
            said = self._log.read_text("utf-8", "replace")[-2000:]
            assert self._process.poll() is None, f"it has ended:\n{said}"
            assert time.monotonic() < deadline, f"it does not answer:\n{said}"
            time.sleep(0.05)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(self.host, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/v2/")
            return connection.getresponse().status in {200, 401}
        return False

    def kill(self) -> None:
        """End at once, in the middle of whatever it sends."""
        assert self._process is not None
        if self._container:
            subprocess.run(["docker", "kill", self._container], capture_output=True, check=False)
            self._process.wait(_PATIENCE_S)
        else:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(_PATIENCE_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def _distribution(folder: Path, *, login: bool, addr: str, root: str, passwords: str) -> Path:
    """Write a configuration of distribution, the same for its versions 2 and 3."""
    (folder / "store").mkdir(exist_ok=True)
    (folder / "htpasswd").write_text(_HTPASSWD)
    config: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": root}},
        "http": {"addr": addr},
    }
    if login:
        config["auth"] = {"htpasswd": {"realm": "interop", "path": passwords}}
    path = folder / "registry.yml"
    path.write_text(json.dumps(config))
    return path


def _binary(name: str) -> Callable[[Path, bool], Real]:
    def make(folder: Path, login: bool) -> Real:
        (port,) = free_ports(1)
        store, passwords = str(folder / "store"), str(folder / "htpasswd")
        addr = f"127.0.0.1:{port}"
        config = _distribution(folder, login=login, addr=addr, root=store, passwords=passwords)
        return Real([name, "serve", str(config)], port, folder)

    return make


def _image(folder: Path, login: bool) -> Real:
    """Run registry:2 with its blobs in the test's folder, so that they outlive the container."""
    (port,) = free_ports(1)
    _distribution(folder, login=login, addr=":5000", root="/lab/store", passwords="/lab/htpasswd")
    name = f"kit-initializer-interop-{port}"
    run = ["docker", "run", "--rm", "--name", name, "--user", f"{os.getuid()}:{os.getgid()}"]
    where = ["--publish", f"127.0.0.1:{port}:5000", "--volume", f"{folder}:/lab"]
    return Real([*run, *where, "registry:2", "serve", "/lab/registry.yml"], port, folder, name)


def _crane(folder: Path, login: bool) -> Real:
    """Run the registry of go-containerregistry, which knows no logins and keeps blobs alone on disk."""
    assert not login
    (port,) = free_ports(1)
    (folder / "store").mkdir(exist_ok=True)
    command = [
        "crane",
        "registry",
        "serve",
        "--address",
        f"127.0.0.1:{port}",
        "--disk",
        str(folder / "store"),
    ]
    return Real(command, port, folder)


# By the name that marks what a test needs (conftest.py).
REGISTRIES: dict[str, Callable[[Path, bool], Real]] = {
    "docker-registry": _binary("docker-registry"),
    "distribution": _binary("registry"),
    "registry:2": _image,
    "crane": _crane,
}


class Cutting:
    """A network before a server that breaks one connection off after so many bytes of what comes back.

    `passed` counts what has come back over all connections.
    """

    def __init__(self, host: str, after: int) -> None:
        address, _, port = host.partition(":")
        self._server = (address, int(port))
        self._after = after
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.cut = False
        self.passed = 0

    @property
    def host(self) -> str:
        """Return `address:port`."""
        address, port = self._listener.getsockname()
        return f"{address}:{port}"

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(_PATIENCE_S)

    def _spawn(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(self._server, 10) as server:
            server.settimeout(None)
            back = threading.Thread(target=self._back, args=(server, client), daemon=True)
            back.start()
            try:
                while data := client.recv(64 * 1024):
                    server.sendall(data)
            finally:
                _end(server)
                back.join()

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        seen = 0
        with contextlib.suppress(OSError):
            while data := server.recv(64 * 1024):
                seen += len(data)
                with self._lock:
                    self.passed += len(data)
                    cuts = not self.cut and seen > self._after
                    self.cut = self.cut or cuts
                if cuts:
                    break
                client.sendall(data)
        _end(client)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
