"""Blobs and manifests over real sockets, called as the rooms above call it: what the command cannot bring about."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest

from initializer.tests.clients import BLOB, KIT, LAYER
from kit_conformance.testbed.registry import Basic, Fault, faults
from kit_conformance.testbed.registry import Registry as Server
from kit_conformance.testbed.registry.wire import Memory, Response
from kit_initializer.deadline import Deadline
from kit_initializer.errors import (
    DeniedError,
    IntegrityError,
    NotAModelKitError,
    NotFoundError,
    TLSError,
    UnreachableError,
)
from kit_initializer.http import StoppedError, TransientError, origin_of
from kit_initializer.registry import Registry, Source

if TYPE_CHECKING:
    from kit_conformance.testbed.registry.faults import Exchange
    from kit_initializer.registry import Repository


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


@pytest.mark.parametrize("at", [0, LAYER.size])
def test_a_layer_that_is_shorter_than_promised_is_an_integrity_error(repository: Repository, at: int) -> None:
    with pytest.raises(IntegrityError, match="bytes where"):
        source(repository, LAYER.size + 10).fill(memoryview(bytearray(10)), at, None)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "bytes",
        "bytes */5",
        "bytes \u00b2-5/9",
        "lines 1000-1999/9",
        "bytes 1000-1999/9",
        f"bytes 0-999/{LAYER.size}",
        f"bytes 1001-1999/{LAYER.size}",
    ],
)
def test_a_range_that_says_something_else_is_not_taken(
    repository: Repository, registry: Server, value: str
) -> None:
    registry.inject(faults.Header("Content-Range", value), kind="blob")
    view = memoryview(bytearray(1000))
    assert not source(repository).fill(view, 1000, 2000, spare=True)
    begun_again = source(repository)
    assert begun_again.fill(view, 1000, 2000)
    assert bytes(view) == BLOB[1000:2000]
    begun_again.close()


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
    with pytest.raises(IntegrityError, match="at most 4194304 are read"):
        repository.config(LAYER.digest, 5_000_000, "it")
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
        parent = client.repository(server.host, "k", parent=True)
        with pytest.raises(DeniedError, match="anonymous"):
            parent.manifest("v1", "*/*", "it")
        assert parent.login is None


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
        (TimeoutError(), TransientError, "timed out after 7 s"),
        (TimeoutError(110, "Connection timed out"), TransientError, "Connection timed out"),
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
        raise client.transport.failure(
            origin_of("https://r.example"),
            error,
            "no answer",
            Deadline(7, variable="KIT_X"),
        )
