"""Azure's registries against fakes of Entra and of a registry's token exchange."""

from __future__ import annotations

import ssl
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING

import pytest
import trustme

from initializer.tests.fakes import azure
from initializer.tests.fakes.server import Answer, Asked, serve
from initializer.tests.logins import find_with, ignored
from kit_initializer.credentials import Login
from kit_initializer.credentials.azure import SOURCE
from kit_initializer.errors import DeniedError, InitializerError, TLSError, UnreachableError, UsageError
from kit_initializer.secret import Secret
from kit_initializer.settings import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOST = "fake.azurecr.io"


@cache
def certified(name: str) -> tuple[ssl.SSLContext, str]:
    """Return what a server with this name needs, and the PEM text of its authority."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context, authority.cert_pem.bytes().decode()


class Cloud:
    """The environment of a pod with a workload identity, and what the fakes were asked."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        (folder / "token").write_text(f"{azure.ASSERTION}\n")
        self.environ = {
            "AZURE_CLIENT_ID": azure.CLIENT,
            "AZURE_TENANT_ID": azure.TENANT,
            "AZURE_FEDERATED_TOKEN_FILE": str(folder / "token"),
        }
        self.asked: list[Asked] = []
        self.tunnelled: list[str] = []

    def start(
        self,
        entra: Callable[[Asked], Answer] = azure.entra,
        exchange: Callable[[Asked], Answer] = azure.exchange,
        *,
        name: str = HOST,
    ) -> None:
        address, self.asked = self._stack.enter_context(serve(entra))
        self.environ["AZURE_AUTHORITY_HOST"] = f"http://{address}/"
        context, pem = certified(name)
        target, _ = self._stack.enter_context(serve(exchange, tls=context))
        proxy, self.tunnelled = self._stack.enter_context(azure.tunnel(target))
        self.environ |= {"HTTPS_PROXY": proxy, "KIT_CA_CERT": pem}

    def find(self, host: str = HOST, **environ: str) -> Login | None:
        return find_with(host, read(self.environ | environ), ignored)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with ExitStack() as stack:
        yield Cloud(stack, tmp_path)


def test_workload_identity(cloud: Cloud) -> None:
    cloud.start()
    user = "00000000-0000-0000-0000-000000000000"
    assert cloud.find() == Login(user, Secret(azure.REFRESH), Secret(azure.REFRESH), SOURCE)
    assert len(cloud.asked) == 1
    assert cloud.tunnelled == [f"{HOST}:443"]


def test_trust_by_file_and_proxy_by_flag(cloud: Cloud, tmp_path: Path) -> None:
    cloud.start()
    (tmp_path / "ca.pem").write_text(cloud.environ.pop("KIT_CA_CERT"))
    proxy = cloud.environ.pop("HTTPS_PROXY")
    flags = f"--tls-cert {tmp_path / 'ca.pem'} --tls-verify=false"
    # the flag's proxy is for everything, so Entra's address has to be one that it can tunnel to
    with pytest.raises(InitializerError):
        cloud.find(KIT_UNPACK_FLAGS=f"{flags} --proxy http://127.0.0.1:1")
    assert cloud.find(KIT_UNPACK_FLAGS=flags, HTTPS_PROXY=f"http://{proxy}") is not None


@pytest.mark.parametrize("missing", ["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"])
def test_without_a_workload_identity_there_is_no_login(cloud: Cloud, missing: str) -> None:
    cloud.start()
    del cloud.environ[missing]
    assert cloud.find() is None
    assert cloud.asked == []


@pytest.mark.parametrize(
    "host",
    [
        "r.example",
        "azurecr.io",
        "a.b.azurecr.io",
        "fake.azurecr.io.evil.example",
        "fakeazurecr.io",
        f"{HOST}:5000",
    ],
)
def test_azure_is_asked_for_its_own_hosts_only(cloud: Cloud, host: str) -> None:
    cloud.start()
    assert cloud.find(host) is None
    assert cloud.asked == []


def test_an_identity_that_entra_refuses(cloud: Cloud, tmp_path: Path) -> None:
    cloud.start()
    (tmp_path / "token").write_text("canary-wrong-token")
    with pytest.raises(DeniedError, match="gave no token: it answered 401") as caught:
        cloud.find()
    assert "canary" not in caught.value.line()
    assert cloud.tunnelled == []


def test_a_token_that_is_not_there(cloud: Cloud, tmp_path: Path) -> None:
    cloud.start()
    (tmp_path / "token").unlink()
    with pytest.raises(UsageError, match="token cannot be read: No such file"):
        cloud.find()


def test_an_identity_that_the_registry_refuses(cloud: Cloud) -> None:
    cloud.start(exchange=lambda _: Answer(403, "{}"))
    with pytest.raises(DeniedError, match=r"fake\.azurecr\.io gave no token: it answered 403"):
        cloud.find()


@pytest.mark.parametrize(
    "text", ["canary", "[]", "{}", '{"access_token": 1}', '{"access_token": ""}', "[" * 100_000]
)
def test_an_answer_that_is_no_token(cloud: Cloud, text: str) -> None:
    cloud.start(entra=lambda _: Answer(200, text))
    with pytest.raises(DeniedError, match="gave no token") as caught:
        cloud.find()
    assert "canary" not in caught.value.line()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_endpoint_in_trouble(cloud: Cloud, status: int) -> None:
    cloud.start(entra=lambda _: Answer(status, ""))
    with pytest.raises(UnreachableError, match=f"answered {status}"):
        cloud.find()


def test_a_redirect_is_not_followed(cloud: Cloud) -> None:
    cloud.start(entra=lambda _: Answer(302, ""))
    with pytest.raises(DeniedError, match="it answered 302"):
        cloud.find()
    assert len(cloud.asked) == 1


def test_an_endpoint_that_is_not_there(cloud: Cloud) -> None:
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1 cannot be reached"):
        cloud.find(AZURE_AUTHORITY_HOST="http://127.0.0.1:1")


def test_a_registry_that_cannot_be_trusted(cloud: Cloud) -> None:
    cloud.start(name="other.azurecr.io")
    with pytest.raises(TLSError, match=r"no trust in fake\.azurecr\.io"):
        cloud.find(KIT_UNPACK_FLAGS="--tls-verify=false")


def test_no_proxy(cloud: Cloud) -> None:
    """Loopback needs no proxy and none is asked, as everywhere else; --proxy is for everything."""
    cloud.start()
    assert cloud.find(HTTP_PROXY="http://127.0.0.1:1") is not None
    with pytest.raises(UnreachableError):
        cloud.find(KIT_UNPACK_FLAGS="--proxy http://127.0.0.1:1")
