"""Cosign's older format, simple signing: a payload that names a manifest, and a signature in its annotation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_initializer.errors import UsageError
from kit_initializer.reference import parse_bare
from kit_initializer.secret import printable
from kit_initializer.signature.policy import matches, repository_name
from kit_initializer.signature.statement import UnfitError, base64, json_object, signature_by

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kit_initializer.signature.policy import Rule
    from kit_initializer.signature.statement import Statement

MEDIA_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
CERTIFICATE = "dev.sigstore.cosign/certificate"
_TYPE = "cosign container image signature"


def read(
    payload: bytes, annotations: Mapping[str, str], rule: Rule, sha256: str, *, name: str, port: str
) -> Statement:
    """Return that one of the rule's keys signed the manifest `sha256` as `name` (host/repository).

    Raises UnfitError.
    """
    keyless = CERTIFICATE in annotations
    if not rule.keys:
        how = "it is keyless in the older format" if keyless else "it is by a key"
        raise UnfitError(f"{how}, and the rule names identities alone: sign with cosign 3")
    signature = base64(annotations.get(SIGNATURE), "its signature")
    signer = next((key for key in rule.keys if key.signed(signature, payload)), None)
    if signer is None:
        raise UnfitError(
            "it is keyless, in the older format" if keyless else "it is by another key, or was changed"
        )
    critical = json_object(payload, "its payload").get("critical")
    if not isinstance(critical, dict) or critical.get("type") != _TYPE:
        raise UnfitError("its payload is not cosign's")
    digest = _at(critical, "image", "docker-manifest-digest")
    if digest != f"sha256:{sha256}":
        raise UnfitError(f"it is about {printable(digest or 'nothing', 80)}, another manifest")
    _check_name(_at(critical, "identity", "docker-reference"), rule.signed_as or name, port)
    return signature_by(f"key {signer.fingerprint}")


def _at(critical: Mapping[str, object], *path: str) -> str:
    value: object = critical
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def _check_name(text: str, wanted: str, port: str) -> None:
    """Let a signature be for the repository that it was made for: one that was copied says nothing of this one."""
    try:
        name = repository_name(parse_bare(text), port)
    except UsageError:
        name = ""
    if not matches(wanted, name):
        raise UnfitError(
            f"it was made for {printable(name or text or 'no repository', 120)}, not for {wanted} (signedAs in the"
            " rule allows another name)"
        )
