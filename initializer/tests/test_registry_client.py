"""Blobs and manifests over real sockets, called as the rooms above call it: what the command cannot bring about."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
import threading
import time
from threading import Event
from typing import TYPE_CHECKING

import pytest

from kit_conformance.testbed.kits import Noise, pack
from kit_conformance.testbed.registry import Basic, Fault, faults
from kit_conformance.testbed.registry import Registry as Server
from kit_conformance.testbed.registry.wire import Memory, Response
from kit_initializer.credentials import Login
from kit_initializer.errors import (
    DeniedError,
    IntegrityError,
    NotAModelKitError,
    NotFoundError,
    TLSError,
    UnreachableError,
)
from kit_initializer.registry import Download, Registry, Source, StoppedError
from kit_initializer.registry.retry import TransientError
from kit_initializer.registry.url import origin_of
from kit_initializer.secret import Secret
from kit_initializer.settings import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kit_conformance.testbed.registry.faults import Exchange
    from kit_initializer.registry import Repository

QUICK = {
    "KIT_UNPACK_FLAGS": "--plain-http",
    "KIT_RETRIES": "1",
    "KIT_FIRST_BYTE_TIMEOUT": "5",
    "KIT_STALL_TIMEOUT": "5",
    "KIT_PROGRESS_TIMEOUT": "2",
}
SEGMENT = 64 * 1024
KIT = pack(
    {"m": Noise(8 * SEGMENT - 2000)}, {"manifestVersion": "1.0.0", "package": {}, "model": {"path": "m"}}
)
LAYER = KIT.layers[0]
BLOB = LAYER.read()


@contextlib.contextmanager
def connected(errands: Iterable[Callable[[], None]] = ()) -> Iterator[Registry]:
    """Give a client, and close what connections it has in the end."""
    login = Login("ann", Secret("pw"), None, "a test")
    said: list[str] = []
    client = Registry(
        read(QUICK), lambda _: login, Event(), say=said.append, warn=said.append, errands=errands
    )
    yield client
    client.abort()
    for wire in tuple(client.transport._live):
        client.transport.drop(wire)


@pytest.fixture
def client() -> Iterator[Registry]:
    with connected() as client:
        yield client


@pytest.fixture
def repository(registry: Server, client: Registry) -> Repository:
    registry.add(KIT, "k", "v1")
    return client.repository(registry.host, "k")


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


def test_errands_are_done_one_by_one_while_answers_are_awaited(registry: Server) -> None:
    registry.add(KIT, "k", "v1")
    registry.inject(faults.Hang(), kind="manifest", times=1)
    done: list[int] = []

    def errand() -> None:
        done.append(len(done))
        deadline = time.monotonic() + 5
        while not any(entry.faults for entry in registry.ledger):
            assert time.monotonic() < deadline, "the request has not been sent"
            time.sleep(0.01)
        registry.release()  # only now the answer comes

    with connected([errand] * 2) as client:
        repository = client.repository(registry.host, "k")
        for expected in ([0], [0, 1], [0, 1]):
            repository.manifest("v1", "*/*", "it")
            assert done == expected


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


def source(repository: Repository, size: int = LAYER.size) -> Source:
    return Source(repository, LAYER.digest, size, "it", repository.patience(attempts=2))


@pytest.mark.parametrize("after", [0, 5000])
def test_a_body_without_a_length_that_ends_early(
    repository: Repository, registry: Server, after: int
) -> None:
    """Its end looks like any end: only the size that was promised tells that bytes are missing."""

    class Short(Fault):
        def amend(self, exchange: Exchange, response: Response) -> Response:
            del exchange
            return Response(200, {"Connection": "close"}, response.content, stop=after, chunked=True)

    hit = registry.inject(Short(), kind="blob", times=1)
    registry.inject(faults.NoRange(), kind="blob")
    short = source(repository)
    view = memoryview(bytearray(10_000))
    assert short.fill(view, 0, None)
    assert (bytes(view), hit.hits) == (BLOB[:10_000], 1)
    registry.inject(Short(), kind="blob", times=1)
    assert short.fill(view, 40_000, None)  # passes over what it does not want, twice
    assert bytes(view) == BLOB[40_000:50_000]
    short.close()


def test_a_layer_that_is_shorter_than_promised_is_an_integrity_error(repository: Repository) -> None:
    with pytest.raises(IntegrityError, match="fewer than its"):
        source(repository, LAYER.size + 10).fill(memoryview(bytearray(10)), LAYER.size, None)
    with pytest.raises(IntegrityError, match="bytes where"):
        source(repository, LAYER.size + 10).fill(memoryview(bytearray(10)), 0, None)


@pytest.mark.parametrize(
    "value", ["", "bytes", "bytes */5", "bytes \u00b2-5/9", "lines 1000-2000/9", "bytes 1000-2000/9"]
)
def test_a_range_that_says_something_else(repository: Repository, registry: Server, value: str) -> None:
    registry.inject(faults.Header("Content-Range", value), kind="blob")
    with pytest.raises(IntegrityError, match="was asked for bytes 1000"):
        source(repository).fill(memoryview(bytearray(1000)), 1000, 2000)


def test_a_range_of_an_unknown_total(repository: Repository, registry: Server) -> None:
    registry.inject(faults.Header("Content-Range", "bytes 1000-1999/*"), kind="blob")
    view = memoryview(bytearray(1000))
    short = source(repository)
    assert short.fill(view, 1000, 2000)
    assert bytes(view) == BLOB[1000:2000]
    short.close()


def test_a_manifest_by_its_digest_is_verified(repository: Repository, registry: Server) -> None:
    fetched = repository.manifest(KIT.digest, "*/*", "it")
    assert (fetched.body, fetched.digest) == (KIT.manifest, KIT.digest)
    assert fetched.media_type == "application/vnd.oci.image.manifest.v1+json"
    registry.inject(faults.Replace(b"{}"), kind="manifest")
    registry.inject(faults.no_digest_header(), kind="manifest")
    with pytest.raises(IntegrityError):
        repository.manifest(KIT.digest, "*/*", "it")
    assert repository.manifest("v1", "*/*", "it").digest == "sha256:" + hashlib.sha256(b"{}").hexdigest()
    with pytest.raises(NotAModelKitError):
        repository.manifest("sha256:1", "*/*", "it")


def test_a_config_beyond_any_size(repository: Repository, registry: Server) -> None:
    with pytest.raises(IntegrityError, match="which no config has"):
        repository.small(LAYER.digest, 5_000_000, "it")
    assert not len(registry.ledger)


def test_a_registry_whose_errors_say_odd_things(repository: Repository, registry: Server) -> None:
    for body in (
        b"",
        b"[]",
        b"{}",
        b'{"errors": []}',
        b'{"errors": [3]}',
        b"\xff",
        b"[" * 50_000,
        bytes(100_000),
    ):

        class Odd(Fault):
            def answer(self, exchange: Exchange, body: bytes = body) -> Response:
                del exchange
                return Response(404, {}, Memory(body))

        registry.inject(Odd(), kind="manifest")
        with pytest.raises(NotFoundError, match=r"^it is not there"):
            repository.manifest("v1", "*/*", "it")
        registry.heal()


def test_a_login_is_looked_for_once_and_only_when_asked(client: Registry) -> None:
    with Server(auth=Basic({"ann": "pw"})) as server:
        server.add(KIT, "k", "v1")
        repository = client.repository(server.host, "k")
        before = repository.login
        repository.manifest("v1", "*/*", "it")
        after = repository.login
        assert (before, after and after.username) == (None, "ann")
        anonymous = client.repository(server.host, "k", anonymous=True)
        with pytest.raises(DeniedError, match="anonymous"):
            anonymous.manifest("v1", "*/*", "it")
        assert anonymous.login is None


def test_docker_hub_has_another_name_for_its_registry(client: Registry) -> None:
    for name in ("docker.io", "index.docker.io"):
        assert client.repository(name, "k")._origin.host == "registry-1.docker.io"


def test_after_an_abort_nothing_is_asked_any_more(
    repository: Repository, registry: Server, client: Registry
) -> None:
    repository.manifest("v1", "*/*", "it")
    client.abort()
    asked = len(registry.ledger)
    with pytest.raises(StoppedError):
        repository.manifest("v1", "*/*", "it")
    assert len(registry.ledger) == asked


def test_an_abort_ends_what_is_under_way(repository: Repository, registry: Server, client: Registry) -> None:
    registry.inject(faults.Stall(after=1000), kind="blob")
    threading.Timer(0.3, client.abort).start()
    with pytest.raises(StoppedError):
        source(repository).fill(memoryview(bytearray(5000)), 0, None)


def test_no_more_connections_are_kept_than_make_sense(repository: Repository, client: Registry) -> None:
    transport, origin = client.transport, repository._origin
    wires = [transport._connect(origin, None) for _ in range(40)]
    for wire in wires:
        transport.keep(origin, wire)
    assert len(transport._live) == 32
    assert [wire.sock.fileno() for wire in wires].count(-1) == 8


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), UnreachableError, "there is no such host"),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), TransientError, "try again"),
        (TimeoutError(), TransientError, "timed out"),
        (ConnectionResetError(104, "Connection reset by peer"), TransientError, "Connection reset by peer"),
        (OSError(), TransientError, "OSError"),
        (ValueError("odd"), TransientError, "odd"),
        (ssl.SSLEOFError(8, "EOF occurred"), TransientError, "EOF occurred"),
        (ssl.SSLError(1, "[SSL: UNSUPPORTED] x"), TLSError, "no TLS with r.example"),
        (NotFoundError("mine"), NotFoundError, "^mine$"),
    ],
)
def test_what_a_failure_means(client: Registry, error: Exception, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        raise client.transport.failure(origin_of("https://r.example"), error, "no answer")
