"""One blob on its way to its reader, over real sockets: by one connection, by several, and by the reader itself."""

from __future__ import annotations

import threading
import time
from threading import Event
from typing import TYPE_CHECKING

import pytest

from initializer.tests.clients import BLOB, LAYER, SEGMENT
from kit_conformance.testbed.registry import faults
from kit_initializer.errors import NotFoundError
from kit_initializer.registry import Download

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit_conformance.testbed.registry import Registry as Server
    from kit_initializer.registry import Repository


class Reading:
    """A download whose reader, and whose check, see every byte once."""

    def __init__(self, repository: Repository, segment: int) -> None:
        self.checked = bytearray()
        self.download = Download(
            repository, LAYER.digest, LAYER.size, "it", check=self.checked.extend, segment=segment
        )

    def all(self) -> bytes:
        """Read to the end, which must come."""
        seen = bytearray()
        problems: list[BaseException] = []

        def run() -> None:
            try:
                for part in self.download.read():
                    seen.extend(part)
            except BaseException as error:  # noqa: BLE001 - looked at below
                problems.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive(), "the reader waits for ever"
        if problems:
            raise problems[0]
        assert seen == self.checked
        return bytes(seen)


@pytest.mark.parametrize("connections", [1, 2, 4])
def test_a_blob_over_several_connections(repository: Repository, registry: Server, connections: int) -> None:
    reading = Reading(repository, SEGMENT // 8)
    registry.inject(faults.Slices(SEGMENT // 4, pause=0.002), kind="blob")
    for _ in range(connections):
        reading.download.connect()
    assert reading.all() == BLOB
    assert len({entry.connection for entry in registry.ledger.requests(kind="blob")}) <= 2 * connections


class Ahead:
    """A download whose second segment is being checked, until it is let go, while its reader wants to read that."""

    def __init__(self, repository: Repository) -> None:
        self.reading = Reading(repository, SEGMENT)
        self.window = self.reading.download.window
        self._begun, self._go = Event(), Event()
        self._check, self._checks = self.window._check, 0
        self.window._check = self._hold
        self._seen = bytearray()
        self.landed: list[int] = []  # bytes, when each segment was read
        self.problem: BaseException | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)

    def _hold(self, view: memoryview) -> None:
        self._checks += 1
        if self._checks == 2:
            self._begun.set()
            assert self._go.wait(10)
        self._check(view)

    def _read(self) -> None:
        try:
            for part in self.reading.download.read():
                self.landed.append(self.window.received)
                assert self._begun.wait(10)
                self._seen.extend(part)
        except BaseException as error:  # noqa: BLE001 - raised below
            self.problem = error

    def begin(self) -> None:
        self.reading.download.connect()
        self._thread.start()
        assert self._begun.wait(10)

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def rest(self) -> bytes:
        """Let the check go on, and return what was read to the end."""
        self._go.set()
        self._thread.join(20)
        assert not self._thread.is_alive()
        if self.problem is not None:
            raise self.problem
        assert self._seen == self.reading.checked
        return bytes(self._seen)


def test_the_reader_receives_while_the_connection_checks(repository: Repository, registry: Server) -> None:
    ahead = Ahead(repository)
    ahead.begin()
    ahead.wait(lambda: ahead.window.received == 5 * SEGMENT)  # one is read, four are held
    assert not ahead.window.readable
    assert ahead.rest() == BLOB
    assert len(registry.ledger.requests(kind="blob")) == 1


def test_the_reader_stops_receiving_when_there_is_something_to_read(
    repository: Repository, registry: Server
) -> None:
    registry.inject(faults.Slices(SEGMENT // 8, pause=0.02), kind="blob")
    ahead = Ahead(repository)
    ahead.begin()
    came = ahead.reading.download.arrived
    ahead.wait(lambda: ahead.reading.download.arrived > came)
    assert ahead.window.received == 2 * SEGMENT
    assert ahead.rest() == BLOB
    assert ahead.landed[1] == 2 * SEGMENT  # the third, which the reader had begun, was not waited for
    assert len(registry.ledger.requests(kind="blob")) == 1


def test_the_reader_reconnects_where_it_receives(repository: Repository, registry: Server) -> None:
    registry.inject(faults.Cut(3 * SEGMENT - 1000), kind="blob", times=1)
    ahead = Ahead(repository)
    ahead.begin()
    ahead.wait(lambda: ahead.window.received == 5 * SEGMENT)
    assert ahead.rest() == BLOB
    assert len(registry.ledger.requests(kind="blob")) == 2


def test_what_the_reader_cannot_fetch_ends_the_download(repository: Repository, registry: Server) -> None:
    registry.inject(faults.Cut(3 * SEGMENT - 1000), kind="blob", times=1)
    registry.inject(faults.Status(404), kind="blob", when=lambda request: "range" in request.headers)
    ahead = Ahead(repository)
    ahead.begin()
    ahead.wait(lambda: ahead.problem is not None)
    with pytest.raises(NotFoundError):
        ahead.rest()
    assert len(registry.ledger.requests(kind="blob")) == 2


def test_another_connection_joins_while_the_reader_receives(repository: Repository, registry: Server) -> None:
    registry.inject(faults.Slices(SEGMENT // 8, pause=0.02), kind="blob")
    ahead = Ahead(repository)
    ahead.begin()
    came = ahead.reading.download.arrived
    ahead.wait(lambda: ahead.reading.download.arrived > came)
    ahead.reading.download.connect()
    assert ahead.rest() == BLOB
    assert ahead.reading.download.delivered == 2


def test_connections_end_and_the_last_one_streams_again(repository: Repository, registry: Server) -> None:
    registry.inject(faults.Bandwidth(300_000), kind="blob")
    reading = Reading(repository, SEGMENT // 8)
    for _ in range(4):
        reading.download.connect()
    assert registry.ledger.wait_for(4, kind="blob")
    for _ in range(4):
        reading.download.disconnect()
    assert reading.download.connections == 1
    registry.heal()
    assert reading.all() == BLOB
    ranges = [entry.headers.get("range", "") for entry in registry.ledger.requests(kind="blob")]
    assert sum(each.endswith("-") for each in ranges) == 1  # to the end, once it is alone
    assert 4 <= reading.download.delivered <= 5
    assert reading.download.arrived >= len(BLOB)


def test_the_last_range_that_a_server_ignores(repository: Repository, registry: Server) -> None:
    """The connection that should give it back is the only one left: nobody else would ever fetch it."""
    registry.inject(faults.NoRange(), kind="blob")
    registry.inject(faults.Bandwidth(4_000_000), kind="blob")
    late = registry.inject(
        faults.Latency(1.5), kind="blob", times=1, when=lambda request: "range" in request.headers
    )
    reading = Reading(repository, SEGMENT)
    reading.download.connect()
    assert registry.ledger.wait_for(1, kind="blob")
    reading.download.connect()
    assert reading.all() == BLOB
    assert late.hits > 0


def test_a_range_that_a_server_ignores_is_left_to_others(repository: Repository, registry: Server) -> None:
    registry.inject(faults.NoRange(), kind="blob")
    registry.inject(faults.Bandwidth(2_000_000), kind="blob")
    reading = Reading(repository, SEGMENT // 8)
    for _ in range(3):
        reading.download.connect()
    assert reading.all() == BLOB
    assert not reading.download.divisible()


def test_what_cannot_be_fetched_reaches_the_reader(repository: Repository, registry: Server) -> None:
    registry.inject(faults.Status(404), kind="blob")
    reading = Reading(repository, SEGMENT)
    reading.download.connect()
    with pytest.raises(NotFoundError):
        reading.all()
