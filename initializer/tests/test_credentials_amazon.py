"""Amazon ECR against fakes of STS, ECR and Pod Identity, which botocore reaches by its own endpoint settings."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from initializer.tests.fakes import aws
from initializer.tests.fakes.server import Answer, Asked, serve
from initializer.tests.logins import find_with
from kit_initializer.credentials import Login, amazon
from kit_initializer.errors import DeniedError, TLSError, UnreachableError, UsageError
from kit_initializer.secret import Secret
from kit_initializer.settings import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[[Callable[[Asked], Answer]], tuple[str, list[Asked]]]

HOST = "444455556666.dkr.ecr.eu-central-1.amazonaws.com"
LOGIN = Login("AWS", Secret(aws.PASSWORD), None, amazon.SOURCE)


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(serve(answer))


@pytest.fixture(autouse=True)
def _only_what_the_test_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the machine's own settings for Amazon, and its node's role, out of the tests."""
    for name in os.environ:
        if name.upper().startswith(("AWS_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("KIT_RETRIES", "0")


@pytest.fixture
def irsa(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    start: Start,
) -> list[Asked]:
    """Set what EKS sets for a role of a service account; gives what STS is asked."""
    token = tmp_path / "token"
    token.write_text(aws.IDENTITY)
    address, asked = start(aws.sts)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://{address}")
    monkeypatch.setenv("AWS_ROLE_ARN", aws.ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    return asked


def find(host: str = HOST, warnings: list[str] | None = None) -> Login | None:
    warn = [] if warnings is None else warnings
    return find_with(host, read(os.environ), warn.append)


def ecr(
    monkeypatch: pytest.MonkeyPatch,
    start: Start,
    answer: Callable[[Asked], Answer],
) -> list[Asked]:
    address, asked = start(answer)
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", f"http://{address}")
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR_PUBLIC", f"http://{address}")
    return asked


def test_role_of_a_service_account(irsa: list[Asked], start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ecr(monkeypatch, start, aws.ecr("eu-central-1"))
    assert find() == LOGIN
    assert len(irsa) == len(asked) == 1


def test_pod_identity(start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(aws.IDENTITY)
    address, agent = start(aws.pod_identity)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://{address}/v1/credentials")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    ecr(monkeypatch, start, aws.ecr("eu-central-1"))
    assert find() == LOGIN
    assert [request.path for request in agent] == ["/v1/credentials"]


@pytest.mark.parametrize(
    ("host", "region"),
    [
        (HOST, "eu-central-1"),
        ("444455556666.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("444455556666.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("444455556666.dkr-ecr.us-west-2.on.aws", "us-west-2"),
        ("public.ecr.aws", "us-east-1"),
    ],
)
@pytest.mark.usefixtures("irsa")
def test_the_region_is_that_of_the_host(
    host: str, region: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    ecr(monkeypatch, start, aws.ecr(region))
    assert find(host) == LOGIN


@pytest.mark.usefixtures("irsa")
def test_the_region_of_the_kitops_image_wins(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ECR_REGION", "us-west-2")
    ecr(monkeypatch, start, aws.ecr("us-west-2"))
    assert find() == LOGIN


@pytest.mark.parametrize(
    "host",
    [
        "r.example",
        "444455556666.dkr.ecr.eu-central-1.amazonaws.com.evil.example",
        "evil-444455556666.dkr.ecr.eu-central-1.amazonaws.com",
        "x.444455556666.dkr.ecr.eu-central-1.amazonaws.com",
        "444455556666.dkr.ecr.eu.central.amazonaws.com",
        "444455556666.dkr.ecr.eu-central-1.amazonaws.com:5000",
        "444455556666.dkr.ecr.eu-central-1.amazonawsxcom",
        "44445555666.dkr.ecr.eu-central-1.amazonaws.com",
        "public.ecr.aws.evil.example",
        "s3.amazonaws.com",
    ],
)
def test_amazon_is_asked_for_its_own_hosts_only(host: str, irsa: list[Asked]) -> None:
    assert find(host) is None
    assert irsa == []


def test_without_a_role_there_is_no_login() -> None:
    warnings: list[str] = []
    assert find(warnings=warnings) is None
    assert warnings == ["this pod has no role and no keys for Amazon; going on without a login"]


def test_a_role_that_may_not_be_assumed(irsa: list[Asked], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/other")
    with pytest.raises(DeniedError, match="AssumeRoleWithWebIdentity in eu-central-1: AccessDenied"):
        find()
    assert irsa


def test_a_token_that_is_not_valid(irsa: list[Asked], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("canary-wrong-token")
    with pytest.raises(DeniedError, match="InvalidIdentityToken") as caught:
        find()
    assert "canary" not in caught.value.line()
    assert irsa


@pytest.mark.usefixtures("irsa")
def test_a_token_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "token").unlink()
    with pytest.raises(UsageError, match="token cannot be read: No such file"):
        find()


@pytest.mark.usefixtures("irsa")
def test_a_token_that_is_no_login(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    ecr(monkeypatch, start, aws.ecr("eu-central-1", password=""))
    with pytest.raises(DeniedError, match="a token that is no login"):
        find()


def test_a_role_that_may_not_read(irsa: list[Asked], start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    ecr(monkeypatch, start, aws.ecr("us-east-1"))  # wants another region in the signature
    with pytest.raises(DeniedError, match="GetAuthorizationToken in eu-central-1: InvalidSignature"):
        find()
    assert irsa


@pytest.mark.usefixtures("irsa")
def test_an_endpoint_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", "http://127.0.0.1:1")
    with pytest.raises(UnreachableError, match=r"endpoint http://127\.0\.0\.1:1/ cannot be reached"):
        find()


@pytest.mark.usefixtures("irsa")
def test_an_endpoint_without_tls(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    address, _ = start(aws.ecr("eu-central-1"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", f"https://{address}")
    with pytest.raises(TLSError, match="no trust in Amazon's endpoint https://127"):
        find()


def test_settings_that_botocore_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "canary")
    with pytest.raises(DeniedError, match="no credentials from Amazon: ProfileNotFound") as caught:
        find()
    assert "canary" not in caught.value.line()


@pytest.mark.usefixtures("irsa")
@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_ECR", "AWS_CONTAINER_CREDENTIALS_FULL_URI"])
def test_addresses_that_botocore_refuses(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "CONTAINER" in name:
        monkeypatch.delenv("AWS_ROLE_ARN")
        monkeypatch.delenv("AWS_WEB_IDENTITY_TOKEN_FILE")
    monkeypatch.setenv(name, "http://canary.example/" if "CONTAINER" in name else "canary")
    with pytest.raises(UsageError, match="botocore refuses an address") as caught:
        find()
    assert "canary" not in caught.value.line()


def test_public_registries_are_open_without(
    irsa: list[Asked], start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    ecr(monkeypatch, start, lambda _: Answer(400, '{"__type": "AccessDeniedException"}'))
    warnings: list[str] = []
    assert find("public.ecr.aws", warnings) is None
    assert "AccessDeniedException" in warnings[0]
    assert "is open" in warnings[0]
    assert irsa


def test_without_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.exceptions", None)
    with pytest.raises(UsageError, match="botocore is not installed") as caught:
        find()
    assert "kit-initializer[aws]" in caught.value.hint
