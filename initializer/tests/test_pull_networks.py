"""Logins, certificates, redirects, addresses and proxies, over real sockets."""

from __future__ import annotations

import base64
import json
import threading
from typing import TYPE_CHECKING

import pytest

from initializer.tests.proxy import Proxy
from kit_conformance.testbed.kits import Noise, pack
from kit_conformance.testbed.registry import TLS, Basic, Bearer, Fault, Registry, faults, refusing
from kit_conformance.testbed.registry.wire import Response

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command, Trees
    from kit_conformance.testbed.registry.faults import Exchange

KITFILE = {"manifestVersion": "1.0.0", "package": {"name": "k"}, "model": {"path": "model"}}
KIT = pack({"model/weights.bin": Noise(2_000_000), "model/config.json": b"{}"}, KITFILE)
ANN = {"KIT_USER": "ann", "KIT_PASSWORD": "grey-otter"}
USERS = {"ann": "grey-otter"}


def kinds(registry: Registry) -> list[tuple[str, str, int]]:
    """Return what was asked: kind, sort of authorization, status."""
    assert registry.ledger.settle()
    return [(entry.kind, entry.authorization, entry.status) for entry in registry.ledger]


# logins


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
    with Registry(auth=auth) as registry:
        run = initialize(registry.add(KIT, "k", "v1"), destination, env=ANN)
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
        assert (run.code, "without TLS" in run.last) == (4, True), run.lines


@pytest.mark.parametrize(
    ("code", "challenge"),
    [
        (4, 'Bearer realm="http://example.test/token",service="s"'),
        (5, 'Bearer realm="/token"'),
        (5, 'Bearer realm="http://[::1"'),
        (5, "Bearer"),
        (4, "Negotiate"),
        (4, 'Digest realm="x", nonce="y"'),
        (4, ""),
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


# redirects


@pytest.mark.parametrize("auth", [Basic(USERS), Bearer(USERS)], ids=["basic", "bearer"])
def test_no_login_crosses_a_redirect(
    *, auth: Basic | Bearer, initialize: Command, destination: Path, trees: Trees
) -> None:
    with Registry(auth=auth) as registry:
        registry.inject(faults.Redirect())
        registry.inject(faults.Cut(after=500_000), kind="blob", origin="elsewhere", times=1)
        run = initialize(registry.add(KIT, "k", "v1"), destination, env=ANN)
        assert run.code == 0, run.lines
        assert {entry.authorization for entry in registry.elsewhere.ledger} == {"none"}
        assert len(registry.elsewhere.ledger.requests(kind="blob")) > 1
    trees.check(destination, KIT)


def test_an_address_that_was_signed_for_a_while_is_asked_for_anew(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    registry.inject(faults.Redirect())
    registry.inject(faults.Cut(after=500_000), kind="blob", origin="elsewhere", times=1)
    registry.inject(faults.Status(403), kind="blob", origin="elsewhere", skip=1, times=1)
    run = initialize(registry.add(KIT, "k", "v1"), destination, KIT_CONCURRENCY="1")
    assert run.code == 0, run.lines
    asked = [(entry.status, entry.range) for entry in registry.elsewhere.ledger.requests(kind="blob")]
    assert asked == [(200, ""), (403, "bytes=500000-"), (206, "bytes=500000-")]
    assert len(registry.ledger.requests(kind="blob")) == 2
    trees.check(destination, KIT)


def test_a_redirect_away_from_tls_is_6(initialize: Command, destination: Path) -> None:
    with Registry() as plain, Registry(tls=TLS()) as registry:
        assert registry.tls is not None
        registry.inject(faults.RedirectTo(f"{plain.url}/blob"), kind="blob")
        run = initialize(
            registry.add(KIT, "k", "v1"), destination, KIT_UNPACK_FLAGS="", KIT_CA_CERT=registry.tls.ca_pem
        )
        assert not len(plain.ledger)
    assert run.code == 6, run.lines
    assert plain.host in run.last


# addresses and certificates


def test_ipv6(initialize: Command, destination: Path, trees: Trees) -> None:
    with Registry(address="::1") as registry:
        uri = registry.add(KIT, "k", "v1")
        assert uri.startswith("kit://[::1]:")
        assert initialize(uri, destination).code == 0
    trees.check(destination, KIT)


def test_an_authority_by_its_contents_a_file_or_kserves_bundle(
    initialize: Command, tmp_path: Path, trees: Trees
) -> None:
    with Registry(tls=TLS(), auth=Bearer(USERS, elsewhere=True)) as registry:
        assert registry.tls is not None
        uri, ca = registry.add(KIT, "k", "v1"), registry.tls.ca_file
        bundle = tmp_path / "certs"
        bundle.mkdir()
        (bundle / "cabundle.crt").write_bytes(ca.read_bytes())
        ways = {
            "contents": {"KIT_CA_CERT": registry.tls.ca_pem},
            "flag": {"KIT_UNPACK_FLAGS": f"--tls-cert={ca}"},
            "bundle": {"CA_BUNDLE_CONFIGMAP_NAME": "x", "CA_BUNDLE_VOLUME_MOUNT_POINT": str(bundle)},
            "file": {"AWS_CA_BUNDLE_CONFIGMAP": "x", "AWS_CA_BUNDLE": str(ca)},
            "system": {"SSL_CERT_FILE": str(ca)},
            "none": {"KIT_UNPACK_FLAGS": "--tls-verify=false"},
        }
        for way, environ in ways.items():
            run = initialize(uri, tmp_path / way, env={"KIT_UNPACK_FLAGS": "", **environ, **ANN})
            assert run.code == 0, (way, run.lines)
            trees.check(tmp_path / way, KIT)


def test_a_certificate_for_another_host_is_6(initialize: Command, destination: Path) -> None:
    with Registry(tls=TLS(names=("registry.example",))) as registry:
        assert registry.tls is not None
        environ = {"KIT_UNPACK_FLAGS": "", "KIT_CA_CERT": registry.tls.ca_pem}
        run = initialize(registry.add(KIT, "k", "v1"), destination, env=environ)
    assert run.code == 6, run.lines


def test_a_client_certificate(initialize: Command, tmp_path: Path, trees: Trees) -> None:
    with Registry(tls=TLS(client_auth=True)) as registry:
        tls = registry.tls
        assert tls is not None
        uri = registry.add(KIT, "k", "v1")
        flags = f"--cert={tls.client_cert} --key={tls.client_key}"
        assert initialize(uri, tmp_path / "a", KIT_UNPACK_FLAGS=flags, KIT_CA_CERT=tls.ca_pem).code == 0
        trees.check(tmp_path / "a", KIT)
        none = initialize(uri, tmp_path / "b", KIT_UNPACK_FLAGS="", KIT_CA_CERT=tls.ca_pem, KIT_RETRIES="0")
        assert none.code in {5, 6}, none.lines  # the server's alert may be lost with its connection
        (tmp_path / "no.pem").write_bytes(b"")
        flags = f"--cert={tmp_path}/no.pem --key={tls.client_key}"
        broken = initialize(uri, tmp_path / "b", KIT_UNPACK_FLAGS=flags, KIT_CA_CERT=tls.ca_pem)
        assert (broken.code, "no.pem" in broken.last) == (6, True), broken.lines


def test_files_of_authorities_that_hold_none_are_6(initialize: Command, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    with Registry(tls=TLS()) as registry:
        uri = registry.add(KIT, "k", "v1")
        for environ in (
            {"KIT_UNPACK_FLAGS": f"--tls-cert={tmp_path}/ca.pem"},
            {"KIT_UNPACK_FLAGS": f"--tls-cert={tmp_path}/none.pem"},
            {"KIT_UNPACK_FLAGS": "", "KIT_CA_CERT": (tmp_path / "ca.pem").read_text(encoding="ascii")},
        ):
            run = initialize(uri, tmp_path / "d", env=environ)
            assert run.code == 6, run.lines
            assert ".pem" in run.last or "KIT_CA_CERT does not" in run.last


# proxies


def test_a_proxy_for_plain_http(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    registry.add(KIT, "k", "v1")
    address, port = registry.host.split(":")
    with Proxy({"registry.example": (address, int(port))}, login="ann:p@ss") as proxy:
        environ = {"http_proxy": f"http://ann:p%40ss@{proxy.host}"}
        run = initialize("kit://registry.example/k:v1", destination, env=environ)
        assert run.code == 0, run.lines
    assert {(each.method, each.login) for each in proxy.asked} == {("GET", "ann:p@ss")}
    assert proxy.asked[0].target == "http://registry.example/v2/k/manifests/v1"
    assert not any("proxy-authorization" in entry.headers for entry in registry.ledger)
    trees.check(destination, KIT)


@pytest.mark.parametrize("way", ["variable", "flag"])
def test_a_proxy_for_tls(*, way: str, initialize: Command, destination: Path, trees: Trees) -> None:
    with Registry(tls=TLS(names=("registry.example",)), auth=Basic(USERS)) as registry:
        assert registry.tls is not None
        registry.add(KIT, "k", "v1")
        address, port = registry.host.split(":")
        with Proxy({"registry.example:443": (address, int(port))}) as proxy:
            environ = {"KIT_UNPACK_FLAGS": "", "KIT_CA_CERT": registry.tls.ca_pem, **ANN}
            if way == "variable":
                environ["HTTPS_PROXY"] = proxy.host
            else:
                environ |= {"KIT_UNPACK_FLAGS": f"--proxy=http://{proxy.host}", "NO_PROXY": "*"}
            run = initialize("kit://registry.example/k:v1", destination, env=environ)
            assert run.code == 0, run.lines
    assert {each[:2] for each in proxy.asked} == {("CONNECT", "registry.example:443")}
    trees.check(destination, KIT)


@pytest.mark.parametrize("tls", [False, True])
def test_a_proxy_that_refuses(*, tls: bool, initialize: Command, destination: Path) -> None:
    with Proxy(login="ann:pw") as proxy:
        environ = {"KIT_UNPACK_FLAGS": "" if tls else "--plain-http", "KIT_RETRIES": "0"}
        environ["HTTPS_PROXY" if tls else "HTTP_PROXY"] = f"http://ann:grey-otter@{proxy.host}"
        run = initialize("kit://registry.example/k:v1", destination, env=environ)
    assert run.code in {4, 5}, run.lines
    assert "407" in run.last
    assert "grey-otter" not in str(run)
    assert proxy.asked[0].login == "ann:grey-otter"


def test_a_proxy_that_is_not_there_is_5(initialize: Command, destination: Path) -> None:
    with refusing() as host:
        for flags in ("--plain-http", ""):
            environ = {"KIT_UNPACK_FLAGS": f"{flags} --proxy={host}", "KIT_RETRIES": "0"}
            run = initialize("kit://registry.example/k:v1", destination, env=environ)
            assert (run.code, host in run.last) == (5, True), run.lines


@pytest.mark.parametrize("url", ["socks5://127.0.0.1:1", "http://:80", "http://[::1", "http://h:port"])
def test_a_proxy_that_is_none_is_2(*, url: str, initialize: Command, destination: Path) -> None:
    run = initialize("kit://registry.example/k:v1", destination, HTTP_PROXY=url)
    assert (run.code, "HTTP_PROXY" in run.last) == (2, True), run.lines


def test_this_machine_is_reached_without_the_environments_proxy(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    with Proxy() as proxy:
        uri = registry.add(KIT, "k", "v1")
        assert initialize(uri, destination, HTTP_PROXY=f"http://{proxy.host}").code == 0
        assert not proxy.asked
        flags = f"--plain-http --proxy=http://{proxy.host}"
        assert initialize(f"{uri}", destination / "2", KIT_UNPACK_FLAGS=flags).code == 0
        assert len(proxy.asked) >= 3


def test_many_threads_share_a_proxy(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    kit = pack({"model/weights.bin": Noise(8_000_000)}, KITFILE)
    registry.inject(faults.Bandwidth(4_000_000), kind="blob")
    before = threading.active_count()
    with Proxy() as proxy:
        flags = f"--plain-http --proxy=http://{proxy.host}"
        assert initialize(registry.add(kit, "k", "v1"), destination, KIT_UNPACK_FLAGS=flags).code == 0
        assert len(proxy.asked) > 3
    assert threading.active_count() <= before + 2
    trees.check(destination, kit)
