"""A fake Sigstore instance that speaks the real formats: certificates as Fulcio's, a log entry as Rekor's.

Nothing is served and nobody is asked for an identity: the holder of the object is the instance. What it makes is
verified by sigstore-python, and the tests of the testbed show that. Sources: Sigstore's client specification, RFC 6962
for the SCT, the checkpoint format of transparency-dev, Fulcio's docs/oid-info.md.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kit_conformance.testbed.signing.bundles import (
    COSIGN_SIGN,
    Envelope,
    document,
    envelope,
    referrer,
    statement,
)
from kit_conformance.testbed.signing.keys import Key
from kit_conformance.testbed.signing.values import Attachment, Signed, b64, compact

if TYPE_CHECKING:
    from collections.abc import Mapping

_ISSUER_RAW: Final = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER: Final = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_SCTS: Final = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_ORIGIN: Final = "rekor.fake.example - 1193050959916656506"
_FIRST: Final = "2020-01-01T00:00:00Z"
_USAGE: Final = dict.fromkeys(
    (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ),
    False,
)


@dataclass
class FakeSigstore:
    """One instance: a certificate authority, a certificate log and a signature log, each with its own key."""

    authority: Key = field(default_factory=Key.new)
    certificates: Key = field(default_factory=Key.new)
    log: Key = field(default_factory=Key.new)
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __post_init__(self) -> None:
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "fake.example"),
                x509.NameAttribute(NameOID.COMMON_NAME, "fake sigstore"),
            ]
        )
        key = _ec(self.authority)
        usage = x509.KeyUsage(**{**_USAGE, "key_cert_sign": True, "crl_sign": True})
        self.root = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - timedelta(days=400))
            .not_valid_after(self.now + timedelta(days=4000))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )

    def trusted_root(self) -> str:
        """Return the instance's trusted_root.json."""

        def log(key: Key, name: str) -> dict[str, object]:
            return {
                "baseUrl": f"https://{name}.fake.example",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": b64(key.der),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": {"start": _FIRST},
                },
                "logId": {"keyId": key.hint},
            }

        authority = {
            "subject": {"organization": "fake.example", "commonName": "fake sigstore"},
            "uri": "https://fulcio.fake.example",
            "certChain": {"certificates": [{"rawBytes": b64(_der(self.root))}]},
            "validFor": {"start": _FIRST},
        }
        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [log(self.log, "rekor")],
                "certificateAuthorities": [authority],
                "ctlogs": [log(self.certificates, "ctfe")],
            }
        )

    def certificate(
        self, key: Key, identity: str, issuer: str, *, at: datetime | None = None, logged: bool = True
    ) -> x509.Certificate:
        """Certify a key for ten minutes; the identity is an e-mail address or a URI. `logged` is with an SCT."""
        at = at or self.now
        name: x509.GeneralName = (
            x509.UniformResourceIdentifier(identity) if "://" in identity else x509.RFC822Name(identity)
        )
        signer = _ec(self.authority)
        text = issuer.encode()
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.root.subject)
            .public_key(_ec(key).public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(at)
            .not_valid_after(at + timedelta(minutes=10))
            .add_extension(x509.KeyUsage(**{**_USAGE, "digital_signature": True}), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(_ec(key).public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
            )
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER_RAW, text), critical=False)
            .add_extension(
                x509.UnrecognizedExtension(_ISSUER, b"\x0c" + _length(len(text)) + text), critical=False
            )
        )
        before = builder.sign(signer, hashes.SHA256())
        if not logged:
            return before
        scts = self._scts(before.tbs_certificate_bytes, at)
        return builder.add_extension(x509.UnrecognizedExtension(_SCTS, scts), critical=False).sign(
            signer, hashes.SHA256()
        )

    def _scts(self, tbs: bytes, at: datetime) -> bytes:
        """Return an OCTET STRING with a list of one signed certificate timestamp (RFC 6962, 3.2 and 3.3)."""
        milliseconds = int(at.timestamp() * 1000)
        issuer = hashlib.sha256(self.authority.der).digest()
        entry = issuer + len(tbs).to_bytes(3, "big") + tbs
        signed = struct.pack("!BBQH", 0, 0, milliseconds, 1) + entry + b"\0\0"
        signature = self.certificates.sign(signed)
        log = hashlib.sha256(self.certificates.der).digest()
        sct = b"\0" + log + struct.pack("!QH", milliseconds, 0) + b"\x04\x03"
        sct += len(signature).to_bytes(2, "big") + signature
        one = len(sct).to_bytes(2, "big") + sct
        listed = len(one).to_bytes(2, "big") + one
        return b"\x04" + _length(len(listed)) + listed

    def entry(
        self, made: Envelope, certificate: x509.Certificate, *, at: datetime | None = None
    ) -> dict[str, Any]:
        """Return the log entry of an envelope, the only one of its tree, as bundles have it."""
        moment = int((at or self.now).timestamp()) + 60
        verifier = certificate.public_bytes(serialization.Encoding.PEM)
        body = compact(
            {
                "apiVersion": "0.0.1",
                "kind": "dsse",
                "spec": {
                    "envelopeHash": _hash(compact(made.document())),
                    "payloadHash": _hash(made.payload),
                    "signatures": [{"signature": b64(made.signature), "verifier": b64(verifier)}],
                },
            }
        )
        identifier = hashlib.sha256(self.log.der).digest()
        root = hashlib.sha256(b"\0" + body).digest()
        note = f"{_ORIGIN}\n1\n{b64(root)}\n"
        signed = (
            f"{note}\n\N{EM DASH} rekor.fake.example {b64(identifier[:4] + self.log.sign(note.encode()))}\n"
        )
        promise = {"body": b64(body), "integratedTime": moment, "logID": identifier.hex(), "logIndex": 0}
        return {
            "logIndex": "0",
            "logId": {"keyId": b64(identifier)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(moment),
            "inclusionPromise": {
                "signedEntryTimestamp": b64(
                    self.log.sign(json.dumps(promise, separators=(",", ":")).encode())
                )
            },
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": b64(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": signed},
            },
            "canonicalizedBody": b64(body),
        }

    def document(
        self,
        payload: bytes,
        identity: str,
        issuer: str,
        *,
        at: datetime | None = None,
        late: timedelta = timedelta(),
        logged: bool = True,
        entry_of: bytes = b"",
        entries: bool = True,
    ) -> dict[str, Any]:
        """Sign a payload with a new key of this identity, and return the bundle.

        Wrong in one way: `late` is how much later the log says to have taken it; `logged` off leaves the SCT out;
        `entry_of` is another payload that the log entry is about; `entries` off leaves the log out.
        """
        key = Key.new()
        at = at or self.now
        certificate = self.certificate(key, identity, issuer, at=at, logged=logged)
        made = envelope(key, payload)
        about = envelope(key, entry_of) if entry_of else made
        material = {
            "certificate": {"rawBytes": b64(_der(certificate))},
            "tlogEntries": [self.entry(about, certificate, at=at + late)] if entries else [],
            "timestampVerificationData": {"rfc3161Timestamps": []},
        }
        return document(made, material)

    def bundle(
        self,
        kit: Signed,
        identity: str,
        issuer: str,
        *,
        digest: str = "",
        predicate_type: str = COSIGN_SIGN,
        predicate: Mapping[str, object] | None = None,
        **wrong: Any,  # noqa: ANN401  (as `document` has them)
    ) -> Attachment:
        """Sign a kit and return the referrer that holds the bundle; arguments as of `bundles.bundle`."""
        said = statement(digest or kit.digest, predicate_type=predicate_type, predicate=predicate or {})
        return referrer(compact(self.document(said, identity, issuer, **wrong)), kit, predicate_type)


def _ec(key: Key) -> ec.EllipticCurvePrivateKey:
    if not isinstance(key.private, ec.EllipticCurvePrivateKey):
        raise TypeError("an instance of Sigstore has ECDSA keys")
    return key.private


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _hash(data: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}


def _length(size: int) -> bytes:
    """Return a length in DER."""
    if size < 128:
        return bytes([size])
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets
