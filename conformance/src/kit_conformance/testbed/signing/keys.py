"""Keys that sign as cosign's do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from kit_conformance.testbed.signing.values import b64

Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
KINDS: Final = ("p256", "p384", "ed25519", "rsa")


@dataclass(frozen=True)
class Key:
    """A private key. The hash is the one that Sigstore has for its kind: SHA-384 for P-384, else SHA-256."""

    private: Private

    @classmethod
    def new(cls, kind: str = "p256", *, bits: int = 2048) -> Key:
        """Make a key of one of KINDS; `bits` are those of an RSA key."""
        if kind == "rsa":
            return cls(rsa.generate_private_key(public_exponent=65537, key_size=bits))
        if kind == "ed25519":
            return cls(ed25519.Ed25519PrivateKey.generate())
        return cls(ec.generate_private_key(ec.SECP384R1() if kind == "p384" else ec.SECP256R1()))

    @property
    def der(self) -> bytes:
        """Return the public key as DER SubjectPublicKeyInfo."""
        return self.private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def public(self) -> str:
        """Return the public key as PEM."""
        return (
            self.private.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode("ascii")
        )

    @property
    def secret(self) -> str:
        """Return the private key as PEM (PKCS #8, not encrypted), which `cosign import-key-pair` reads."""
        return self.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode("ascii")

    @property
    def hint(self) -> str:
        """Return base64 of SHA-256 of the DER key, as bundles name a key."""
        return b64(hashlib.sha256(self.der).digest())

    def sign(self, data: bytes) -> bytes:
        """Sign some bytes: DER for ECDSA, PKCS #1 v1.5 for RSA."""
        private = self.private
        if isinstance(private, ed25519.Ed25519PrivateKey):
            return private.sign(data)
        if isinstance(private, rsa.RSAPrivateKey):
            return private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        large = private.curve.key_size > 256
        return private.sign(data, ec.ECDSA(hashes.SHA384() if large else hashes.SHA256()))
