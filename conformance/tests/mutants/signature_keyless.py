"""Mutants of keyless signatures: somebody who overlooks one thing of certificates and logs."""

# ruff: noqa: D401  (a docstring says what the mutant does wrong)

from __future__ import annotations

from conformance.tests.mutants.signature import overlooks, unasked
from conformance.tests.mutants.verdicts import Judge
from conformance.tests.mutants.world import World, mutant


@mutant("signature.keyless")
def keys_alone(world: World) -> int:
    """Knows no certificates."""
    done = world.run()
    asked = "COSIGN_CERT_IDENTITY" in world.environ and world.repository != "control"
    return world.fails() if done.ok and asked else done.code


def _overlooks(case: str, fault: str, what: str) -> None:
    overlooks(f"signature.keyless-{case}", fault=fault, what=what, keyless=True)


_overlooks("identity", "identity", "Takes any identity of the issuer.")
_overlooks("issuer", "issuer", "Does not look at the issuer.")
_overlooks("root", "root", "Trusts every instance of Sigstore.")
_overlooks("time", "time", "Does not look at the time.")
_overlooks("log", "log", "Needs no entry in a log.")
_overlooks("entry", "entry", "Takes any entry of the log.")
_overlooks("certificate-log", "sct", "Needs no promise of a certificate log.")
_overlooks("digest", "digest", "Compares no digest of a statement.")
_overlooks("attestation", "predicate", "Takes an attestation for a signature.")


@mutant("signature.keyless-bare-key")
def takes_the_key_it_gets(world: World) -> int:
    """Takes a signature by a key for one by the identity."""
    done = world.run()
    if done.ok or "COSIGN_CERT_IDENTITY" not in world.environ:
        return done.code
    return unasked(world) if any("bare" in each.faults for each in Judge(world).candidates()) else done.code
