"""Cosign 3's format: a Sigstore bundle with a DSSE envelope, by a key or by a certificate.

Sources: the protobuf `dev.sigstore.bundle.v1.Bundle` as JSON; DSSE's protocol for the bytes that are signed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kit_initializer.secret import printable
from kit_initializer.signature import statement
from kit_initializer.signature.statement import UnfitError, base64, json_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kit_initializer.signature.keyless import Keyless
    from kit_initializer.signature.keys import Key
    from kit_initializer.signature.policy import Rule
    from kit_initializer.signature.statement import Statement

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle"  # how it begins, in all versions
ENVELOPE = "application/vnd.dsse.envelope.v1+json"
_READ = (
    "application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
)
_SIGNATURES = 16


def read(content: bytes, rule: Rule, keyless: Keyless | None, sha256: str) -> Statement:
    """Return what a bundle states of the manifest `sha256`, signed as the rule wants it. Raises UnfitError."""
    value = json_object(content, "it")
    kind = value.get("mediaType")
    if kind not in _READ:
        raise UnfitError(f"it is a bundle of type {printable(kind, 80)}, and 0.3 is read")
    material = value.get("verificationMaterial")
    if not isinstance(material, dict):
        raise UnfitError("it has no verificationMaterial")
    if "dsseEnvelope" not in value:
        raise UnfitError("it holds no DSSE envelope")
    if "certificate" in material or "x509CertificateChain" in material:
        return _by_certificate(content, rule, keyless, sha256)
    return read_envelope(value["dsseEnvelope"], rule.keys, sha256)


def _by_certificate(content: bytes, rule: Rule, keyless: Keyless | None, sha256: str) -> Statement:
    if not rule.identities or keyless is None:
        raise UnfitError("it is keyless, and the rule names no identity")
    try:
        identity, kind, payload = keyless.verified(content, rule.identities)
    except ValueError as error:
        raise UnfitError(str(error)) from None
    return statement.read(kind, payload, f"identity {identity}", sha256)


def read_envelope(envelope: object, keys: Sequence[Key], sha256: str) -> Statement:
    """Return what a DSSE envelope by one of the keys states of the manifest `sha256`. Raises UnfitError."""
    if not isinstance(envelope, dict):
        raise UnfitError("its envelope is no object")
    kind, signatures = envelope.get("payloadType"), envelope.get("signatures")
    if (
        not isinstance(kind, str)
        or not isinstance(signatures, list)
        or not 0 < len(signatures) <= _SIGNATURES
    ):
        raise UnfitError("its envelope has no type, or not 1 to 16 signatures")
    if not keys:
        raise UnfitError("it is by a key, and the rule names identities alone")
    payload = base64(envelope.get("payload"), "its payload")
    signer = _signer(signatures, keys, _signed_bytes(kind, payload))
    if signer is None:
        raise UnfitError("it is by another key, or was changed")
    return statement.read(kind, payload, f"key {signer.fingerprint}", sha256)


def _signer(signatures: list[Any], keys: Sequence[Key], message: bytes) -> Key | None:
    for each in signatures:
        signature = base64(each.get("sig") if isinstance(each, dict) else None, "a signature of it")
        for key in keys:
            if key.signed(signature, message):
                return key
    return None


def _signed_bytes(kind: str, payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding: what is signed is the type as well as the payload."""
    name = kind.encode(errors="replace")
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(payload), payload)
