"""Logins, tokens and challenges, over real sockets."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from initializer.tests.destinations import KITFILE
from initializer.tests.destinations import LARGE as KIT
from initializer.tests.logins import ANN, USERS
from kit_conformance.testbed.kits import pack
from kit_conformance.testbed.registry import TLS, Basic, Bearer, Fault, Registry, faults
from kit_conformance.testbed.registry.wire import Response

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command, Trees
    from kit_conformance.testbed.registry.faults import Exchange


def trusting(registry: Registry) -> dict[str, str]:
    """Return the environment of a run that knows how this registry speaks."""
    return {"KIT_UNPACK_FLAGS": "", "KIT_CA_CERT": registry.tls.ca_pem} if registry.tls else {}


def kinds(registry: Registry) -> list[tuple[str, str, int]]:
    """Return what was asked: kind, sort of authorization, status."""
    assert registry.ledger.settle()
    return [(entry.kind, entry.authorization, entry.status) for entry in registry.ledger]


def test_basic(initialize: Command, destination: Path, trees: Trees) -> None:
    with Registry(auth=Basic(USERS)) as registry:
        run = initialize(registry.add(KIT, "k", "v1"), destination, env=ANN)
        assert run.code == 0, run.lines
        first, second, *rest = kinds(registry)
    assert (first, second) == (("manifest", "none", 401), ("manifest", "basic", 200))
    assert {authorization for _, authorization, _ in rest} == {"basic"}
    trees.check(destination, KIT)
    assert "grey-otter" not in str(run)
    assert not any(b"grey-otter" in path.read_bytes() for path in destination.rglob("*") if path.is_file())


def test_no_login_is_sent_where_none_is_asked_for(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    assert initialize(registry.add(KIT, "k", "v1"), destination, env=ANN).code == 0
    assert {authorization for _, authorization, _ in kinds(registry)} == {"none"}


@pytest.mark.parametrize("elsewhere", [False, True])
def test_bearer(*, elsewhere: bool, initialize: Command, destination: Path, trees: Trees) -> None:
    auth = Bearer(USERS, elsewhere=elsewhere)
    with Registry(auth=auth, tls=TLS() if elsewhere else None) as registry:
        run = initialize(registry.add(KIT, "k", "v1"), destination, env=trusting(registry) | ANN)
        assert run.code == 0, run.lines
        asked = kinds(registry)
        tokens = [
            entry.authorization
            for entry in (registry.elsewhere if elsewhere else registry).ledger
            if entry.kind == "token"
        ]
    assert tokens == ["basic"]
    assert auth.issued == 1
    assert asked[0] == ("manifest", "none", 401)
    assert {each[1] for each in asked[1:] if each[0] != "token"} == {"bearer"}
    trees.check(destination, KIT)


@pytest.mark.parametrize("login", [ANN, {}])
def test_a_token_service_of_another_origin_without_tls_is_not_asked(
    *, login: dict[str, str], initialize: Command, destination: Path
) -> None:
    """It could be any address of the cluster, and its answer would be handed to the registry."""
    for tls in (TLS(), None):
        with Registry(tls=tls) as registry, Registry(auth=Bearer(USERS, anonymous=True)) as internal:
            registry.inject(Refuse(f'Bearer realm="{internal.url}/token"'))
            run = initialize(registry.add(KIT, "k", "v1"), destination, env=trusting(registry) | login)
            assert (run.code, internal.host in run.last, "TLS" in run.last) == (4, True, True), run.lines
            assert not len(internal.ledger)


def test_a_token_is_asked_for_this_repositorys_pull_alone(initialize: Command, destination: Path) -> None:
    with Registry(auth=Bearer(USERS)) as registry:
        uri = registry.add(KIT, "k", "v1")
        realm = f'Bearer realm="{registry.url}/token",service="fixture"'
        registry.inject(Refuse(f'{realm},scope="repository:other/repo:pull,push,delete"'))
        registry.auth = None
        initialize(uri, destination, env=ANN)
        assert registry.ledger.requests(kind="token")
        for entry in registry.ledger.requests(kind="token"):
            assert parse_qs(entry.query)["scope"] == ["repository:k:pull"]


def test_an_anonymous_token(initialize: Command, destination: Path, trees: Trees) -> None:
    with Registry(auth=Bearer(USERS, anonymous=True)) as registry:
        assert initialize(registry.add(KIT, "k", "v1"), destination).code == 0
        assert ("token", "none", 200) in kinds(registry)
    trees.check(destination, KIT)


def test_an_identity_token(initialize: Command, destination: Path, trees: Trees) -> None:
    with Registry(auth=Bearer(identity_tokens={"red-fox"})) as registry:
        auth = base64.b64encode(b"00000000-0000-0000-0000-000000000000:").decode()
        config = json.dumps({"auths": {registry.host: {"auth": auth, "identitytoken": "red-fox"}}})
        run = initialize(registry.add(KIT, "k", "v1"), destination, KIT_DOCKER_CONFIG_JSON=config)
        assert run.code == 0, run.lines
        (token,) = registry.ledger.requests(kind="token")
        assert (token.method, token.query) == ("POST", "")
    assert "red-fox" not in str(run)
    trees.check(destination, KIT)


@pytest.mark.parametrize("concurrency", ["1", "8"])
def test_a_token_that_expires_in_mid_pull_is_renewed(
    *, concurrency: str, initialize: Command, destination: Path, trees: Trees
) -> None:
    auth = Bearer(USERS, uses=2)
    with Registry(auth=auth) as registry:
        registry.inject(faults.Bandwidth(2_000_000), kind="blob")
        registry.inject(faults.Cut(after=300_000), kind="blob", times=3)
        registry.inject(faults.ExpireTokens(), kind="blob", times=1)
        uri = registry.add(KIT, "k", "v1")
        run = initialize(uri, destination, env=ANN, KIT_CONCURRENCY=concurrency)
    assert run.code == 0, run.lines
    assert auth.issued >= 3
    trees.check(destination, KIT)


def test_a_token_that_is_never_good_is_4(initialize: Command, destination: Path) -> None:
    with Registry(auth=Bearer(USERS, uses=0)) as registry:
        run = initialize(registry.add(KIT, "k", "v1"), destination, env=ANN)
        assert run.code == 4, run.lines
        assert len(registry.ledger) < 12


def test_a_token_service_that_fails_once(initialize: Command, destination: Path) -> None:
    with Registry(auth=Bearer(USERS)) as registry:
        registry.inject(faults.Status(503), kind="token", times=1)
        assert initialize(registry.add(KIT, "k", "v1"), destination, env=ANN).code == 0


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (4, faults.Status(403)),
        (3, faults.Status(404)),
        (5, faults.Status(503)),
        (5, faults.Replace(b"[]")),
        (5, faults.Replace(b"[" * 100_000)),
        (5, faults.Replace(b'{"token": 3}')),
        (5, faults.Replace(b'{"token": "a\\nb"}')),
        (5, faults.Replace(bytes(2_000_000))),
    ],
)
def test_a_token_service_that_fails(
    *, code: int, fault: Fault, initialize: Command, destination: Path
) -> None:
    with Registry(auth=Bearer(USERS)) as registry:
        registry.inject(fault, kind="token")
        run = initialize(registry.add(KIT, "k", "v1"), destination, env=ANN, KIT_RETRIES="1")
    assert run.code == code, run.lines
    assert "grey-otter" not in str(run)


def test_a_token_that_stays_the_same_is_not_tried_for_ever(initialize: Command, destination: Path) -> None:
    with Registry(auth=Bearer(USERS)) as registry:
        registry.inject(faults.Replace(b'{"access_token": "the same"}'), kind="token")
        assert initialize(registry.add(KIT, "k", "v1"), destination, env=ANN).code == 4
        assert len(registry.ledger.requests(kind="token")) == 2


class Refuse(Fault):
    """Every request is answered with a challenge, or with none."""

    def __init__(self, challenge: str) -> None:
        self.headers = {"WWW-Authenticate": challenge} if challenge else {}

    def answer(self, exchange: Exchange) -> Response:
        del exchange
        return Response(401, self.headers)


def test_a_login_does_not_leave_tls(initialize: Command, destination: Path) -> None:
    with Registry(tls=TLS()) as registry:
        assert registry.tls is not None
        registry.inject(Refuse('Bearer realm="http://127.0.0.1:1/token"'))
        environ = {"KIT_UNPACK_FLAGS": "", "KIT_CA_CERT": registry.tls.ca_pem, **ANN}
        run = initialize(registry.add(KIT, "k", "v1"), destination, env=environ)
        assert (run.code, "no TLS" in run.last) == (4, True), run.lines


@pytest.mark.parametrize(
    ("code", "challenge"),
    [
        (4, 'Bearer realm="http://example.test/token",service="s"'),
        (5, 'Bearer realm="/token"'),
        (5, 'Bearer realm="http://[::1"'),
        (4, "Bearer"),
        (4, "Negotiate"),
        (4, 'Digest realm="x", nonce="y"'),
        (4, 'Basic realm="open'),
    ],
)
def test_a_challenge_that_cannot_be_answered(
    *, code: int, challenge: str, registry: Registry, initialize: Command, destination: Path
) -> None:
    """A login goes to no other host than the registry's own, unless both prove who they are by TLS."""
    registry.inject(Refuse(challenge))
    run = initialize(registry.add(KIT, "k", "v1"), destination, env=ANN, KIT_RETRIES="0")
    assert run.code == code, run.lines
    assert {authorization for _, authorization, _ in kinds(registry)} == {"none"}


def test_a_parent_on_another_host_gets_no_login(initialize: Command, destination: Path, trees: Trees) -> None:
    with Registry(auth=Basic(USERS)) as own, Registry(auth=Basic(USERS)) as other:
        parent = other.add(KIT, "parent", "v1").removeprefix("kit://")
        child = pack(
            {"README.md": b""}, KITFILE | {"model": {"path": parent}, "docs": [{"path": "README.md"}]}
        )
        run = initialize(own.add(child, "child", "v1"), destination, env=ANN)
        assert run.code == 4, run.lines
        assert other.host in run.last
        assert {authorization for _, authorization, _ in kinds(other)} == {"none"}
        other.auth = None
        assert initialize(own.add(child, "child", "v1"), destination, env=ANN).code == 0
        assert {authorization for _, authorization, _ in kinds(other)} == {"none"}
    assert (destination / "model" / "config.json").read_bytes() == b"{}"


def test_a_parent_on_the_same_host_gets_the_login(initialize: Command, destination: Path) -> None:
    with Registry(auth=Basic(USERS)) as registry:
        parent = registry.add(KIT, "parent", "v1").removeprefix("kit://")
        child = pack(
            {"README.md": b""}, KITFILE | {"model": {"path": parent}, "docs": [{"path": "README.md"}]}
        )
        assert initialize(registry.add(child, "child", "v1"), destination, env=ANN).code == 0
