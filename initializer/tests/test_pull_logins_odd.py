"""Registries that are odd about how one logs in, over real sockets."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from initializer.tests.destinations import KITFILE
from initializer.tests.destinations import LARGE as KIT
from initializer.tests.logins import ANN, USERS, auth
from kit_conformance.testbed.kits import pack
from kit_conformance.testbed.registry import (
    SPELLINGS,
    TLS,
    Basic,
    Bearer,
    Harbor,
    Hiding,
    Registry,
    Spelled,
    faults,
)

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command, Trees

WRONG = ANN | {"KIT_PASSWORD": "red-otter"}


def asked(registry: Registry) -> list[tuple[str, str, int]]:
    """Return what was asked: kind, sort of authorization, status."""
    assert registry.ledger.settle()
    return [(entry.kind, entry.authorization, entry.status) for entry in registry.ledger]


# what is hidden from strangers


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("known", [Basic(USERS), Bearer(USERS)])
def test_a_login_opens_what_is_hidden_from_strangers(
    *, status: int, asks: bool, known: Basic | Bearer, initialize: Command, destination: Path, trees: Trees
) -> None:
    """Without a challenge at /v2/ the login is sent as Basic, once; the answer to that may ask for a token."""
    with Registry(auth=Hiding(known, status, asks)) as registry:
        run = initialize(registry.add(KIT, "k", "v1"), destination, env=ANN)
        assert run.code == 0, run.lines
        assert asked(registry)[:2] == [("manifest", "none", status), ("ping", "none", 401 if asks else 200)]
        assert sum(kind == "ping" for kind, _, _ in asked(registry)) == 1
        assert "logging in with KIT_USER" in str(run)
    trees.check(destination, KIT)


@pytest.mark.parametrize(("status", "code"), [(401, 4), (403, 4), (404, 3)])
def test_what_is_hidden_stays_so_without_a_login(
    *, status: int, code: int, initialize: Command, destination: Path
) -> None:
    with Registry(auth=Hiding(Basic(USERS), status)) as registry:
        run = initialize(registry.add(KIT, "k", "v1"), destination)
        assert (run.code, "not for you" in run.last) == (code, True), run.lines
        assert len(registry.ledger) == 1


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("asks", [True, False])
def test_a_wrong_password_is_not_asked_for_again(
    *, status: int, asks: bool, initialize: Command, destination: Path
) -> None:
    with Registry(auth=Hiding(Basic(USERS), status, asks)) as registry:
        run = initialize(registry.add(KIT, "k", "v1"), destination, env=WRONG)
        assert run.code == 4, run.lines
        assert "refused the credentials from KIT_USER and KIT_PASSWORD" in run.last
        assert "give credentials" not in run.last
        assert len(registry.ledger) == 3


def test_a_tag_that_is_not_there_stays_that(initialize: Command, destination: Path) -> None:
    """An open registry is asked twice more by those who have a login, and that once."""
    with Registry() as registry:
        registry.add(KIT, "k", "v1")
        run = initialize(f"kit://{registry.host}/k:v2", destination, env=ANN)
        assert (run.code, "is not there" in run.last) == (3, True), run.lines
        assert [kind for kind, _, _ in asked(registry)] == ["manifest", "ping", "manifest"]


def test_a_registry_that_has_served_strangers_is_not_asked_again(
    initialize: Command, destination: Path
) -> None:
    """It has no more for those who log in: a layer that is not there costs no request more."""
    with Registry() as registry:
        registry.inject(faults.Status(404), kind="blob")
        run = initialize(registry.add(KIT, "k", "v1"), destination, env=ANN)
        assert run.code == 3, run.lines
        assert {kind for kind, _, _ in asked(registry)} == {"manifest", "config", "blob"}
        assert {how for _, how, _ in asked(registry)} == {"none"}


def test_an_identity_token_alone_is_not_sent_unasked(initialize: Command, destination: Path) -> None:
    with Registry(auth=Hiding(Basic(USERS), asks=False)) as registry:
        config = json.dumps({"auths": {registry.host: {"identitytoken": "red-fox"}}})
        run = initialize(registry.add(KIT, "k", "v1"), destination, KIT_DOCKER_CONFIG_JSON=config)
        assert run.code == 3, run.lines
        assert {authorization for _, authorization, _ in asked(registry)} == {"none"}


def test_a_refusal_that_is_long(initialize: Command, destination: Path) -> None:
    """A login page of a firewall is no reason to give up, and is not read to its end."""
    with Registry(auth=Basic(USERS)) as registry:
        registry.inject(faults.Status(403, message="x" * 100_000), when=lambda r: "k" in r.path, times=1)
        uri = registry.add(KIT, "k", "v1")
        registry.auth = None
        assert initialize(uri, destination, env=ANN).code == 0


# Harbor


@pytest.mark.parametrize("login", [ANN, {}])
def test_a_token_of_harbor_that_expires_is_renewed(
    *, login: dict[str, str], initialize: Command, destination: Path, trees: Trees
) -> None:
    auth = Harbor(USERS, anonymous=not login)
    with Registry(auth=auth) as registry:
        registry.inject(faults.Cut(after=300_000), kind="blob", times=3)
        registry.inject(faults.ExpireTokens(), kind="blob", skip=1, times=1)
        auth.uses = 3
        run = initialize(registry.add(KIT, "k", "v1"), destination, env=login, KIT_CONCURRENCY="1")
        assert run.code == 0, run.lines
        assert "basic" not in {how for kind, how, _ in asked(registry) if kind != "token"}
    assert auth.issued >= 2
    trees.check(destination, KIT)


@pytest.mark.parametrize(("login", "what"), [(ANN, "refused the credentials"), ({}, "anonymous pulls")])
def test_a_project_of_harbor_that_is_closed(
    *, login: dict[str, str], what: str, initialize: Command, destination: Path
) -> None:
    """Its token service gives a token to anybody, which opens nothing: that ends, and with exit 4."""
    with Registry(auth=Harbor(USERS, anonymous=not login, uses=0)) as registry:
        run = initialize(registry.add(KIT, "k", "v1"), destination, env=login)
        assert (run.code, what in run.last) == (4, True), run.lines
        assert len(registry.ledger) < 12


# challenges


@pytest.mark.parametrize("how", SPELLINGS)
def test_a_challenge_is_read_however_it_is_written(
    how: str, initialize: Command, destination: Path, trees: Trees
) -> None:
    with Registry(auth=Spelled(Bearer(USERS), SPELLINGS[how])) as registry:
        run = initialize(registry.add(KIT, "k", "v1"), destination, env=ANN)
        assert run.code == 0, run.lines
        assert ("token", "basic", 200) in asked(registry)
    trees.check(destination, KIT)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (("Negotiate, NTLM",), "wants negotiate or ntlm, which is not supported"),
        (('Bearer service="s"',), "wants bearer without a token service"),
        (('Bearer realm="https://r.example',), "cannot be read: 'Bearer realm=\"https://r.example'"),
    ],
)
def test_a_challenge_that_nobody_can_answer_is_named(
    *, fields: tuple[str, ...], said: str, initialize: Command, destination: Path
) -> None:
    with Registry(auth=Spelled(Basic(USERS), lambda _: fields)) as registry:
        run = initialize(registry.add(KIT, "k", "v1"), destination, env=ANN)
        assert (run.code, said in run.last) == (4, True), run.lines
        assert "give credentials" not in run.last


# token services that redirect


def test_a_token_service_may_move_within_its_origin(
    initialize: Command, destination: Path, trees: Trees
) -> None:
    with Registry(auth=Bearer(USERS)) as registry:
        fault = faults.RedirectTo(f"{registry.url}/token?service=fixture&scope=repository:k:pull", 301)
        registry.inject(fault, kind="token", times=1)
        assert initialize(registry.add(KIT, "k", "v1"), destination, env=ANN).code == 0
        assert [how for kind, how, _ in asked(registry) if kind == "token"] == ["basic", "basic"]
    trees.check(destination, KIT)


def test_a_login_does_not_follow_a_token_service_elsewhere(initialize: Command, destination: Path) -> None:
    with Registry(auth=Bearer(USERS, anonymous=True), tls=TLS()) as registry:
        location = f"{registry.elsewhere.url}/token?service=fixture&scope=repository:k:pull"
        registry.inject(faults.RedirectTo(location), kind="token", origin="home")
        assert registry.tls is not None
        trusting = {"KIT_UNPACK_FLAGS": "", "KIT_CA_CERT": registry.tls.ca_pem}
        uri = registry.add(KIT, "k", "v1")
        run = initialize(uri, destination, env=trusting | ANN)
        assert (run.code, f"redirects to {registry.elsewhere.host}" in run.last) == (4, True), run.lines
        assert not len(registry.elsewhere.ledger)
        assert initialize(uri, destination, env=trusting).code == 0  # nobody's token can be had there
        assert {entry.authorization for entry in registry.elsewhere.ledger} == {"none"}


@pytest.mark.parametrize(("status", "code"), [(307, 0), (302, 4)])
def test_an_identity_token_is_sent_again_only_as_it_was(
    *, status: int, code: int, initialize: Command, destination: Path
) -> None:
    with Registry(auth=Bearer(identity_tokens={"red-fox"})) as registry:
        registry.inject(faults.RedirectTo("/token?again", status), kind="token", times=1)
        config = json.dumps({"auths": {registry.host: {"identitytoken": "red-fox"}}})
        run = initialize(registry.add(KIT, "k", "v1"), destination, KIT_DOCKER_CONFIG_JSON=config)
        assert run.code == code, run.lines
        assert [entry.method for entry in registry.ledger.requests(kind="token")] == (
            ["POST", "POST"] if code == 0 else ["POST"]
        )


def test_a_token_service_that_redirects_without_end_or_to_nowhere(
    initialize: Command, destination: Path
) -> None:
    for location, said in [("/token?again", "redirects without end"), ("", "redirects to nowhere")]:
        with Registry(auth=Bearer(USERS)) as registry:
            registry.inject(faults.RedirectTo(location), kind="token")
            run = initialize(registry.add(KIT, "k", "v1"), destination, env=ANN, KIT_RETRIES="0")
            assert (run.code, said in run.last) == (5, True), run.lines
            assert len(registry.ledger) < 12


@pytest.mark.parametrize("login", [ANN, {}])
def test_a_realm_without_tls_is_named_as_it_is(
    *, login: dict[str, str], initialize: Command, destination: Path
) -> None:
    """A registry behind a proxy that ends TLS gives its own name, with http."""
    with Registry(tls=TLS()) as registry:
        assert registry.tls is not None
        realm = f"http://{registry.host}/token"
        registry.inject(faults.Challenge(realm))
        trusting = {"KIT_UNPACK_FLAGS": "", "KIT_CA_CERT": registry.tls.ca_pem}
        run = initialize(registry.add(KIT, "k", "v1"), destination, env=trusting | login)
        assert (run.code, f"names http://{registry.host} as" in run.last) == (4, True), run.lines
        assert "give credentials" not in run.last


# pull secrets


def test_the_entry_of_a_team_is_used_for_its_kits(initialize: Command, destination: Path) -> None:
    with Registry(auth=Basic(USERS)) as registry:
        config = json.dumps(
            {
                "auths": {
                    registry.host: auth("bob"),
                    f"{registry.host}/team/models": {"auth": base64.b64encode(b"ann:grey-otter\n").decode()},
                    f"https://{registry.host}/team": auth("eve"),
                }
            }
        )
        uri = registry.add(KIT, "team/models/k", "v1")
        run = initialize(uri, destination, KIT_DOCKER_CONFIG_JSON=config)
        assert run.code == 0, run.lines
        other = initialize(registry.add(KIT, "other/k", "v1"), destination, KIT_DOCKER_CONFIG_JSON=config)
        assert other.code == 4, other.lines


# parents


@pytest.mark.parametrize("child_open", [True, False])
def test_a_private_parent_elsewhere_is_brought_by_a_docker_config(
    *, child_open: bool, initialize: Command, destination: Path
) -> None:
    """The config names its host; KIT_USER names none, and the line says that it stays here."""
    with Registry(auth=None if child_open else Basic(USERS)) as own, Registry(auth=Bearer(USERS)) as other:
        parent = other.add(KIT, "team/parent", "v1").removeprefix("kit://")
        child = pack(
            {"README.md": b""}, KITFILE | {"model": {"path": parent}, "docs": [{"path": "README.md"}]}
        )
        uri = own.add(child, "child", "v1")
        mine = {} if child_open else {own.host: auth("ann", "grey-otter")}

        def run(entries: dict[str, dict[str, str]], env: dict[str, str] | None = None) -> tuple[int, str]:
            config = json.dumps({"auths": mine | entries})
            done = initialize(uri, destination, env=env, KIT_DOCKER_CONFIG_JSON=config)
            return done.code, done.last

        code, said = run({}, ANN)
        assert (code, "KIT_USER does not go to the host of a parent kit" in said) == (4, True), said
        assert f"add an entry for {other.host} to KIT_DOCKER_CONFIG_JSON" in said
        code, said = run({other.host: auth("ann")}, ANN)
        assert (code, "refused the credentials from KIT_DOCKER_CONFIG_JSON" in said) == (4, True), said
        assert not any(entry.status == 200 for entry in other.ledger.requests(kind="token"))
        assert run({f"{other.host}/team": auth("ann", "grey-otter")})[0] == 0


def test_a_config_that_lacks_the_registry_is_told(initialize: Command, destination: Path) -> None:
    with Registry(auth=Basic(USERS)) as registry:
        uri = registry.add(KIT, "k", "v1")
        config = json.dumps({"auths": {f"{registry.host}/team": auth("ann", "grey-otter")}})
        run = initialize(uri, destination, KIT_DOCKER_CONFIG_JSON=config)
        assert (run.code, f"KIT_DOCKER_CONFIG_JSON has no login for {registry.host}/k" in run.last) == (
            4,
            True,
        )
        run = initialize(uri, destination, env=ANN, KIT_REGISTRY="r.example")
        assert (run.code, "KIT_USER is for KIT_REGISTRY=r.example alone" in run.last) == (4, True)
        assert "give credentials" in initialize(uri, destination).last
