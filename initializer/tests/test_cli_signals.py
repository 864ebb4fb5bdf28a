"""The command and signals: it ends within a second, and writes nothing after that."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from initializer.tests.conftest import failed
from initializer.tests.destinations import KITFILE
from kit_conformance.testbed.kits import Noise, pack
from kit_conformance.testbed.registry import Registry, faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from initializer.tests.conftest import Command, Trees


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("at", ["manifest", "blob"])
def test_a_signal_ends_the_run_within_a_second(
    *,
    number: signal.Signals,
    at: str,
    registry: Registry,
    initialize: Command,
    destination: Path,
    trees: Trees,
) -> None:
    kit = pack({"model/weights.bin": Noise(3_000_000)}, KITFILE)
    uri = registry.add(kit, "iris", "v1")
    registry.inject(faults.Stall(after=2_000_000) if at == "blob" else faults.Hang(), kind=at, times=1)
    process = initialize.start(uri, destination)
    assert registry.ledger.wait_for(1, kind=at)
    time.sleep(0.1)
    began = time.monotonic()
    process.send_signal(number)
    run = process.end()
    assert time.monotonic() - began < 1
    assert run.code == 128 + number
    assert run.last == run.message
    assert run.last.startswith(f"stopped by {number.name} before everything was published")
    registry.heal()
    assert initialize(uri, destination).code == 0
    trees.check(destination, kit)


@contextlib.contextmanager
def full() -> Iterator[str]:
    """Give `host:port` to which no connection comes about: the queue of those that wait is full (listen(2))."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(listener.getsockname())
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_registry_that_no_connection_reaches_is_5(initialize: Command, destination: Path) -> None:
    with full() as host:
        run = initialize(f"kit://{host}/iris:v1", destination, KIT_RETRIES="0", KIT_CONNECT_TIMEOUT="0.2")
    failed(run, 5, "unreachable", host, "timed out")
    assert run.seconds < 10


def test_a_signal_while_connecting_ends_the_run_within_a_second(
    initialize: Command, registry: Registry, destination: Path
) -> None:
    """A thread that waits for a connection is not waited for."""
    kit = pack({"model/weights.bin": Noise(3_000_000)}, KITFILE)
    uri = registry.add(kit, "iris", "v1")
    with full() as host:
        registry.inject(faults.RedirectTo(f"http://{host}/blob"), kind="blob")
        process = initialize.start(uri, destination)
        assert registry.ledger.wait_for(1, kind="blob")
        time.sleep(0.1)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.end().code == 143
        assert time.monotonic() - began < 1


def test_nothing_is_written_after_a_signal(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    uri = registry.add(pack({"model/weights.bin": Noise(20_000_000)}, KITFILE), "iris", "v1")
    registry.inject(faults.Bandwidth(2_000_000), kind="blob")
    process = initialize.start(uri, destination)
    deadline = time.monotonic() + 10
    while not list(destination.rglob("weights.bin")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.end().code == 143
    left = {path: path.lstat().st_mtime_ns for path in destination.rglob("*")}
    time.sleep(0.2)
    assert {path: path.lstat().st_mtime_ns for path in destination.rglob("*")} == left
