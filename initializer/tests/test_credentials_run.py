"""Logins as KServe's pods have them, through the command: which is used, who sees it, and that nobody else does."""

from __future__ import annotations

import base64
import json
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from kit_conformance.testbed.kits import pack
from kit_conformance.testbed.registry import TLS, Basic, Bearer, Registry

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command, Run, Trees

CANARY = "canary-5e1c"
USERS = {"ann": CANARY}
KIT = pack({"model.joblib": b"weights"}, {"manifestVersion": "1.0.0", "model": {"path": "model.joblib"}})
AUTH = base64.b64encode(f"ann:{CANARY}".encode()).decode()


def harmless(run: Run, *folders: Path) -> None:
    """Assert that the secret is in no line, in no message and in no file of these folders."""
    assert CANARY not in "\n".join([*run.lines, run.message])
    assert AUTH not in "\n".join([*run.lines, run.message])
    for folder in folders:
        for path in folder.rglob("*"):
            assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path


def sources(host: str, folder: Path) -> dict[str, tuple[dict[str, str], str]]:
    """Return for each source the environment that gives it a login, and what the log calls it."""
    folder.mkdir()
    config = json.dumps({"auths": {host: {"auth": AUTH}}})
    (folder / "config.json").write_text(config)
    program = folder / "docker-credential-canary"
    answer = json.dumps({"Username": "ann", "Secret": CANARY})
    program.write_text(f"#!{sys.executable} -I\nprint({answer!r})\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    helper = json.dumps({"credHelpers": {host: "canary"}})
    login = {"username": "ann", "password": CANARY}
    return {
        "storage": (
            {"STORAGE_CONFIG": json.dumps(login), "STORAGE_OVERRIDE_CONFIG": '{"type": "kit"}'},
            "STORAGE_CONFIG",
        ),
        "environment": ({"KIT_USER": "ann", "KIT_PASSWORD": f"{CANARY}\n"}, "KIT_USER and KIT_PASSWORD"),
        "contents": ({"KIT_DOCKER_CONFIG_JSON": config}, "KIT_DOCKER_CONFIG_JSON"),
        "folder": ({"DOCKER_CONFIG": str(folder)}, str(folder / "config.json")),
        "helper": (
            {"KIT_DOCKER_CONFIG_JSON": helper, "PATH": str(folder)},
            "docker-credential-canary of credHelpers of KIT_DOCKER_CONFIG_JSON",
        ),
    }


@pytest.mark.parametrize("auth", [Basic(USERS), Bearer(USERS)], ids=["basic", "bearer"])
@pytest.mark.parametrize("source", ["storage", "environment", "contents", "folder", "helper"])
def test_each_source(
    auth: Basic | Bearer, source: str, initialize: Command, destination: Path, *, tmp_path: Path, trees: Trees
) -> None:
    with Registry(auth=auth) as registry:
        environ, name = sources(registry.host, tmp_path / "secrets")[source]
        run = initialize(registry.add(KIT, "iris", "v1"), destination, env=environ)
    assert run.code == 0, run.lines
    assert any(name in line for line in run.lines), run.lines
    trees.check(destination, KIT)
    harmless(run, destination)


def test_identity_token(initialize: Command, destination: Path) -> None:
    config = {"type": "kit", "identity_token": CANARY}
    with Registry(auth=Bearer(USERS, identity_tokens={CANARY})) as registry:
        run = initialize(registry.add(KIT, "iris", "v1"), destination, STORAGE_CONFIG=json.dumps(config))
    assert run.code == 0, run.lines
    harmless(run, destination)


@pytest.mark.parametrize("auth", [Basic(USERS), Bearer(USERS)], ids=["basic", "bearer"])
@pytest.mark.parametrize(
    ("secret", "code"),
    [
        ({"KIT_USER": "ann", "KIT_PASSWORD": CANARY}, 0),
        ({}, 4),
        ({"KIT_USER": "ann"}, 2),
        ({"KIT_PASSWORD": CANARY}, 2),
        ({"KIT_USER": "ann", "KIT_PASSWORD": f"{CANARY}x"}, 4),
    ],
    ids=["present", "absent", "half a user", "half a password", "wrong"],
)
def test_kit_secret_over_tls_with_a_private_authority(
    auth: Basic | Bearer,
    secret: dict[str, str],
    code: int,
    *,
    initialize: Command,
    destination: Path,
    trees: Trees,
) -> None:
    tls = TLS()
    with Registry(auth=auth, tls=tls) as registry:
        uri = registry.add(KIT, "iris", "v1")
        run = initialize(uri, destination, KIT_UNPACK_FLAGS="-v", KIT_CA_CERT=tls.ca_pem, env=secret)
    assert run.code == code, run.lines
    if code:
        trees.nothing_in(destination)
        assert run.message == run.last
    harmless(run, destination)


def test_a_refused_login_is_named_and_no_other_is_tried(initialize: Command, destination: Path) -> None:
    with Registry(auth=Basic(USERS)) as registry:
        right = json.dumps({"auths": {registry.host: {"auth": AUTH}}})
        wrong = {"KIT_USER": "ann", "KIT_PASSWORD": "otter", "KIT_DOCKER_CONFIG_JSON": right}
        run = initialize(registry.add(KIT, "iris", "v1"), destination, env=wrong)
    assert run.code == 4
    assert "KIT_USER and KIT_PASSWORD" in run.last
    harmless(run)


def test_a_login_is_kept_from_an_open_registry(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    run = initialize(registry.add(KIT, "iris", "v1"), destination, KIT_USER="ann", KIT_PASSWORD=CANARY)
    assert run.code == 0
    assert {entry.authorization for entry in registry.ledger} == {"none"}


def test_registry_narrows_the_login(initialize: Command, destination: Path) -> None:
    login = {"KIT_USER": "ann", "KIT_PASSWORD": CANARY, "KIT_REGISTRY": "other.example"}
    with Registry(auth=Basic(USERS)) as registry:
        run = initialize(registry.add(KIT, "iris", "v1"), destination, env=login)
        assert "basic" not in {entry.authorization for entry in registry.ledger}
    assert run.code == 4
    harmless(run)


@pytest.mark.parametrize("challenge", [True, False], ids=["asking", "open"])
def test_a_parent_on_another_host_sees_no_login(
    challenge: bool, initialize: Command, destination: Path, trees: Trees
) -> None:
    with Registry(auth=Basic(USERS) if challenge else None) as far, Registry(auth=Basic(USERS)) as near:
        parent = far.add(KIT, "iris", "v1").removeprefix("kit://")
        kitfile = {"manifestVersion": "1.0.0", "model": {"path": parent}, "code": [{"path": "src"}]}
        child = near.add(pack({"src/a.py": b"1"}, kitfile), "tuned", "v1")
        run = initialize(child, destination, KIT_USER="ann", KIT_PASSWORD=CANARY)
        assert {entry.authorization for entry in far.ledger} == {"none"}
        assert "basic" in {entry.authorization for entry in near.ledger}
    assert run.code == (4 if challenge else 0), run.lines
    if challenge:
        trees.nothing_in(destination)
    else:
        assert (destination / "model.joblib").read_bytes() == b"weights"
        assert (destination / "src" / "a.py").read_bytes() == b"1"
    harmless(run, destination)


def test_a_broken_config_matters_only_where_a_login_is_needed(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    broken = {"KIT_DOCKER_CONFIG_JSON": "{" + CANARY}
    run = initialize(registry.add(KIT, "iris", "v1"), destination, env=broken)
    assert run.code == 0
    with Registry(auth=Bearer(USERS, anonymous=True)) as public:
        run = initialize(public.add(KIT, "iris", "v2"), destination, env=broken)
        assert run.code == 0, run.lines
        about = {"KIT_DOCKER_CONFIG_JSON": f'{{"auths": {{"{public.host}": "{CANARY}'}
        run = initialize(public.add(KIT, "other", "v1"), destination, env=about)
        assert run.code == 2
        assert f"speaks of {public.host}" in run.last
    harmless(run)
