"""cosign 3's format: a Sigstore bundle in a manifest that refers to the kit.

Sources: cosign's specs/BUNDLE_SPEC.md, the DSSE protocol, in-toto's Statement v1, OCI distribution 1.1; compared with
what cosign 3.1.3 pushes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kit_conformance.testbed.kits.values import OCI_MANIFEST, sha256
from kit_conformance.testbed.signing.values import (
    EMPTY,
    EMPTY_TYPE,
    Attachment,
    Signed,
    b64,
    compact,
    descriptor,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kit_conformance.testbed.signing.keys import Key

BUNDLE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
IN_TOTO: Final = "application/vnd.in-toto+json"
STATEMENT: Final = "https://in-toto.io/Statement/v1"
COSIGN_SIGN: Final = "https://sigstore.dev/cosign/sign/v1"


@dataclass(frozen=True)
class Envelope:
    """A DSSE envelope."""

    payload: bytes
    signature: bytes
    payload_type: str = IN_TOTO

    def document(self) -> dict[str, Any]:
        """Return the envelope as JSON has it."""
        return {
            "payload": b64(self.payload),
            "payloadType": self.payload_type,
            "signatures": [{"sig": b64(self.signature)}],
        }


def statement(
    *digests: str, predicate_type: str = COSIGN_SIGN, predicate: Mapping[str, object] | None = None
) -> bytes:
    """Return an in-toto statement about these digests; without a predicate where it is None."""
    subjects = [{"digest": {"sha256": digest.removeprefix("sha256:")}} for digest in digests]
    found: dict[str, object] = {"_type": STATEMENT, "subject": subjects, "predicateType": predicate_type}
    return compact(found if predicate is None else {**found, "predicate": predicate})


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that a DSSE envelope signs (its pre-authentication encoding)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def envelope(key: Key, payload: bytes, payload_type: str = IN_TOTO) -> Envelope:
    """Sign a payload."""
    return Envelope(payload, key.sign(pae(payload_type, payload)), payload_type)


def document(made: Envelope, material: Mapping[str, object]) -> dict[str, Any]:
    """Return a bundle of an envelope and what verifies it: `{"publicKey": {"hint": …}}` or a certificate."""
    return {
        "mediaType": BUNDLE,
        "verificationMaterial": dict(material),
        "dsseEnvelope": made.document(),
    }


def bundle(
    key: Key,
    kit: Signed,
    *,
    digest: str = "",
    predicate_type: str = COSIGN_SIGN,
    predicate: Mapping[str, object] | None = None,
    made: Envelope | None = None,
    hint: str = "",
    annotated: str = "",
) -> Attachment:
    """Sign a kit and return the referrer that holds the bundle.

    Other than `cosign sign` does it: `digest` is what the statement names instead of the kit's; `predicate_type` and
    `predicate` make it an attestation; `made` is an envelope that is there already; `hint` names another key;
    `annotated` is the predicate type that the manifest's annotation claims.
    """
    predicate = {} if predicate is None else predicate
    said = statement(digest or kit.digest, predicate_type=predicate_type, predicate=predicate)
    made = made or envelope(key, said)
    content = compact(document(made, {"publicKey": {"hint": hint or key.hint}}))
    return referrer(content, kit, annotated or predicate_type)


def referrer(
    content: bytes,
    kit: Signed,
    predicate_type: str = COSIGN_SIGN,
    *,
    kind: str = BUNDLE,
    size: int | None = None,
    listed: str = "",
    more: Sequence[bytes] = (),
) -> Attachment:
    """Return the manifest of a bundle, whatever its bytes are.

    `kind` is its artifact and media type, `size` what the descriptor says instead of the true one, `listed` what an
    index under the fallback tag says of its kind, `more` are further layers.
    """
    layers = [descriptor(kind, each) for each in (content, *more)]
    if size is not None:
        layers[0]["size"] = size
    manifest: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": kind,
        "config": descriptor(EMPTY_TYPE, EMPTY),
        "layers": layers,
        "subject": {"mediaType": kit.media_type, "digest": kit.digest, "size": len(kit.manifest)},
        "annotations": {
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": predicate_type,
            "org.opencontainers.image.created": "2026-01-01T00:00:00Z",
        },
    }
    blobs = {sha256(each): each for each in (EMPTY, content, *more)}
    return Attachment(compact(manifest), blobs, subject=kit.digest, listed=listed or kind)
