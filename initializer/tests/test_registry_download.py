"""One blob on its way to its reader, over real sockets: by one connection, by several, and by the reader itself."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from initializer.tests.clients import BLOB, LAYER, SEGMENT
from kit_conformance.testbed.registry import faults
from kit_initializer.errors import NotFoundError
from kit_initializer.registry import Download
from kit_initializer.tuning import RUN

if TYPE_CHECKING:
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


def test_the_reader_checks_while_the_connection_waits_for_more(
    repository: Repository, registry: Server
) -> None:
    stall = registry.inject(faults.Stall(after=2 * SEGMENT + 100), kind="blob", times=1)
    reading = Reading(repository, SEGMENT)
    reading.download.connect()
    parts = reading.download.read()
    assert bytes(next(parts)) + bytes(next(parts)) == reading.checked == BLOB[: 2 * SEGMENT]
    assert stall.hits == 1
    reading.download.window.fail(NotFoundError("enough"))
    registry.heal()


def test_the_connection_checks_while_the_reader_is_busy(repository: Repository) -> None:
    reading = Reading(repository, SEGMENT)
    reading.download.connect()
    deadline = time.monotonic() + 10
    while len(reading.checked) < RUN * SEGMENT:  # all that the window holds, and nobody has read yet
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert reading.all() == BLOB


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
    asked = [entry.range.removeprefix("bytes=").split("-") for entry in registry.ledger.requests(kind="blob")]
    lengths = [int(last) - int(first) + 1 for first, last in filter(lambda each: len(each) == 2, asked)]
    assert sum(length > RUN * SEGMENT // 8 for length in lengths) == 1  # to the end, once it is alone
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
