"""The older format of cosign 1 and 2 ("simple signing"): an image under the tag `sha256-HEX.sig`, a layer a signature.

Source: cosign's specs/SIGNATURE_SPEC.md and ATTESTATION_SPEC.md; compared with what cosign 3.1.3 pushes with
`--new-bundle-format=false`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from kit_conformance.testbed.kits.values import OCI_MANIFEST, sha256
from kit_conformance.testbed.signing.bundles import COSIGN_SIGN, envelope, statement
from kit_conformance.testbed.signing.values import Attachment, Signed, b64, compact, descriptor, tag_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kit_conformance.testbed.signing.keys import Key

SIMPLE: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
DSSE: Final = "application/vnd.dsse.envelope.v1+json"
SIGNATURE: Final = "dev.cosignproject.cosign/signature"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_KIND: Final = "cosign container image signature"


@dataclass(frozen=True)
class SimpleLayer:
    """One layer: a payload, and the annotations that hold its signature."""

    data: bytes
    annotations: Mapping[str, str] = field(default_factory=dict)
    media_type: str = SIMPLE


def payload(digest: str, reference: str, *, kind: str = _KIND) -> bytes:
    """Return what is signed: the digest, and the repository's name (`host/repository`)."""
    return compact(
        {
            "critical": {
                "identity": {"docker-reference": reference},
                "image": {"docker-manifest-digest": digest},
                "type": kind,
            },
            "optional": None,
        }
    )


def simple_layer(
    key: Key, kit: Signed, reference: str, *, data: bytes = b"", signature: bytes = b"", digest: str = ""
) -> SimpleLayer:
    """Sign a kit.

    Other than `cosign sign` does it: `digest` is named instead of the kit's, `data` is another payload, `signature`
    another signature than that of the payload.
    """
    data = data or payload(digest or kit.digest, reference)
    return SimpleLayer(data, {SIGNATURE: b64(signature or key.sign(data))})


def simple(
    kit: Signed, *layers: SimpleLayer, suffix: str = ".sig", annotations: Mapping[str, str] | None = None
) -> Attachment:
    """Return the image that holds the layers, for the tag of the kit's digest."""
    diffs = [sha256(each.data) for each in layers]
    config = compact(
        {
            "architecture": "",
            "created": "0001-01-01T00:00:00Z",
            "history": [{"created": "0001-01-01T00:00:00Z"} for _ in layers],
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": diffs},
            "config": {},
        }
    )
    manifest: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(_CONFIG, config),
        "layers": [descriptor(each.media_type, each.data, each.annotations) for each in layers],
    }
    if annotations:
        manifest["annotations"] = dict(annotations)
    blobs = {sha256(config): config, **{sha256(each.data): each.data for each in layers}}
    return Attachment(compact(manifest), blobs, tag=tag_of(kit.digest, suffix))


def attestation_layer(
    key: Key,
    kit: Signed,
    predicate_type: str,
    predicate: Mapping[str, object] | None = None,
    *,
    digest: str = "",
) -> SimpleLayer:
    """Attest something of a kit, as `cosign attest` without bundles does."""
    said = statement(digest or kit.digest, predicate_type=predicate_type, predicate=predicate or {})
    data = compact(envelope(key, said).document())
    annotations = {SIGNATURE: ""}
    if predicate_type != COSIGN_SIGN:
        annotations["predicateType"] = predicate_type
    return SimpleLayer(data, annotations, DSSE)


def attestations(kit: Signed, *layers: SimpleLayer) -> Attachment:
    """Return the image that holds attestations, for the tag `sha256-HEX.att`."""
    return simple(kit, *layers, suffix=".att")
