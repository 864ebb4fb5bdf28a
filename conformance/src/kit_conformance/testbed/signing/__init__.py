"""Signatures of ModelKits as cosign writes them, good ones and wrong ones, without cosign.

    key = Key.new()
    attach(registry, "iris", bundle(key, kit))                         # cosign 3: a Sigstore bundle as a referrer
    attach(registry, "iris", simple(kit, simple_layer(key, kit, "registry.example/iris")))   # cosign 1 and 2: a tag

Every function takes arguments that make the signature wrong in one way. `keyless` has a fake Sigstore instance that
issues certificates and log entries in the real formats.
"""

from kit_conformance.testbed.signing.bundles import (
    COSIGN_SIGN,
    IN_TOTO,
    Envelope,
    bundle,
    document,
    envelope,
    pae,
    referrer,
    statement,
)
from kit_conformance.testbed.signing.keyless import FakeSigstore
from kit_conformance.testbed.signing.keys import KINDS, Key
from kit_conformance.testbed.signing.place import attach, push_attachment
from kit_conformance.testbed.signing.simple import (
    SimpleLayer,
    attestation_layer,
    attestations,
    payload,
    simple,
    simple_layer,
)
from kit_conformance.testbed.signing.values import Attachment, Signed, flipped

__all__ = [
    "COSIGN_SIGN",
    "IN_TOTO",
    "KINDS",
    "Attachment",
    "Envelope",
    "FakeSigstore",
    "Key",
    "Signed",
    "SimpleLayer",
    "attach",
    "attestation_layer",
    "attestations",
    "bundle",
    "document",
    "envelope",
    "flipped",
    "pae",
    "payload",
    "push_attachment",
    "referrer",
    "simple",
    "simple_layer",
    "statement",
]
