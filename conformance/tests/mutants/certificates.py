"""What is wrong with a keyless bundle, as a mutant sees it."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

_ISSUER: Final = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_SCTS: Final = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")


def faults(
    bundle: dict[str, Any], identity: str, issuer: str, root: str
) -> tuple[set[str], PublicKeyTypes | None]:
    """Return all faults, and the key of the certificate (None where there is none)."""
    material = bundle["verificationMaterial"]
    if "certificate" not in material:
        return {"bare"}, None
    leaf = x509.load_der_x509_certificate(base64.b64decode(material["certificate"]["rawBytes"]))
    found = _of_certificate(leaf, identity, issuer, root)
    entries = material["tlogEntries"]
    if not entries:
        return found | {"log"}, leaf.public_key()
    body = json.loads(base64.b64decode(entries[0]["canonicalizedBody"]))
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    if body["spec"]["payloadHash"]["value"] != hashlib.sha256(payload).hexdigest():
        found.add("entry")
    if int(entries[0]["integratedTime"]) > leaf.not_valid_after_utc.timestamp():
        found.add("time")
    return found, leaf.public_key()


def _of_certificate(leaf: x509.Certificate, identity: str, issuer: str, root: str) -> set[str]:
    found = set()
    (name,) = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if str(name.value) != identity:
        found.add("identity")
    said = leaf.extensions.get_extension_for_oid(_ISSUER).value
    if not isinstance(said, x509.UnrecognizedExtension) or said.value.decode() != issuer:
        found.add("issuer")
    if not any(each.oid == _SCTS for each in leaf.extensions):
        found.add("sct")
    if not _issued(leaf, root):
        found.add("root")
    return found


def _issued(leaf: x509.Certificate, root: str) -> bool:
    for authority in json.loads(root).get("certificateAuthorities", []):
        for each in authority["certChain"]["certificates"]:
            try:
                leaf.verify_directly_issued_by(
                    x509.load_der_x509_certificate(base64.b64decode(each["rawBytes"]))
                )
            except (InvalidSignature, ValueError):
                continue
            return True
    return False
