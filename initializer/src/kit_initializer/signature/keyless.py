"""Keyless signatures: a bundle's certificate, its time and its log entry, as the library of Sigstore checks them.

The trust root is the cluster's own, or the public one that the library carries. It is never fetched.
"""

from __future__ import annotations

import logging
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import quote

from cryptography.x509 import (
    Certificate,
    ExtensionNotFound,
    ObjectIdentifier,
    RFC822Name,
    SubjectAlternativeName,
    UniformResourceIdentifier,
    UnrecognizedExtension,
)
from sigstore.errors import VerificationError
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier
from sigstore_models.trustroot.v1 import TrustedRoot as TrustedRootModel

from kit_initializer.errors import UsageError
from kit_initializer.secret import printable
from kit_initializer.verify import digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kit_initializer.signature.policy import Identity

_PUBLIC = "https://tuf-repo-cdn.sigstore.dev"  # the name of a folder within the library
_ROOT_BYTES = 1024 * 1024
# Fulcio's extensions: the issuer as DER, and before 2022 as plain bytes.
_ISSUER = ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_OLD_ISSUER = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_UTF8_STRING = 0x0C


class Keyless:
    """Checks bundles against one trust root, whose digest is `fingerprint`."""

    def __init__(self, text: str) -> None:
        self.fingerprint = digest_of(text.encode(errors="backslashreplace"))
        self._verifier = Verifier(trusted_root=TrustedRoot(TrustedRootModel.from_json(text)))

    @classmethod
    def load(cls, root: str | None) -> Keyless:
        """Take a trust root as JSON text or as a file; None for the public one. Raises UsageError."""
        logging.getLogger("sigstore").setLevel(logging.CRITICAL)  # what it would say is in our own message
        text = (
            _public() if root is None else root if root.lstrip().startswith("{") else _from_file(root.strip())
        )
        try:
            return cls(text)
        except Exception as error:  # noqa: BLE001 - whatever the library says of a root that it cannot use
            raise UsageError(
                f"KIT_SIGSTORE_TRUSTED_ROOT cannot be used: {type(error).__name__}: {printable(error, 200)}",
                hint="give the trusted_root.json of the Sigstore instance that signs",
            ) from None

    def verified(self, bundle: bytes, identities: Sequence[Identity]) -> tuple[Identity, str, bytes]:
        """Return which identity signed a bundle's envelope, the payload's type, and the payload.

        Raises ValueError with what does not hold.
        """
        asked = _Asked(identities)
        try:
            kind, payload = self._verifier.verify_dsse(Bundle.from_json(bundle), asked)
        except Exception as error:  # noqa: BLE001 - any doubt of the library's is a refusal
            raise ValueError(printable(error, 200) or type(error).__name__) from None
        if asked.found is None:
            raise ValueError("its certificate was not looked at")
        return asked.found, kind, payload


class _Asked:
    """The policy that the library is given: one of the identities, as a whole."""

    def __init__(self, identities: Sequence[Identity]) -> None:
        self._identities = identities
        self.found: Identity | None = None

    def verify(self, cert: Certificate) -> None:
        """Note the identity that the certificate has. Raises VerificationError where it has none that may sign."""
        issuer, subjects = _issuer(cert), _subjects(cert)
        for identity in self._identities:
            if identity.issuer.met(issuer) and any(identity.subject.met(subject) for subject in subjects):
                self.found = identity
                return
        who = printable(" or ".join(subjects) or "nobody", 120)
        raise VerificationError(f"by {who} of {printable(issuer or 'nobody', 120)}, who may not sign it")


def _subjects(cert: Certificate) -> list[str]:
    try:
        names = cert.extensions.get_extension_for_class(SubjectAlternativeName).value
    except ExtensionNotFound:
        return []
    return [
        *names.get_values_for_type(RFC822Name),
        *names.get_values_for_type(UniformResourceIdentifier),
    ]


def _issuer(cert: Certificate) -> str:
    for oid in (_ISSUER, _OLD_ISSUER):
        try:
            value = cert.extensions.get_extension_for_oid(oid).value
        except ExtensionNotFound:
            continue
        assert isinstance(value, UnrecognizedExtension)
        raw = value.value
        if oid == _ISSUER:
            if len(raw) < 2 or raw[0] != _UTF8_STRING or raw[1] != len(raw) - 2 or raw[1] > 0x7F:
                return ""
            raw = raw[2:]
        return raw.decode(errors="replace")
    return ""


def _public() -> str:
    return files("sigstore._store").joinpath(quote(_PUBLIC, safe=""), "trusted_root.json").read_text("utf-8")


def _from_file(path: str) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(_ROOT_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"KIT_SIGSTORE_TRUSTED_ROOT: {getattr(error, 'strerror', None) or 'no such path'}",
            hint="give the JSON text itself, or the path of a file in the image",
        ) from None
    if len(content) > _ROOT_BYTES:
        raise UsageError(f"KIT_SIGSTORE_TRUSTED_ROOT has more than {_ROOT_BYTES} bytes")
    return content.decode(errors="replace")
