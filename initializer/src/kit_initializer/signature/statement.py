"""What a signature says, once it holds: which manifest it is about, and whether it is a signature at all."""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64
from typing import TYPE_CHECKING, Any, NamedTuple

from kit_initializer.errors import NotAModelKitError
from kit_initializer.modelkit.manifest import read_object
from kit_initializer.secret import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

# Any other predicate is an attestation: a scanner that may attest may not sign.
SIGN = "https://sigstore.dev/cosign/sign/v1"
IN_TOTO = "application/vnd.in-toto+json"
_STATEMENTS = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")
_SHOWN = 120


class UnfitError(Exception):
    """A candidate that lets nothing in, with the reason in words."""


class Statement(NamedTuple):
    """What was signed by `signer`: a predicate about the manifest that is judged."""

    signer: str
    predicate_type: str
    predicate: Mapping[str, Any]


def signature_by(signer: str) -> Statement:
    """Return the statement of a signature in a format that knows no predicates."""
    return Statement(signer, SIGN, {})


def read(kind: str, payload: bytes, signer: str, sha256: str) -> Statement:
    """Read an in-toto statement whose signature holds. Raises UnfitError unless it is about the manifest `sha256`."""
    if kind != IN_TOTO:
        raise UnfitError(f"its payload is of type {printable(kind, _SHOWN)}")
    value = json_object(payload, "its payload")
    if value.get("_type") not in _STATEMENTS:
        raise UnfitError("its payload is no in-toto statement")
    subjects = value.get("subject")
    digests = [_sha256(each) for each in subjects] if isinstance(subjects, list) else []
    if sha256 not in digests:
        about = next((f"sha256:{each}" for each in digests if each), "nothing")
        raise UnfitError(f"it is about {printable(about, 80)}, another manifest")
    predicate_type, predicate = value.get("predicateType"), value.get("predicate")
    if not isinstance(predicate_type, str) or not predicate_type:
        raise UnfitError("its statement has no predicate type")
    return Statement(signer, predicate_type, predicate if isinstance(predicate, dict) else {})


def _sha256(subject: object) -> str:
    digest = subject.get("digest") if isinstance(subject, dict) else None
    value = digest.get("sha256") if isinstance(digest, dict) else None
    return value if isinstance(value, str) else ""


def member(predicate: object, path: str) -> object:
    """Return the value at a path of members and positions, such as `resolvedDependencies.0.uri`; None without one."""
    value = predicate
    for name in path.split("."):
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isascii() and name.isdecimal() and len(name) < 7:
            value = value[int(name)] if int(name) < len(value) else None
        else:
            return None
    return value


def json_object(content: bytes, what: str) -> dict[str, Any]:
    """Read a JSON object of bounded size in memory. Raises UnfitError."""
    try:
        return read_object(content, what)
    except NotAModelKitError as error:
        raise UnfitError(str(error)) from None


def base64(value: object, what: str) -> bytes:
    """Read strict base64. Raises UnfitError."""
    if not isinstance(value, str) or not value:
        raise UnfitError(f"{what} is missing")
    try:
        return a2b_base64(value.encode(errors="replace"), strict_mode=True)
    except Base64Error:
        raise UnfitError(f"{what} is not base64") from None
