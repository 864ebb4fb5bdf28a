"""The testbed's signatures against the real cosign, both ways, on a real docker-registry."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from kit_conformance.testbed import signing
from kit_conformance.testbed.kits import pack, push

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kit_conformance.testbed.kits import ModelKit

    Cosign = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = [pytest.mark.interop("cosign", "docker-registry"), pytest.mark.timeout(180)]

ISSUER = "https://issuer.fake.example"
WHO = "https://ci.fake.example/models"
SLSA = "https://slsa.dev/provenance/v1"
OLDER = ("--new-bundle-format=false", "--use-signing-config=false", "--tlog-upload=false")


@pytest.fixture
def cosign(tmp_path: Path) -> Cosign:
    """Run cosign in a new home, without a passphrase and without a network beyond loopback."""
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "COSIGN_PASSWORD": ""}
    # its TUF client asks the internet first; a proxy that refuses is a quick no
    environment |= {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}

    def run(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = ["cosign", *words]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture
def iris(docker_registry: str) -> tuple[ModelKit, str]:
    """Push a kit, and return it with its reference by digest."""
    made = pack({"m.bin": bytes(5000)}, {"manifestVersion": "1.0.0", "model": {"name": "m", "path": "m.bin"}})
    push(made, docker_registry, "iris", "v1")
    return made, f"{docker_registry}/iris@{made.digest}"


def verify(run: Cosign, reference: str, key: signing.Key, folder: Path) -> int:
    (folder / "key.pub").write_text(key.public, "utf-8")
    words = ("--key", "key.pub", "--insecure-ignore-tlog=true", "--allow-http-registry")
    return run("verify", *words, reference, check=False).returncode


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("kind", ["p256", "ed25519", "rsa"])
def test_cosign_accepts_what_the_testbed_signs(
    cosign: Cosign, iris: tuple[ModelKit, str], tmp_path: Path, kind: str, older: bool
) -> None:
    kit, reference = iris
    host, key = reference.partition("/")[0], signing.Key.new(kind)
    layer = signing.simple_layer(key, kit, f"{host}/iris")
    assert verify(cosign, reference, key, tmp_path) != 0, "there is none yet"
    signing.push_attachment(host, "iris", signing.simple(kit, layer) if older else signing.bundle(key, kit))
    assert verify(cosign, reference, key, tmp_path) == 0
    assert verify(cosign, reference, signing.Key.new(kind), tmp_path) != 0


def wrong_signatures(kit: ModelKit, key: signing.Key) -> dict[str, signing.Attachment]:
    other = "sha256:" + "0" * 64
    made = signing.envelope(key, signing.statement(kit.digest, predicate={}))
    changed = signing.Envelope(made.payload, signing.flipped(made.signature))
    bare = signing.Envelope(made.payload, key.sign(made.payload))
    return {
        "another key": signing.bundle(signing.Key.new(), kit, hint=key.hint),
        "another digest": signing.bundle(key, kit, digest=other),
        "a flipped byte": signing.bundle(key, kit, made=changed),
        "no encoding": signing.bundle(key, kit, made=bare),
        "another digest, older": signing.simple(kit, signing.simple_layer(key, kit, "x/iris", digest=other)),
        "an attestation's tag": signing.attestations(kit, signing.attestation_layer(key, kit, SLSA)),
    }


@pytest.mark.parametrize(
    "name", wrong_signatures(pack({"m": b""}, {"model": {"path": "m"}}), signing.Key.new())
)
def test_cosign_refuses_what_the_testbed_signs_wrongly(
    cosign: Cosign, iris: tuple[ModelKit, str], tmp_path: Path, name: str
) -> None:
    kit, reference = iris
    key = signing.Key.new()
    signing.push_attachment(reference.partition("/")[0], "iris", wrong_signatures(kit, key)[name])
    assert verify(cosign, reference, key, tmp_path) != 0


def test_cosign_takes_an_attestation_for_a_signature(
    cosign: Cosign, iris: tuple[ModelKit, str], tmp_path: Path
) -> None:
    """Measured of 3.1.3; when this fails, cosign has learnt to look at the predicate type."""
    kit, reference = iris
    key = signing.Key.new()
    attested = signing.bundle(key, kit, predicate_type=SLSA)
    signing.push_attachment(reference.partition("/")[0], "iris", attested)
    assert verify(cosign, reference, key, tmp_path) == 0


def test_cosign_trusts_the_fake_instance(cosign: Cosign, iris: tuple[ModelKit, str], tmp_path: Path) -> None:
    kit, reference = iris
    instance = signing.FakeSigstore()
    (tmp_path / "root.json").write_text(instance.trusted_root(), "utf-8")
    signing.push_attachment(reference.partition("/")[0], "iris", instance.bundle(kit, WHO, ISSUER))

    def verifies(identity: str, issuer: str) -> bool:
        who = ("--certificate-identity", identity, "--certificate-oidc-issuer", issuer)
        words = ("--trusted-root", "root.json", *who, "--allow-http-registry", reference)
        return cosign("verify", *words, check=False).returncode == 0

    assert verifies(WHO, ISSUER)
    assert not verifies(f"{WHO}/x", ISSUER)
    assert not verifies(WHO, f"{ISSUER}/x")


def asked(honest: str, host: str, folder: Path, **environment: str) -> int:
    """Let our initializer bring the kit, and return its exit code."""
    command = [honest.removeprefix("command:"), f"kit://{host}/iris:v1", str(folder)]
    every = {"PATH": os.defpath, "KIT_UNPACK_FLAGS": "--plain-http", **environment}
    return subprocess.run(command, env=every, timeout=60, check=False, capture_output=True).returncode


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("kind", ["p256", "p384", "rsa"])
def test_what_cosign_signs_is_brought_by_its_key(
    cosign: Cosign, honest: str, iris: tuple[ModelKit, str], tmp_path: Path, kind: str, older: bool
) -> None:
    _, reference = iris
    host = reference.partition("/")[0]
    (tmp_path / "key.pem").write_text(signing.Key.new(kind).secret, "utf-8")
    cosign("import-key-pair", "--key", "key.pem", "--output-key-prefix", "cosign")
    cosign("signing-config", "create", "--out", "none.json")
    how = OLDER if older else ("--signing-config", "none.json")
    key = (tmp_path / "cosign.pub").read_text("utf-8")
    assert asked(honest, host, tmp_path / "none", COSIGN_KEY=key) == 7
    cosign("sign", "-y", "--key", "cosign.key", *how, "--allow-http-registry", reference)
    assert asked(honest, host, tmp_path / "out", COSIGN_KEY=key) == 0
    assert (tmp_path / "out" / "m.bin").stat().st_size == 5000
    assert asked(honest, host, tmp_path / "other", COSIGN_KEY=signing.Key.new().public) == 7


def test_cosign_refuses_what_it_signs_with_ed25519(
    cosign: Cosign, honest: str, iris: tuple[ModelKit, str], tmp_path: Path
) -> None:
    """Measured of 3.1.3: it signs as Ed25519ph and verifies as Ed25519. When this fails, look at ours too."""
    _, reference = iris
    key = signing.Key.new("ed25519")
    (tmp_path / "key.pem").write_text(key.secret, "utf-8")
    cosign("import-key-pair", "--key", "key.pem", "--output-key-prefix", "cosign")
    cosign("signing-config", "create", "--out", "none.json")
    how = ("--signing-config", "none.json", "--allow-http-registry")
    cosign("sign", "-y", "--key", "cosign.key", *how, reference)
    assert verify(cosign, reference, key, tmp_path) != 0
    assert asked(honest, reference.partition("/")[0], tmp_path / "out", COSIGN_KEY=key.public) == 7


@pytest.mark.parametrize("older", [False, True])
def test_what_cosign_attests_is_what_a_rule_wants(
    cosign: Cosign, honest: str, iris: tuple[ModelKit, str], tmp_path: Path, older: bool
) -> None:
    _, reference = iris
    host = reference.partition("/")[0]
    source = "git+https://git.example/models"
    predicate = {"buildDefinition": {"externalParameters": {"source": {"uri": source}}}, "runDetails": {}}
    (tmp_path / "predicate.json").write_text(json.dumps(predicate), "utf-8")
    cosign("generate-key-pair")
    cosign("signing-config", "create", "--out", "none.json")
    how = OLDER if older else ("--signing-config", "none.json")
    words = ("-y", "--key", "cosign.key", *how, "--allow-http-registry")
    key = (tmp_path / "cosign.pub").read_text("utf-8")

    def policy(uri: str) -> str:
        wanted = {
            "predicateType": SLSA,
            "where": {"buildDefinition.externalParameters.source.uri": uri},
        }
        return json.dumps({"rules": [{"repositories": ["**"], "keys": [key], "attestations": [wanted]}]})

    cosign("attest", *words, "--type", SLSA, "--predicate", "predicate.json", reference)
    attested = asked(honest, host, tmp_path / "attested", COSIGN_KEY=key)
    cosign("sign", *words, reference)
    right = asked(honest, host, tmp_path / "right", KIT_SIGNATURE_POLICY=policy(source))
    wrong = asked(honest, host, tmp_path / "wrong", KIT_SIGNATURE_POLICY=policy(f"{source}/x"))
    assert (attested, right, wrong) == (7, 0, 7)
