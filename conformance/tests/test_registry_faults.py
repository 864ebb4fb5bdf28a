"""Each fault does what it says, where it is told to, and nothing else."""

from __future__ import annotations

import http.client
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from kit_conformance.testbed.kits import pack
from kit_conformance.testbed.registry import Bearer, Fault, Registry, faults, refusing, silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conformance.tests.conftest import Client
    from kit_conformance.testbed.kits import ModelKit
    from kit_conformance.testbed.registry.faults import Exchange
    from kit_conformance.testbed.registry.wire import Request, Response

    Connect = Callable[..., Client]

TAG = "/v2/iris/manifests/latest"


@pytest.fixture(params=["memory", "file"])
def target(registry: Registry, kit: ModelKit, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the layer's path; the layer is kept in memory or in a file."""
    if request.param == "file":
        path = tmp_path / "layer"
        path.write_bytes(kit.layers[0].read())
        object.__setattr__(kit.layers[0], "data", path)
    registry.add(kit, "iris")
    return f"/v2/iris/blobs/{kit.layers[0].digest}"


@pytest.fixture
def kit() -> ModelKit:
    return pack({"model.bin": bytes(range(256)) * 800}, {"model": {"path": "model.bin"}})


def test_tamper(registry: Registry, client: Client, kit: ModelKit, target: str) -> None:
    whole = kit.layers[0].read()
    injection = registry.inject(faults.Tamper(1000), kind="blob")
    body = client("GET", target).body
    assert len(body) == len(whole)
    assert [at for at, pair in enumerate(zip(body, whole, strict=True)) if pair[0] != pair[1]] == [1000]
    assert client("GET", target, part="990-1009").body == body[990:1010]
    assert client("GET", target, part="2000-").body == whole[2000:]
    assert client("GET", TAG).body == kit.manifest
    assert injection.hits == 3
    assert registry.ledger.requests(kind="blob")[0].faults == ("Tamper",)
    registry.heal()
    assert client("GET", target).body == whole
    registry.inject(faults.Tamper(-1))
    assert client("GET", target).body[:-1] == whole[:-1]


def test_replace(registry: Registry, client: Client, kit: ModelKit, target: str) -> None:
    other = bytes(kit.layers[0].size)
    registry.inject(faults.Replace(other), kind="blob")
    answer = client("GET", target)
    assert (answer.body, answer.headers["Docker-Content-Digest"]) == (other, kit.layers[0].digest)
    assert client("GET", target, part="5-9").body == bytes(5)


@pytest.mark.parametrize("after", [0, 1, 70_000])
def test_cut(registry: Registry, client: Client, kit: ModelKit, target: str, after: int) -> None:
    registry.inject(faults.Cut(after), kind="blob", times=1)
    with pytest.raises(http.client.IncompleteRead) as caught:
        client("GET", target)
    assert caught.value.partial == kit.layers[0].read()[:after]
    assert registry.ledger.settle()
    assert [(entry.sent, entry.ended) for entry in registry.ledger] == [(after, "cut")]
    assert client("GET", target, part=f"{after}-").body == kit.layers[0].read()[after:]


def test_body_faults_leave_head_alone(registry: Registry, client: Client, target: str) -> None:
    injection = registry.inject(faults.Cut(0), times=1)
    assert client("HEAD", target).status == 200
    assert injection.hits == 0


@pytest.mark.parametrize("after", [0, 70_000])
def test_reset(registry: Registry, client: Client, target: str, after: int) -> None:
    registry.inject(faults.Reset(after), kind="blob", times=1)
    with pytest.raises(ConnectionResetError):
        client("GET", target)
    assert client("GET", target).status == 200


@pytest.mark.parametrize("after", [0, 70_000])
def test_stall_until_released(
    registry: Registry, client: Client, kit: ModelKit, target: str, after: int
) -> None:
    registry.inject(faults.Stall(after), kind="blob", times=1)
    answers: list[bytes] = []
    thread = threading.Thread(target=lambda: answers.append(client("GET", target).body))
    thread.start()
    assert registry.ledger.wait_for(1, kind="blob")
    thread.join(0.1)
    assert thread.is_alive()
    assert registry.ledger.requests(kind="blob")[0].sent in {0, after}
    registry.release()
    thread.join(5)
    assert answers == [kit.layers[0].read()]


@pytest.mark.parametrize("fault", [faults.Stall(10), faults.Hang()])
def test_stall_ends_when_the_client_leaves(
    registry: Registry, connect: Connect, target: str, fault: Fault
) -> None:
    registry.inject(fault, kind="blob")
    with pytest.raises(TimeoutError):
        connect(registry.host, timeout=0.1)("GET", target)
    assert registry.ledger.settle(2)
    assert [entry.ended for entry in registry.ledger] == ["left"]


def test_registry_closes_while_something_stalls(registry: Registry, client: Client, target: str) -> None:
    registry.inject(faults.Stall(10), kind="blob")
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            client("GET", target)
        except (OSError, http.client.HTTPException) as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert registry.ledger.wait_for(1, kind="blob")
    started = time.monotonic()
    registry.stop()
    thread.join(5)
    assert failed
    assert time.monotonic() - started < 2


def test_latency(registry: Registry, client: Client, target: str) -> None:
    registry.inject(faults.Latency(0.15), kind="blob", times=1)
    started = time.monotonic()
    client("GET", target)
    assert 0.15 <= time.monotonic() - started < 2
    started = time.monotonic()
    client("GET", target)
    assert time.monotonic() - started < 0.15


def test_bandwidth(registry: Registry, client: Client, kit: ModelKit, target: str) -> None:
    registry.inject(faults.Bandwidth(kit.layers[0].size / 0.3), kind="blob")
    started = time.monotonic()
    assert client("GET", target).body == kit.layers[0].read()
    assert 0.25 <= time.monotonic() - started < 2


def test_slices(registry: Registry, client: Client, target: str) -> None:
    registry.inject(faults.Slices(1, pause=0.01), kind="blob")
    started = time.monotonic()
    assert len(client("GET", target, part="0-19").body) == 20
    assert time.monotonic() - started >= 0.19


def test_status_some_times(registry: Registry, client: Client) -> None:
    registry.inject(faults.Status(429, retry_after="1"), skip=1, times=2)
    answers = [client("GET", "/v2/") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 429, 429, 200]
    assert answers[1].headers["Retry-After"] == "1"
    assert b"TOOMANYREQUESTS" in answers[1].body


@pytest.mark.parametrize(
    ("reset", "error"), [(False, http.client.RemoteDisconnected), (True, ConnectionResetError)]
)
def test_drop(registry: Registry, client: Client, reset: bool, error: type[Exception]) -> None:
    registry.inject(faults.Drop(reset=reset), times=1)
    with pytest.raises(error):
        client("GET", "/v2/")
    assert client("GET", "/v2/").status == 200


def test_garbage(registry: Registry, client: Client, target: str) -> None:
    registry.inject(faults.Garbage(), times=1)
    with pytest.raises(http.client.BadStatusLine):
        client("GET", target)
    assert client("GET", target).status == 200


def test_no_head(registry: Registry, client: Client, target: str) -> None:
    injection = registry.inject(faults.NoHead())
    assert client("GET", target).status == 200
    assert client("HEAD", TAG).status == 405
    assert injection.hits == 1


def test_no_range(registry: Registry, client: Client, kit: ModelKit, target: str) -> None:
    registry.inject(faults.NoRange(), kind="blob")
    answer = client("GET", target, part="10-19")
    assert (answer.status, answer.body) == (200, kit.layers[0].read())
    assert not {"Content-Range", "Accept-Ranges"} & set(answer.headers)


def test_digest_headers(registry: Registry, client: Client, target: str) -> None:
    registry.inject(faults.no_digest_header(), times=1)
    assert "Docker-Content-Digest" not in client("GET", target).headers
    registry.inject(faults.wrong_digest_header(), times=1)
    assert client("GET", target).headers["docker-content-digest"] == "sha256:" + "0" * 64


def test_wrong_length(registry: Registry, client: Client, kit: ModelKit, target: str) -> None:
    registry.inject(faults.WrongLength(10), kind="blob", times=1)
    with pytest.raises(http.client.IncompleteRead) as caught:
        client("GET", target)
    assert caught.value.partial == kit.layers[0].read()
    registry.inject(faults.WrongLength(-10), kind="blob", times=1)
    assert client("GET", target).body == kit.layers[0].read()[:-10]
    with pytest.raises((OSError, http.client.HTTPException)):
        client("GET", TAG)  # the connection is of no use after such an answer
    assert client("GET", TAG).status == 200


@pytest.mark.parametrize("lie", [False, True])
def test_wrong_content_range(
    registry: Registry, client: Client, kit: ModelKit, target: str, lie: bool
) -> None:
    injection = registry.inject(faults.WrongContentRange(by=5, lie=lie), kind="blob")
    assert client("GET", target).status == 200
    answer = client("GET", target, part="10-19")
    assert (answer.status, answer.headers["Content-Range"]) == (206, f"bytes 15-24/{kit.layers[0].size}")
    assert answer.body == (kit.layers[0].read()[10:20] if lie else kit.layers[0].read()[15:25])
    assert injection.hits == 1


def test_chunked(registry: Registry, client: Client, kit: ModelKit, target: str) -> None:
    registry.inject(faults.Chunked())
    for _ in range(2):
        answer = client("GET", target)
        assert answer.body == kit.layers[0].read()
        assert "Content-Length" not in answer.headers
    assert registry.connections == 1
    registry.inject(faults.Cut(100))
    with pytest.raises(http.client.IncompleteRead):
        client("GET", target)


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("relative", [False, True])
def test_redirect(connect: Connect, kit: ModelKit, same: bool, relative: bool) -> None:
    with Registry(auth=Bearer(anonymous=True)) as registry:
        registry.add(kit, "iris")
        injection = registry.inject(faults.Redirect(same=same, relative=relative))
        client = connect(registry.host)
        token = client("GET", "/token?scope=repository:iris:pull").body.split(b'"')[3].decode()
        answer = client("GET", f"/v2/iris/blobs/{kit.layers[0].digest}", token=token)
        assert answer.status == 307
        location = answer.headers["Location"]
        origin = registry if same else registry.elsewhere
        assert location.startswith("/" if same and relative else origin.url)
        there, path = connect(origin.host), location.removeprefix(origin.url)
        assert there("GET", path, part="1-2").body == kit.layers[0].read()[1:3]
        assert there("GET", path, token=token).status == 400
        assert [entry.authorization for entry in origin.ledger][-2:] == ["none", "bearer"]
        assert injection.hits == 1


def test_redirects_that_nobody_should_follow(registry: Registry, client: Client, target: str) -> None:
    registry.inject(faults.RedirectLoop(), times=1)
    assert client("GET", target).headers["Location"] == registry.url + target
    registry.inject(faults.RedirectTo("file:///etc/passwd", status=302), times=1)
    assert client("GET", target).headers["Location"] == "file:///etc/passwd"


def test_where_a_fault_applies(registry: Registry, client: Client, kit: ModelKit, target: str) -> None:
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"method": "HEAD"}, "HEAD", target),
        ({"kind": "manifest"}, "GET", TAG),
        ({"kind": "config"}, "GET", f"/v2/iris/blobs/{next(iter(kit.blobs))}"),
        ({"reference": kit.layers[0].digest}, "GET", target),
        ({"reference": "latest"}, "GET", TAG),
        ({"repository": "iris"}, "GET", target),
        ({"origin": "home"}, "GET", "/v2/"),
        ({"when": lambda request: "range" in request.headers}, "GET", target),
    ]
    everything = [("GET", "/v2/"), ("GET", "/v2/other/tags/list")]
    for match, method, path in cases:
        injection = registry.inject(faults.Status(500), **match)
        assert client(method, path, part="0-1").status == 500, match
        others = [client(*other).status for other in everything if "origin" not in match]
        assert 500 not in others, match
        assert injection.hits == 1
        registry.heal()


def test_faults_wait_for_authorised_requests(connect: Connect, kit: ModelKit) -> None:
    with Registry(auth=Bearer(anonymous=True)) as registry:
        registry.add(kit, "iris")
        injection = registry.inject(faults.Status(503), kind="manifest", times=1)
        assert connect(registry.host)("GET", TAG).status == 401
        assert injection.hits == 0


def test_faults_add_up(registry: Registry, client: Client, target: str) -> None:
    registry.inject(faults.Latency(0.1), kind="blob")
    registry.inject(faults.NoRange(), kind="blob")
    registry.inject(faults.Cut(50), kind="blob")
    started = time.monotonic()
    with pytest.raises(http.client.IncompleteRead) as caught:
        client("GET", target, part="10-19")
    assert len(caught.value.partial) == 50
    assert time.monotonic() - started >= 0.1
    registry.heal()
    registry.inject(faults.Status(503))
    registry.inject(faults.Latency(0.1))
    started = time.monotonic()
    assert client("GET", target).status == 503
    assert time.monotonic() - started >= 0.1


def test_a_fault_of_ones_own(registry: Registry, client: Client, target: str) -> None:
    class Shout(Fault):
        def concerns(self, request: Request) -> bool:
            return request.kind == "blob"

        def amend(self, exchange: Exchange, response: Response) -> Response:
            assert exchange.request.kind == "blob"
            return response

        def head(self, head: bytes) -> bytes:
            return head.replace(b"OK", b"OH YES")

    registry.inject(Shout())
    assert client("GET", target).status == 200
    assert registry.ledger.requests(kind="blob")[0].faults == ("Shout",)


def test_nowhere(connect: Connect) -> None:
    for address in ("127.0.0.1", "::1"):
        with refusing(address) as host, pytest.raises(ConnectionRefusedError):
            connect(host)("GET", "/v2/")
        with silent(address) as host, pytest.raises(TimeoutError):
            connect(host, timeout=0.1)("GET", "/v2/")
