"""Certificates, redirects, addresses and proxies, over real sockets."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from initializer.tests.destinations import KITFILE
from initializer.tests.destinations import LARGE as KIT
from initializer.tests.logins import ANN, USERS
from initializer.tests.proxy import Proxy
from kit_conformance.testbed.kits import Noise, pack
from kit_conformance.testbed.registry import TLS, Basic, Bearer, Registry, faults, refusing

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command, Trees


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
    rest = f"bytes=500000-{KIT.layers[0].size - 1}"
    asked = [(entry.status, entry.range) for entry in registry.elsewhere.ledger.requests(kind="blob")]
    assert asked == [(200, ""), (403, rest), (206, rest)]
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
            assert ".pem" in run.last or "KIT_CA_CERT holds no" in run.last


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
