"""Servers that never finish, although something keeps coming: every run ends, with a deadline and without one."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, NamedTuple

import pytest

from initializer.tests.conftest import failed
from initializer.tests.destinations import KITFILE
from kit_conformance.testbed.kits import Noise, pack
from kit_conformance.testbed.registry import Bearer, Registry, faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from initializer.tests.conftest import Command
    from kit_conformance.testbed.registry import Fault

KIT = pack({"model/weights.bin": Noise(3_000_000), "model/config.json": b"{}"}, KITFILE)
SHORT = {
    "KIT_RETRIES": "0",
    "KIT_CONNECT_TIMEOUT": "1",
    "KIT_FIRST_BYTE_TIMEOUT": "0.7",
    "KIT_STALL_TIMEOUT": "0.7",
    "KIT_PROGRESS_TIMEOUT": "1",
}
LONG = dict.fromkeys(SHORT, "600") | {"KIT_RETRIES": "100", "KIT_TOTAL_TIMEOUT": "0.8"}


class Server(NamedTuple):
    """A fault for requests of one kind, and the limit that it runs into where there is none on the whole run."""

    fault: Fault
    kind: str
    variable: str


FIRST, STALL, PROGRESS = "KIT_FIRST_BYTE_TIMEOUT", "KIT_STALL_TIMEOUT", "KIT_PROGRESS_TIMEOUT"
SERVERS = {
    "silent": Server(faults.Hang(), "manifest", FIRST),
    "status line": Server(faults.Endless.status(), "manifest", FIRST),
    "header": Server(faults.Endless.header(), "manifest", FIRST),
    "headers": Server(faults.Endless.headers(), "manifest", FIRST),
    "interim 103": Server(faults.Endless.interim(103), "manifest", ""),
    "interim 100": Server(faults.Endless.interim(100), "manifest", ""),
    "slow interim": Server(faults.Endless(b"", b"HTTP/1.1 102 Wait\r\n\r\n", 0.2), "manifest", FIRST),
    "chunk size": Server(faults.Endless.chunk_size(), "manifest", STALL),
    "chunk extension": Server(faults.Endless.chunk_extension(), "manifest", STALL),
    "trailers": Server(faults.EndlessTrailers(), "manifest", STALL),
    "body": Server(faults.Slices(1, pause=0.05), "manifest", PROGRESS),
    "config": Server(faults.Slices(1, pause=0.05), "config", PROGRESS),
    "layer": Server(faults.Slices(1, pause=0.05), "blob", PROGRESS),
    "status line of a layer": Server(faults.Endless.status(), "blob", FIRST),
    "chunk size of a layer": Server(faults.Endless.chunk_size(), "blob", STALL),
    "body of an error": Server(
        faults.Endless(b"HTTP/1.1 404 Not Found\r\nContent-Length: 60000\r\n\r\n", b"x"), "manifest", ""
    ),
    "status line of the token service": Server(faults.Endless.status(), "token", FIRST),
    "token": Server(faults.Slices(1, pause=0.05), "token", PROGRESS),
}


@pytest.mark.parametrize("whole", [False, True], ids=["limits of steps", "limit of the run"])
@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_never_finishes_is_given_up(
    *, name: str, whole: bool, initialize: Command, destination: Path
) -> None:
    server = SERVERS[name]
    with Registry(auth=Bearer({}, anonymous=True) if server.kind == "token" else None) as registry:
        uri = registry.add(KIT, "iris", "v1")
        registry.inject(server.fault, kind=server.kind)
        run = initialize(uri, destination, env=LONG if whole else SHORT)
    if name == "body of an error":
        failed(run, 3, "not-found")
    elif whole:
        failed(run, 5, "unreachable", "KIT_TOTAL_TIMEOUT (now 0.8 s)")
    else:
        failed(run, 5, "unreachable", server.variable and f"{server.variable} (now ")
    assert run.seconds < 15


@pytest.mark.parametrize("whole", [False, True], ids=["limits of steps", "limit of the run"])
def test_a_body_that_begins_again_and_drips_is_given_up(
    *, whole: bool, registry: Registry, initialize: Command, destination: Path
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    registry.inject(faults.Cut(after=1_000_000), kind="blob", times=1)
    registry.inject(faults.NoRange(), kind="blob")
    registry.inject(faults.Slices(1, pause=0.05), kind="blob", skip=1)
    run = initialize(uri, destination, KIT_CONCURRENCY="1", env=LONG if whole else SHORT)
    failed(run, 5, "unreachable", "KIT_TOTAL_TIMEOUT" if whole else PROGRESS)
    assert run.seconds < 15


def test_a_body_that_begins_again_has_the_time_that_it_takes(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    """What comes again is not counted as bytes, nor its time as a stall."""
    uri = registry.add(KIT, "iris", "v1")
    registry.inject(faults.Cut(after=2_500_000), kind="blob", times=1)
    registry.inject(faults.NoRange(), kind="blob")
    registry.inject(faults.Bandwidth(2_000_000), kind="blob", skip=1)
    run = initialize(uri, destination, KIT_CONCURRENCY="1", KIT_PROGRESS_TIMEOUT="1", KIT_STALL_TIMEOUT="5")
    assert run.code == 0, run.lines


@contextlib.contextmanager
def dripping(piece: bytes, first: bytes = b"") -> Iterator[str]:
    """Give `host:port` of a server that sends `first` to everybody, and then a piece every 50 ms."""
    closing = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def drip(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.sendall(first)
            while not closing.wait(0.05):
                client.sendall(piece)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        closing.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize("whole", [False, True], ids=["limits of steps", "limit of the run"])
@pytest.mark.parametrize(
    ("first", "piece", "tls"),
    [
        (b"HTTP/1.1 200 ", b"O", False),
        (b"", b"HTTP/1.1 103 Wait\r\n\r\n", False),
        (
            b"\x16\x03\x03\x3f\xff\x02",
            b"\x00",
            True,
        ),  # a TLS record of 16 kB with a ServerHello that never ends
    ],
    ids=["CONNECT", "interim responses to CONNECT", "handshake"],
)
def test_a_connection_that_never_comes_about_is_given_up(
    *, first: bytes, piece: bytes, tls: bool, whole: bool, initialize: Command, destination: Path
) -> None:
    with dripping(piece, first) as host:
        uri = f"kit://{host}/iris:v1" if tls else "kit://r.example/iris:v1"
        proxy = "" if tls else f"http://{host}"
        limits = LONG if whole else SHORT
        run = initialize(uri, destination, KIT_UNPACK_FLAGS="", HTTPS_PROXY=proxy, env=limits)
    failed(run, 5, "unreachable")
    assert run.seconds < 15
