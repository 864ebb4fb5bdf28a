"""Google's registries against fakes of its metadata server and token services.

google-auth reads the place of the metadata server when it is imported, so where that matters a login is found in
a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from initializer.tests.fakes import google
from initializer.tests.fakes.server import Answer, Asked, serve
from initializer.tests.logins import find_with
from kit_initializer.errors import InitializerError
from kit_initializer.settings import read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = "europe-west4-docker.pkg.dev"
OF_THE_POD = "Google, for the service account of the pod"
BY_FILE = "Google, by GOOGLE_APPLICATION_CREDENTIALS"
FIND = """
import json, os, sys
from threading import Event
from kit_initializer.credentials import Wanted, sources
from kit_initializer.deadline import Deadline
from kit_initializer.http import Transport
from kit_initializer.pull.run import network
from kit_initializer.errors import InitializerError
from kit_initializer.settings import read
warnings = []
found = {"warnings": warnings, "login": None, "error": None, "code": 0}
try:
    settings = read(os.environ)
    transport = Transport(network(settings), Deadline(), Event())
    login = sources.find(Wanted(sys.argv[1], "iris"), settings, transport, warnings.append)
    if login:
        found["login"] = [login.username, login.password.reveal(), login.source]
except InitializerError as error:
    found["error"], found["code"] = error.line(), error.exit_code
json.dump(found, sys.stdout)
"""


class Found(NamedTuple):
    login: list[str] | None
    error: str
    code: int
    warnings: list[str]
    printed: str


def find_alone(host: str = HOST, **environ: str) -> Found:
    """Find the login in a process whose environment has nothing of this machine's identity."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("PYTHON", "COV_", "COVERAGE", "PATH"))
    }
    run = subprocess.run(
        [sys.executable, "-c", FIND, host],
        env=kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    value: dict[str, Any] = json.loads(run.stdout)
    return Found(value["login"], value["error"] or "", value["code"], value["warnings"], run.stderr)


def find(host: str = HOST, **environ: str) -> Found:
    """Find the login in this process."""
    warnings: list[str] = []
    try:
        login = find_with(host, read(environ), warnings.append)
    except InitializerError as error:
        return Found(None, error.line(), error.exit_code, warnings, "")
    return Found(
        [login.username, login.password.reveal(), login.source] if login else None, "", 0, warnings, ""
    )


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def written(path: Path, value: object) -> dict[str, str]:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return {"GOOGLE_APPLICATION_CREDENTIALS": str(path)}


def federated(folder: Path, address: str, subject: str = google.SUBJECT) -> dict[str, str]:
    (folder / "subject").write_text(subject)
    value = {
        "type": "external_account",
        "audience": google.AUDIENCE,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"http://{address}/v1/token",
        "credential_source": {"file": str(folder / "subject")},
    }
    return written(folder / "wif.json", value)


@pytest.mark.parametrize("host", [HOST, "gcr.io", "eu.gcr.io"])
def test_metadata_server(host: str, stack: ExitStack) -> None:
    address, asked = stack.enter_context(serve(google.metadata, server_header=google.FLAVOR))
    found = find_alone(host, GCE_METADATA_HOST=address)
    assert found.login == ["oauth2accesstoken", google.TOKEN, OF_THE_POD]
    assert found.printed == ""
    assert all(request.headers["metadata-flavor"] == "Google" for request in asked)


@pytest.mark.parametrize(
    "host",
    [
        "r.example",
        "docker.pkg.dev",
        "europe-west4-docker.pkg.dev.evil.example",
        "evil.example-docker.pkg.dev.x",
        "a.europe-west4-docker.pkg.dev",
        "gcr.io.evil.example",
        "evilgcr.io",
        "a.b.gcr.io",
        "gcr.io:5000",
    ],
)
def test_google_is_asked_for_its_own_hosts_only(host: str, stack: ExitStack) -> None:
    address, asked = stack.enter_context(serve(google.metadata, server_header=google.FLAVOR))
    assert find(host, GCE_METADATA_HOST=address, GCP_WIF="true").login is None
    assert asked == []


def test_workload_identity_federation(tmp_path: Path, stack: ExitStack) -> None:
    address, asked = stack.enter_context(serve(google.exchange))
    found = find(GCP_WIF="true", GCP_GAR_LOCATION="europe-west4", **federated(tmp_path, address))
    assert found.login == ["oauth2accesstoken", google.TOKEN, BY_FILE]
    assert len(asked) == 1


def test_a_federated_identity_that_is_refused(tmp_path: Path, stack: ExitStack) -> None:
    address, _ = stack.enter_context(serve(google.exchange))
    found = find(**federated(tmp_path, address, "canary-wrong-token"))
    assert found.error.startswith("denied: Google gave no token: invalid_grant; check the service account")
    assert found.code == 4
    assert "canary" not in f"{found}"


def test_key_of_a_service_account(tmp_path: Path, stack: ExitStack) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    address, _ = stack.enter_context(serve(google.grants(key.public_key())))
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "client_email": google.EMAIL,
        "private_key_id": "1",
        "private_key": pem.decode(),
        "token_uri": f"http://{address}/token",
    }
    assert find(**written(tmp_path / "sa.json", account)).login == [
        "oauth2accesstoken",
        google.TOKEN,
        BY_FILE,
    ]


@pytest.mark.parametrize(
    "content",
    [
        "canary, not JSON",
        "[]",
        "{}",
        {"type": "external_account"},
        {"type": "external_account", "credential_source": {"environment_id": "aws1"}},
        {"type": "service_account", "private_key": "canary"},
        {"type": "authorized_user", "refresh_token": "canary"},
        {"type": "external_account", "credential_source": ["environment_id"]},
        {"type": "canary"},
    ],
    ids=str,
)
def test_a_file_that_is_none(content: object, tmp_path: Path) -> None:
    found = find(**written(tmp_path / "file.json", content))
    assert found.code in {2, 4}
    assert "canary" not in f"{found}"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    found = find(GOOGLE_APPLICATION_CREDENTIALS=str(tmp_path / "none"))
    assert found.error == f"usage: {tmp_path / 'none'} cannot be read: No such file or directory"


def test_without_an_identity_the_registry_may_be_open() -> None:
    found = find(GCE_METADATA_HOST="127.0.0.1:1")
    assert found == Found(None, "", 0, [], "")


def test_an_identity_that_fails_is_fatal_only_where_it_was_asked_for(stack: ExitStack) -> None:
    address, _ = stack.enter_context(serve(lambda _: Answer(404, "{}"), server_header=google.FLAVOR))
    found = find_alone(GCE_METADATA_HOST=address)
    assert found.login is None
    assert found.error == ""
    assert found.warnings[0].endswith("going on without a login")
    required = find_alone(GCE_METADATA_HOST=address, GCP_WIF="true")
    assert required.code in {4, 5}
    assert required.printed == ""


def test_a_metadata_server_that_answers_nonsense(stack: ExitStack) -> None:
    def answer(request: Asked) -> Answer:
        return Answer(200, "{}") if "token" in request.path else google.metadata(request)

    address, _ = stack.enter_context(serve(answer, server_header=google.FLAVOR))
    found = find_alone(GCE_METADATA_HOST=address, GCP_WIF="true")
    assert found.code in {2, 4, 5}
    assert found.error.startswith(("usage: the metadata server", "denied", "unreachable"))


def test_a_token_service_that_is_not_there(tmp_path: Path) -> None:
    found = find(**federated(tmp_path, "127.0.0.1:1"))
    assert found.code == 5
    assert found.error.startswith("unreachable: Google's token service cannot be reached")


def test_without_google_auth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.auth", None)
    found = find(GCP_WIF="true")
    assert found.code == 2
    assert "kit-initializer[gcp]" in found.error
