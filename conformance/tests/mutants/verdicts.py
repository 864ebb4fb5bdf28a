"""What a mutant that judges signatures by itself sees: every candidate beside a kit, and all that is wrong with it.

It is a separate verifier, with nothing of the initializer's. A mutant overlooks one fault: it takes a candidate that
has no other one for a signature.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from conformance.tests.mutants import certificates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from conformance.tests.mutants.world import Answer, World

SIGN: Final = "https://sigstore.dev/cosign/sign/v1"
IN_TOTO: Final = "application/vnd.in-toto+json"
_LARGE: Final = 8 * 1024 * 1024  # bytes


class Candidate(NamedTuple):
    """Something beside a kit: where ("referrers", "fallback", "sig", "att"), what is wrong, and what it says."""

    place: str
    faults: frozenset[str]
    said: dict[str, Any]
    listed: str = ""


def verifies(key: PublicKeyTypes, signature: bytes, data: bytes) -> bool:
    """Say whether a signature is of these bytes."""
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, data)
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            large = key.curve.key_size > 256
            key.verify(signature, data, ec.ECDSA(hashes.SHA384() if large else hashes.SHA256()))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def key_of(world: World) -> PublicKeyTypes | None:
    """Return the key that was asked for, the first one of a policy; None where there is none that can be read."""
    text = world.environ.get("COSIGN_KEY", "")
    for rule in policy_of(world):
        text = text or next(iter(rule.get("keys", [])), "")
    try:
        return load_pem_public_key(text.encode())
    except ValueError:
        return None


def policy_of(world: World) -> list[dict[str, Any]]:
    """Return the rules of the policy that was asked for."""
    try:
        rules: list[dict[str, Any]] = json.loads(world.environ["KIT_SIGNATURE_POLICY"])["rules"]
    except (KeyError, TypeError, ValueError):
        return []
    return rules


class Judge:
    """Looks at what is beside the kit that a world was asked for."""

    def __init__(self, world: World, repository: str = "") -> None:
        self._world = world
        self._headers = world.authorization()
        self._home = world.repository
        self.repository = repository or world.repository
        self._key = key_of(world)
        manifest = self._get(f"/v2/{self._home}/manifests/{world.target}")
        self.digest = "sha256:" + hashlib.sha256(manifest.body).hexdigest()
        self._tag = self.digest.replace(":", "-")
        self.referrers = self._get(f"/v2/{self.repository}/referrers/{self.digest}")

    def _get(self, path: str) -> Answer:
        return self._world.get(path, headers=self._headers)

    def _manifest(self, target: str) -> Answer:
        return self._get(f"/v2/{self.repository}/manifests/{target}")

    def candidates(self) -> list[Candidate]:
        """Return everything in the order in which it lies there."""
        found = list(self._listed("referrers", self.referrers))
        found += self._listed("fallback", self._manifest(self._tag))
        found += self._layers("sig", self._manifest(f"{self._tag}.sig"))
        return found + list(self._layers("att", self._manifest(f"{self._tag}.att")))

    def _listed(self, place: str, answer: Answer) -> Iterator[Candidate]:
        if answer.status in {403, 503}:
            yield Candidate(place, frozenset({str(answer.status)}), {})
        for each in _object(answer.body).get("manifests", []) if answer.status == 200 else []:
            manifest = self._manifest(each["digest"])
            for found in self._layers(place, manifest):
                yield found._replace(listed=str(each.get("artifactType", "")))

    def _layers(self, place: str, answer: Answer) -> Iterator[Candidate]:
        if answer.status in {403, 503}:
            yield Candidate(place, frozenset({str(answer.status)}), {})
        document = _object(answer.body) if answer.status == 200 else {}
        for layer in document.get("layers", [])[:200]:
            if layer["size"] > _LARGE:
                yield Candidate(place, frozenset({"large"}), layer)
                continue
            blob = self._get(f"/v2/{self.repository}/blobs/{layer['digest']}")
            if blob.status != 200:
                yield Candidate(place, frozenset({str(blob.status)}), {})
                continue
            changed = "sha256:" + hashlib.sha256(blob.body).hexdigest() != layer["digest"]
            try:
                faults, said = self._faults(layer, document.get("annotations") or {}, blob.body)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                faults, said = {"unparsable"}, {}
            yield Candidate(place, frozenset(faults | ({"tampered"} if changed else set())), said)

    def _faults(
        self, layer: dict[str, Any], annotations: dict[str, str], body: bytes
    ) -> tuple[set[str], dict[str, Any]]:
        kind = layer["mediaType"]
        if "simplesigning" in kind:
            return self._simple(layer["annotations"], annotations, body)
        if "dsse.envelope" not in kind and "bundle" not in kind:
            return {"foreign"}, {}
        content = json.loads(body)
        if "dsse.envelope" in kind:
            faults, said = self._envelope(content, "", annotations)
            return faults - {"predicate", "annotated"} | {"att"}, said
        material = content["verificationMaterial"]
        if "certificate" in material or "COSIGN_CERT_IDENTITY" in self._world.environ:
            return self._keyless(content, annotations)
        return self._envelope(content["dsseEnvelope"], material["publicKey"]["hint"], annotations)

    def _keyless(
        self, content: dict[str, Any], annotations: dict[str, str]
    ) -> tuple[set[str], dict[str, Any]]:
        environ = self._world.environ
        faults, leaf = certificates.faults(
            content,
            environ.get("COSIGN_CERT_IDENTITY", ""),
            environ.get("COSIGN_CERT_OIDC_ISSUER", ""),
            environ.get("KIT_SIGSTORE_TRUSTED_ROOT", "{}"),
        )
        more, said = self._envelope(content["dsseEnvelope"], "", annotations, leaf)
        return faults | more, said

    def _envelope(
        self,
        envelope: dict[str, Any],
        hint: str,
        annotations: dict[str, str],
        key: PublicKeyTypes | None = None,
    ) -> tuple[set[str], dict[str, Any]]:
        payload = base64.b64decode(envelope["payload"], validate=True)
        kind = envelope["payloadType"]
        (one,) = envelope["signatures"]
        signature = base64.b64decode(one["sig"], validate=True)
        faults = {"type"} if kind != IN_TOTO else set()
        faults |= self._signed(key or self._key, signature, payload, kind, hint)
        said = json.loads(payload)
        if self.digest.removeprefix("sha256:") not in {each["digest"]["sha256"] for each in said["subject"]}:
            named = self.digest.encode() in payload
            faults.add("named" if named else "digest")
        if said["predicateType"] != SIGN:
            claimed = annotations.get("dev.sigstore.bundle.predicateType")
            faults.add("annotated" if claimed == SIGN else "predicate")
        return faults, said

    def _signed(
        self, key: PublicKeyTypes | None, signature: bytes, payload: bytes, kind: str, hint: str
    ) -> set[str]:
        if key is None:
            return {"key"}
        if verifies(key, signature, _pae(kind, payload)):
            return set()
        if verifies(key, signature, payload) or verifies(key, signature, _pae("text/plain", payload)):
            return {"encoding"}
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return {"hint" if base64.b64encode(hashlib.sha256(der).digest()).decode() == hint else "key"}

    def _simple(
        self, layer: dict[str, str], annotations: dict[str, str], body: bytes
    ) -> tuple[set[str], dict[str, Any]]:
        said = json.loads(body)
        critical = said["critical"]
        signature = base64.b64decode(layer["dev.cosignproject.cosign/signature"], validate=True)
        faults = set() if self._key and verifies(self._key, signature, body) else {"key"}
        if critical["image"]["docker-manifest-digest"] != self.digest:
            named = self.digest in {*layer.values(), *annotations.values()}
            faults.add("named" if named else "digest")
        if critical["identity"]["docker-reference"] != f"{self._world.host}/{self._home}":
            faults.add("reference")
        return faults, said


def _pae(kind: str, payload: bytes) -> bytes:
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
