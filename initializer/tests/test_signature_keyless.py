"""Keyless signatures by a fake Sigstore instance, which issues certificates and log entries in the real formats."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from initializer.tests.conftest import failed
from kit_conformance.testbed.kits import pack
from kit_conformance.testbed.signing import FakeSigstore, Key, attach, bundle, statement

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command
    from kit_conformance.testbed.registry import Registry

KIT = pack(
    {"model.bin": b"weights"}, {"manifestVersion": "1.0.0", "package": {}, "model": {"path": "model.bin"}}
)
OTHER = pack(
    {"model.bin": b"other"}, {"manifestVersion": "1.0.0", "package": {}, "model": {"path": "model.bin"}}
)
ISSUER = "https://issuer.example"
WHO = "https://git.example/team/models/.github/workflows/release.yml@refs/tags/v1"
SIGSTORE = FakeSigstore()
SHORT = {
    "COSIGN_CERT_IDENTITY": WHO,
    "COSIGN_CERT_OIDC_ISSUER": ISSUER,
    "KIT_SIGSTORE_TRUSTED_ROOT": SIGSTORE.trusted_root(),
}


def policy(**identity: str) -> dict[str, str]:
    rule = {"repositories": ["**"], "identities": [identity]}
    root = SHORT["KIT_SIGSTORE_TRUSTED_ROOT"]
    return {"KIT_SIGNATURE_POLICY": json.dumps({"rules": [rule]}), "KIT_SIGSTORE_TRUSTED_ROOT": root}


def test_an_identity(registry: Registry, initialize: Command, destination: Path, tmp_path: Path) -> None:
    uri = registry.add(KIT, "iris", "v1")
    attach(registry, "iris", SIGSTORE.bundle(KIT, WHO, ISSUER))
    run = initialize(uri, destination, env=SHORT)
    assert run.code == 0, run.lines
    assert f"identity {WHO} of {ISSUER}" in run.lines[-1]
    assert (
        initialize(uri, destination, env=policy(issuerRegex="https://issuer.*", subjectRegex=".*v1")).code
        == 0
    )
    part = policy(issuer=ISSUER, subjectRegex="https://git.example/team")
    failed(initialize(uri, destination, env=part), 7, "signature", "may not sign it")
    other = policy(issuer="https://other.example", subject=WHO)
    failed(initialize(uri, destination, env=other), 7, "signature", "may not sign it")
    root = tmp_path / "root.json"
    root.write_text(SHORT["KIT_SIGSTORE_TRUSTED_ROOT"])
    assert initialize(uri, destination, env=SHORT | {"KIT_SIGSTORE_TRUSTED_ROOT": str(root)}).code == 0


def test_the_public_root_does_not_know_another_instance(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    attach(registry, "iris", SIGSTORE.bundle(KIT, WHO, ISSUER))
    public = {name: value for name, value in SHORT.items() if name != "KIT_SIGSTORE_TRUSTED_ROOT"}
    failed(initialize(uri, destination, env=public), 7, "signature", "found 1: bundle")


WRONG: dict[str, dict[str, Any]] = {
    "another manifest": {"digest": OTHER.digest},
    "an attestation": {"predicate_type": "https://example.com/scan/v1"},
    "no certificate log": {"logged": False},
    "no log entry": {"entries": False},
    "a log entry about something else": {"entry_of": statement(OTHER.digest, predicate={})},
    "after the certificate's time": {"late": timedelta(hours=3)},
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_keyless_signature(
    *, name: str, registry: Registry, initialize: Command, destination: Path
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    attach(registry, "iris", SIGSTORE.bundle(KIT, WHO, ISSUER, **WRONG[name]))
    failed(initialize(uri, destination, env=SHORT), 7, "signature", "found 1: bundle")
    assert not list(destination.glob("*"))


def test_a_key_is_no_identity_and_an_identity_no_key(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    uri, key = registry.add(KIT, "iris", "v1"), Key.new()
    attach(registry, "iris", bundle(key, KIT))
    failed(initialize(uri, destination, env=SHORT), 7, "signature", "the rule names identities alone")
    attach(registry, "other", SIGSTORE.bundle(KIT, WHO, ISSUER))
    uri = registry.add(KIT, "other", "v1")
    failed(initialize(uri, destination, COSIGN_KEY=key.public), 7, "signature", "the rule names no identity")
