"""Mutants of policy documents: somebody who reads a policy otherwise."""

# ruff: noqa: D401  (a docstring says what the mutant does wrong)

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from conformance.tests.mutants.signature import unasked
from conformance.tests.mutants.verdicts import Judge, policy_of
from conformance.tests.mutants.world import Done, World, mutant

if TYPE_CHECKING:
    from collections.abc import Callable

Rules = list[dict[str, Any]]


def run(world: World, rules: Rules) -> Done:
    """Run the real initializer with other rules."""
    return world.run(KIT_SIGNATURE_POLICY=json.dumps({"rules": rules}))


def reads(case: str, *kin: str, what: str, how: Callable[[World, Rules], Rules]) -> None:
    """Make somebody who reads rules otherwise."""

    def broken(world: World) -> int:
        rules = policy_of(world)
        read = how(world, rules) if rules else rules
        return (run(world, read) if read != rules else world.run()).code

    broken.__doc__ = what
    mutant(case, *kin)(broken)


def _without(rules: Rules, *names: str) -> Rules:
    return [{name: value for name, value in rule.items() if name not in names} for rule in rules]


def _everything(rules: Rules) -> bool:
    return any("**" in rule["repositories"] for rule in rules)


def _first_that_accepts(world: World, rules: Rules) -> Rules:
    name = f"{world.host}/{world.repository}"
    for rule in rules:
        if rule.get("accept") and any(name.startswith(each.strip("*")) for each in rule["repositories"]):
            return [{"repositories": ["**"], "accept": True}]
    return rules


def _stars(_: World, rules: Rules) -> Rules:
    return [
        {
            **rule,
            "repositories": [each.replace("/*", "/**").replace("***", "**") for each in rule["repositories"]],
        }
        if rule.get("accept")
        else rule
        for rule in rules
    ]


def _as_written(world: World, rules: Rules) -> Rules:
    if world.host == world.host.lower():
        return rules
    return [rule for rule in rules if "localhost" not in rule["repositories"][0]]


def _anywhere(_: World, rules: Rules) -> Rules:
    found = json.loads(json.dumps(rules))
    for rule in found:
        for identity in rule.get("identities", []):
            if "subjectRegex" in identity:
                identity["subjectRegex"] = f"(?s).*(?:{identity['subjectRegex']}).*"
    return list(found)


def _by_the_child(world: World, rules: Rules) -> Rules:
    parent = str((world.config().get("model") or {}).get("path", ""))
    return rules[:1] if ":" in parent else rules


reads(
    "signature.policy-no-rule",
    what="Takes no rule for no policy.",
    how=lambda _, rules: rules if _everything(rules) else [*rules, {"repositories": ["**"], "accept": True}],
)
reads(
    "signature.policy-reject",
    what="Does not know `reject` beside a rule for all.",
    how=lambda _, rules: [each for each in rules if not each.get("reject")] if len(rules) == 2 else rules,
)
reads(
    "signature.policy-longest",
    "signature.policy-host",
    "signature.policy-segment",
    "signature.policy-same-kit",
    what="Takes the first rule that accepts.",
    how=_first_that_accepts,
)
reads("signature.policy-segment", what="Lets a star cross a slash.", how=_stars)
reads("signature.policy-host", what="Compares hosts as they are written.", how=_as_written)
reads(
    "signature.policy-signatures-in",
    what="Looks for signatures beside the kit, whatever the rule says.",
    how=lambda _, rules: _without(rules, "signaturesIn"),
)
reads(
    "signature.policy-signed-as",
    what="Wants the mirror's own name, whatever the rule says.",
    how=lambda _, rules: _without(rules, "signedAs"),
)
reads(
    "signature.policy-two-keys",
    what="Knows one key a rule.",
    how=lambda _, rules: [{**rule, "keys": rule["keys"][:1]} if "keys" in rule else rule for rule in rules],
)
reads("signature.policy-regex", what="Searches an identity for a pattern.", how=_anywhere)
reads(
    "signature.policy-attestation-missing",
    "signature.policy-attestation-where",
    "signature.policy-attestation-key",
    what="Wants no attestations.",
    how=lambda _, rules: _without(rules, "attestations"),
)
reads(
    "signature.policy-attestation-where",
    what="Knows no conditions.",
    how=lambda _, rules: [
        {**rule, "attestations": _without(rule["attestations"], "where")} if "attestations" in rule else rule
        for rule in rules
    ],
)
reads(
    "signature.policy-index",
    what="Wants the manifest signed, whatever the rule says.",
    how=lambda _, rules: _without(rules, "signed"),
)
reads("signature.policy-parent", what="Judges a parent by the first rule.", how=_by_the_child)


@mutant("signature.policy-accept", "signature.policy-same-kit")
def never_unsigned(world: World) -> int:
    """Does not know `accept` beside a rule with keys."""
    rules = policy_of(world)
    done = world.run()
    keys = {tuple(rule) for rule in rules} == {("repositories", "keys"), ("repositories", "accept")}
    return (
        world.fails() if done.ok and keys and len(rules) == 2 and not Judge(world).candidates() else done.code
    )


@mutant("signature.policy-attested")
def bundles_alone(world: World) -> int:
    """Knows attestations as bundles alone."""
    done = world.run()
    if not done.ok or not any("attestations" in rule for rule in policy_of(world)):
        return done.code
    return world.fails() if any(each.place == "att" for each in Judge(world).candidates()) else done.code


def _attests(world: World, *faults: set[str]) -> bool:
    """Say whether there is an attestation that has these faults and no others."""
    done = [each.faults - {"predicate"} for each in Judge(world).candidates() if "predicate" in each.faults]
    return any(each in faults for each in done)


@mutant("signature.policy-attestation-key")
def attested_by_whomever(world: World) -> int:
    """Takes an attestation by whomever, of whatever."""
    done = world.run()
    wanted = any("attestations" in rule for rule in policy_of(world))
    taken = done.code == 7 and wanted and _attests(world, {"key"}, {"digest"})
    return unasked(world) if taken else done.code


@mutant("signature.policy-attestation-alone")
def attested_is_signed(world: World) -> int:
    """Takes the wanted attestation for a signature."""
    done = world.run()
    if done.code != 7 or not any("attestations" in rule for rule in policy_of(world)):
        return done.code
    signed = any(not each.faults for each in Judge(world).candidates())
    return done.code if signed or not _attests(world, set()) else unasked(world)


@mutant("signature.policy-same-kit")
def one_verdict_a_digest(world: World) -> int:
    """Judges each digest once, by the rule that comes first."""
    done = world.run()
    rules = policy_of(world)
    accepts = any(rule.get("accept") for rule in rules)
    return unasked(world) if done.code == 7 and accepts and len(world.pairs) > 1 else done.code
