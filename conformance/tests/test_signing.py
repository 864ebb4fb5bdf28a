"""The testbed's signatures: good ones hold, wrong ones are wrong in one way, and they lie where cosign puts them."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from kit_conformance.testbed import signing
from kit_conformance.testbed.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conformance.tests.conftest import Client
    from kit_conformance.testbed.kits import ModelKit

ISSUER = "https://issuer.fake.example"
WHO = "https://ci.fake.example/models"
INDEX = {"Accept": "application/vnd.oci.image.index.v1+json"}


def verifies(key: signing.Key, signature: bytes, data: bytes) -> bool:
    public = key.private.public_key()
    try:
        if isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(signature, data)
        elif isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        else:
            large = isinstance(public.curve, ec.SECP384R1)
            public.verify(signature, data, ec.ECDSA(hashes.SHA384() if large else hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def bundle_in(attachment: signing.Attachment) -> dict[str, Any]:
    (layer,) = json.loads(attachment.manifest)["layers"]
    content = attachment.blobs[layer["digest"]]
    assert isinstance(content, bytes)
    found: dict[str, Any] = json.loads(content)
    return found


def holds(key: signing.Key, attachment: signing.Attachment) -> bool:
    """Verify a bundle by the words of the DSSE protocol."""
    envelope = bundle_in(attachment)["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"]
    data = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    return verifies(key, base64.b64decode(envelope["signatures"][0]["sig"]), data)


@pytest.mark.parametrize("kind", signing.KINDS)
def test_a_bundle_is_signed_by_its_key_and_names_the_kit(kit: ModelKit, kind: str) -> None:
    key = signing.Key.new(kind)
    made = signing.bundle(key, kit)
    assert holds(key, made)
    assert not holds(signing.Key.new(kind), made)
    found = bundle_in(made)
    hint = base64.b64decode(found["verificationMaterial"]["publicKey"]["hint"])
    assert hint == hashlib.sha256(key.der).digest()
    statement = json.loads(base64.b64decode(found["dsseEnvelope"]["payload"]))
    assert statement["subject"] == [{"digest": {"sha256": kit.digest.removeprefix("sha256:")}}]
    assert statement["predicateType"] == "https://sigstore.dev/cosign/sign/v1"


@pytest.mark.parametrize("kind", signing.KINDS)
def test_a_simple_signature_is_over_the_bytes_of_its_payload(kit: ModelKit, kind: str) -> None:
    key = signing.Key.new(kind)
    layer = signing.simple_layer(key, kit, "registry.example/iris")
    signature = base64.b64decode(layer.annotations["dev.cosignproject.cosign/signature"])
    assert verifies(key, signature, layer.data)
    critical = json.loads(layer.data)["critical"]
    assert critical["image"]["docker-manifest-digest"] == kit.digest
    assert critical["identity"]["docker-reference"] == "registry.example/iris"
    assert signing.simple(kit, layer).tag == f"sha256-{kit.digest.removeprefix('sha256:')}.sig"


def test_a_wrong_signature_is_wrong_in_one_way(kit: ModelKit) -> None:
    key, other = signing.Key.new(), "sha256:" + "0" * 64
    made = signing.envelope(key, signing.statement(kit.digest, predicate={}))
    changed = signing.Envelope(made.payload, signing.flipped(made.signature), made.payload_type)
    assert not holds(key, signing.bundle(key, kit, made=changed))
    renamed = signing.Envelope(made.payload, made.signature, "application/json")
    assert not holds(key, signing.bundle(key, kit, made=renamed))
    elsewhere = signing.bundle(key, kit, digest=other)
    assert holds(key, elsewhere), "a true signature of something else"
    assert json.loads(elsewhere.manifest)["subject"]["digest"] == kit.digest
    lying = signing.bundle(
        key, kit, predicate_type="https://slsa.dev/provenance/v1", annotated=signing.COSIGN_SIGN
    )
    annotation = json.loads(lying.manifest)["annotations"]["dev.sigstore.bundle.predicateType"]
    assert annotation == signing.COSIGN_SIGN
    assert b"slsa" in base64.b64decode(bundle_in(lying)["dsseEnvelope"]["payload"])


def test_a_registry_lists_what_refers_to_a_kit_in_pages(
    kit: ModelKit, connect: Callable[..., Client]
) -> None:
    key = signing.Key.new()
    kinds = [f"https://example.com/{number}" for number in range(5)]
    with Registry(page=2) as registry:
        registry.add(kit, "iris", "v1")
        made = [signing.bundle(key, kit, predicate_type=kind) for kind in kinds]
        signing.attach(registry, "iris", *made)
        client, found = connect(registry.host), []
        target = f"/v2/iris/referrers/{kit.digest}?artifactType={made[0].listed.replace('+', '%2B')}"
        while target:
            answer = client("GET", target)
            found += [each["digest"] for each in json.loads(answer.body)["manifests"]]
            target = (answer.headers["Link"] or "").partition(">")[0].removeprefix("<")
        assert found == [each.digest for each in made]
        assert len(registry.ledger.requests(kind="referrers")) == 3


@pytest.mark.parametrize("status", [404, 405])
def test_a_registry_without_referrers_has_them_under_the_fallback_tag(
    kit: ModelKit, connect: Callable[..., Client], status: int
) -> None:
    key = signing.Key.new()
    with Registry(referrers=status) as registry:
        registry.add(kit, "iris", "v1")
        made = [signing.bundle(key, kit), signing.bundle(key, kit)]
        signing.attach(registry, "iris", *made)
        client = connect(registry.host)
        assert client("GET", f"/v2/iris/referrers/{kit.digest}").status == status
        answer = client("GET", f"/v2/iris/manifests/{kit.digest.replace(':', '-')}", headers=INDEX)
        assert [each["digest"] for each in json.loads(answer.body)["manifests"]] == [
            each.digest for each in made
        ]


def test_what_is_pushed_is_what_is_attached(kit: ModelKit, connect: Callable[..., Client]) -> None:
    key = signing.Key.new()
    with Registry(referrers=404) as registry:
        registry.add(kit, "iris", "v1")
        bundle = signing.bundle(key, kit)
        older = signing.simple(kit, signing.simple_layer(key, kit, f"{registry.host}/iris"))
        signing.push_attachment(registry.host, "iris", bundle, older)
        assert registry.storage.manifest("iris", bundle.digest).body == bundle.manifest
        assert registry.storage.manifest("iris", older.tag).body == older.manifest
        client = connect(registry.host)
        answer = client("GET", f"/v2/iris/manifests/{kit.digest.replace(':', '-')}", headers=INDEX)
        assert [each["digest"] for each in json.loads(answer.body)["manifests"]] == [bundle.digest]


WRONG: dict[str, dict[str, Any]] = {
    "not valid": {"late": timedelta(hours=1)},
    "signed certificate timestamp": {"logged": False},
    "payload hash": {"entry_of": b"{}"},
    "one log entry": {"entries": False},
}


@pytest.mark.parametrize("complaint", ["", *WRONG])
def test_sigstore_accepts_the_fake_instance_and_refuses_what_is_wrong(
    kit: ModelKit, tmp_path: Path, complaint: str
) -> None:
    from sigstore.errors import Error  # noqa: PLC0415  (half a second)
    from sigstore.models import Bundle, InvalidBundle, TrustedRoot  # noqa: PLC0415
    from sigstore.verify import Verifier, policy  # noqa: PLC0415

    instance = signing.FakeSigstore()
    root = tmp_path / "trusted_root.json"
    root.write_text(instance.trusted_root(), "utf-8")
    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(root)))
    made = bundle_in(instance.bundle(kit, WHO, ISSUER, **WRONG.get(complaint, {})))
    identity = policy.Identity(identity=WHO, issuer=ISSUER)
    if complaint:
        with pytest.raises((Error, InvalidBundle), match=complaint):
            verifier.verify_dsse(Bundle.from_json(json.dumps(made)), identity)
        return
    bundle = Bundle.from_json(json.dumps(made))
    kind, payload = verifier.verify_dsse(bundle, identity)
    assert (kind, json.loads(payload)["subject"][0]["digest"]["sha256"]) == (
        signing.IN_TOTO,
        kit.digest.removeprefix("sha256:"),
    )
    for other in ({"identity": WHO + "x", "issuer": ISSUER}, {"identity": WHO, "issuer": ISSUER + "/x"}):
        with pytest.raises(Error):
            verifier.verify_dsse(bundle, policy.Identity(**other))
