"""Public keys of a policy: read from PEM, and asked whether they made a signature.

ECDSA on P-256 and P-384, Ed25519, and RSA of 2,048 bits and more, as cosign uses them (Sigstore's algorithm registry):
ECDSA with SHA-256, or SHA-384 on P-384; RSA with SHA-256, PKCS#1 v1.5 or PSS.
"""

from __future__ import annotations

import os
from binascii import b2a_base64
from typing import NamedTuple, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from kit_initializer.errors import UsageError
from kit_initializer.verify import digest_of

_BEGIN, _END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
_FILE_BYTES = 64 * 1024
_RSA_BITS = 2048
_SIGNATURE_BYTES = 2048  # RSA of 16,384 bits

_Public: TypeAlias = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey


class Key(NamedTuple):
    """A public key. `fingerprint` is `SHA256:` and the base64 of the SHA-256 of its DER, as cosign's hint is."""

    fingerprint: str
    public: _Public

    def signed(self, signature: bytes, message: bytes) -> bool:
        """Say whether this key made the signature over the message."""
        if not 0 < len(signature) <= _SIGNATURE_BYTES:
            return False
        return any(self._holds(signature, message, way) for way in self._ways())

    def _ways(self) -> tuple[object, ...]:
        if isinstance(self.public, EllipticCurvePublicKey):
            wide = isinstance(self.public.curve, SECP384R1)
            return (SHA256(), SHA384()) if wide else (SHA256(),)
        if isinstance(self.public, RSAPublicKey):
            return (PKCS1v15(), PSS(MGF1(SHA256()), PSS.AUTO))
        return (None,)

    def _holds(self, signature: bytes, message: bytes, way: object) -> bool:
        try:
            if isinstance(self.public, EllipticCurvePublicKey):
                assert isinstance(way, SHA256 | SHA384)
                self.public.verify(signature, message, ECDSA(way))
            elif isinstance(self.public, RSAPublicKey):
                assert isinstance(way, PKCS1v15 | PSS)
                self.public.verify(signature, message, way, SHA256())
            else:
                self.public.verify(signature, message)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):
            return False
        return True


def load(text: str, what: str) -> Key:
    """Read one key: PEM text, or the path of a file with it. Raises UsageError, naming `what`, never the text."""
    pem = text if "-----BEGIN" in text else _from_file(text, what)
    if "PRIVATE KEY" in pem:
        raise UsageError(
            f"{what} is a private key", hint="give the public one; this one must be replaced now"
        )
    body = pem.strip()
    if not body.startswith(_BEGIN) or not body.endswith(_END) or body.count("-----BEGIN") != 1:
        raise UsageError(
            f"{what} is not one public key in PEM", hint=f"give all lines from {_BEGIN} to {_END}"
        )
    try:
        public = load_pem_public_key(body.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(
            f"{what} does not parse as a public key", hint="give the whole of cosign.pub"
        ) from None
    if not _accepted(public):
        raise UsageError(
            f"{what} is a key of a kind that is not accepted",
            hint=f"use ECDSA on P-256 or P-384, Ed25519, or RSA of at least {_RSA_BITS} bits",
        )
    assert isinstance(public, EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = bytes.fromhex(digest_of(der).partition(":")[2])
    return Key(f"SHA256:{b2a_base64(digest, newline=False).decode()}", public)


def _accepted(public: object) -> bool:
    if isinstance(public, EllipticCurvePublicKey):
        return isinstance(public.curve, SECP256R1 | SECP384R1)
    if isinstance(public, RSAPublicKey):
        return public.key_size >= _RSA_BITS
    return isinstance(public, Ed25519PublicKey)


def _from_file(path: str, what: str) -> str:
    if "://" in path:
        raise UsageError(
            f"{what} is the address of a key",
            hint="give the public key itself: cosign public-key --key … prints it",
        )
    try:
        with open(os.open(path.strip(), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            content = file.read(_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it cannot be opened"
        raise UsageError(
            f"{what}: the file with the key: {reason}",
            hint="give the PEM text, or a file that is in the image",
        ) from None
    if len(content) > _FILE_BYTES:
        raise UsageError(
            f"{what}: the file with the key has more than {_FILE_BYTES} bytes",
            hint="name the file of the public key",
        )
    return content.decode(errors="replace")
