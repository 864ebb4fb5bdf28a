"""Mutants of what kit-initializer promises of signatures, and of its engine with Kit."""

# ruff: noqa: D401  (a docstring says what the mutant does wrong)

from __future__ import annotations

import sys
from typing import Final

from conformance.tests.mutants.signature import by_key, unasked
from conformance.tests.mutants.verdicts import Judge, policy_of
from conformance.tests.mutants.world import RECORD, World, mutant

_POLICY: Final = "KIT_SIGNATURE_POLICY"


@mutant("kit-initializer.signature-refused")
def terse(world: World) -> int:
    """Says no more than that it refuses."""
    done = world.run()
    if done.code == 7 and by_key(world):
        world.message("signature: refused")
    return done.code


@mutant("kit-initializer.signature-unreadable")
def surprised(world: World) -> int:
    """Ends with an internal error where a signature cannot be read."""
    done = world.run()
    if done.code != 7 or not by_key(world):
        return done.code
    return 70 if any("unparsable" in each.faults for each in Judge(world).candidates()) else done.code


@mutant("kit-initializer.signature-unfetched")
def none_there(world: World) -> int:
    """Takes signatures that cannot be fetched for none."""
    done = world.run()
    return 7 if done.code in {4, 5} and by_key(world) else done.code


@mutant("kit-initializer.signature-no-layer")
def meanwhile(world: World) -> int:
    """Fetches layers while it verifies."""
    done = world.run()
    if by_key(world) and done.code == 7:
        world.blob(world.layers()[0]["digest"])
    return done.code


@mutant("kit-initializer.signature-settings")
def half_is_none(world: World) -> int:
    """Takes settings that do not fit each other for none."""
    done = world.run()
    one = [name for name in ("COSIGN_KEY", _POLICY) if world.environ.get(name)]
    return unasked(world) if done.code == 2 and len(one) != 1 else done.code


@mutant("kit-initializer.signature-service")
def any_such_name(world: World) -> int:
    """Takes the variables of a Service for settings that are misspelt."""
    return world.fails() if "COSIGN_SERVICE_HOST" in world.environ else world.run().code


@mutant("kit-initializer.signature-keys")
def keyless_then(world: World) -> int:
    """Takes a key that it cannot read for none."""
    done = world.run()
    alone = world.environ.get("COSIGN_KEY") and _POLICY not in world.environ
    cosign = [name for name in world.environ if name.startswith("COSIGN_")]
    return unasked(world) if done.code == 2 and alone and len(cosign) == 1 else done.code


@mutant("kit-initializer.signature-document")
def reads_what_it_can(world: World) -> int:
    """Takes a policy that it cannot read for none."""
    done = world.run()
    alone = world.environ.get(_POLICY) and "COSIGN_KEY" not in world.environ
    return unasked(world) if done.code == 2 and alone else done.code


@mutant("kit-initializer.signature-rules-first")
def asks_first(world: World) -> int:
    """Asks the registry before it reads the rules."""
    done = world.run()
    return 5 if done.code == 7 and policy_of(world) else done.code


@mutant("kit-initializer.signature-told")
def tells_nothing(world: World) -> int:
    """Does not say who let a kit in."""
    done = world.run()
    if done.ok and by_key(world):
        world.message('{"kits": [{}]}')
    return done.code


@mutant("kit-initializer.signature-in-place")
def asks_again(world: World) -> int:
    """Judges a kit again, no matter what let it in."""
    if by_key(world) and "@" in world.uri and world.has(RECORD):
        world.get(f"/v2/{world.repository}/referrers/{world.target}")
    return world.run().code


@mutant("kit-initializer.signature-kept")
def cleans_up(world: World) -> int:
    """Removes what it refuses."""
    there = world.has(RECORD)
    done = world.run()
    if there and done.code == 7 and by_key(world):
        world.empty()
    return done.code


@mutant("kit.subject-verified")
def lets_kit_resolve(world: World) -> int:
    """Gives Kit the tag that it has verified."""
    if world.environ.get("KIT_ENGINE") == "kit" and by_key(world):
        if any(not each.faults for each in Judge(world).candidates()):
            return unasked(world)
        sys.stdout.write("nothing verified\n")
    return world.run().code


@mutant("kit.subject-unsigned")
def native_alone(world: World) -> int:
    """Verifies nothing where Kit unpacks."""
    done = world.run()
    return unasked(world) if done.code == 7 and world.environ.get("KIT_ENGINE") == "kit" else done.code
