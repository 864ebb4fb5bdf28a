"""Mutants of signatures by a key: somebody who overlooks one thing."""

# ruff: noqa: D401  (a docstring says what the mutant does wrong)

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING

from conformance.tests.mutants.verdicts import Judge, key_of
from conformance.tests.mutants.world import RECORD, World, mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.tests.mutants.verdicts import Candidate

_ASKED = (
    "COSIGN_KEY",
    "COSIGN_CERT_IDENTITY",
    "COSIGN_CERT_OIDC_ISSUER",
    "KIT_SIGNATURE_POLICY",
    "KIT_SIGSTORE_TRUSTED_ROOT",
)


def by_key(world: World) -> bool:
    """Say whether signatures by one key were asked for."""
    return "COSIGN_KEY" in world.environ


def unasked(world: World) -> int:
    """Bring the kit as if nobody had asked for signatures."""
    return world.run(**dict.fromkeys(_ASKED)).code


def overlooks(case: str, *kin: str, fault: str, what: str, place: str = "", keyless: bool = False) -> None:
    """Make somebody who takes a candidate for a signature that has this fault and no other one."""

    def broken(world: World) -> int:
        done = world.run()
        asked = "COSIGN_CERT_IDENTITY" if keyless else "COSIGN_KEY"
        if done.ok or done.code == 2 or asked not in world.environ:
            return done.code
        found = Judge(world).candidates()
        taken = any(each.faults == {fault} and place in {"", each.place} for each in found)
        return unasked(world) if taken else done.code

    broken.__doc__ = what
    mutant(case, *kin)(broken)


def cannot(case: str, *kin: str, what: str, when: Callable[[Judge, list[Candidate]], bool]) -> None:
    """Make somebody who fails on good signatures of some kind."""

    def broken(world: World) -> int:
        done = world.run()
        if not done.ok or not by_key(world):
            return done.code
        judge = Judge(world)
        return world.fails() if when(judge, judge.candidates()) else done.code

    broken.__doc__ = what
    mutant(case, *kin)(broken)


def _only(found: list[Candidate], place: str) -> bool:
    return len(found) == 1 and found[0].place == place


def _first(found: list[Candidate], *places: str) -> frozenset[str]:
    """Return what is wrong with the first of several candidates in a place."""
    here = [each.faults for each in found if each.place in places]
    return here[0] if len(here) > 1 else frozenset()


# who does not know what holds

cannot(
    "signature.bundle",
    "signature.no-predicate",
    "signature.key-types",
    what="Looks at tags alone.",
    when=lambda _, found: _only(found, "referrers"),
)
cannot(
    "signature.simple-signing",
    "signature.key-types",
    what="Does not know the older format.",
    when=lambda _, found: _only(found, "sig"),
)
cannot(
    "signature.fallback-tag",
    "signature.odd-descriptors",
    what="Takes 404 of the referrers for none.",
    when=lambda judge, found: judge.referrers.status == 404 and _only(found, "fallback"),
)
cannot(
    "signature.referrers-405",
    what="Fails where referrers are answered with 405.",
    when=lambda judge, _: judge.referrers.status == 405,
)
cannot(
    "signature.one-of-several",
    what="Looks at the first bundle alone.",
    when=lambda _, found: _first(found, "referrers") == {"key"},
)
cannot(
    "signature.one-of-several-layers",
    what="Looks at the first layer alone.",
    when=lambda _, found: _first(found, "sig") == {"key"},
)
cannot(
    "signature.broken-beside",
    what="Gives up where something cannot be read.",
    when=lambda _, found: any(each.faults == {"unparsable"} for each in found),
)
cannot(
    "signature.referrers-pages",
    what="Reads the first page alone.",
    when=lambda judge, _: "link" in judge.referrers.headers,
)
cannot(
    "signature.odd-descriptors",
    what="Believes an index what its members are.",
    when=lambda _, found: any("empty" in each.listed for each in found),
)
cannot(
    "signature.no-predicate",
    what="Wants a predicate.",
    when=lambda _, found: any("subject" in each.said and "predicate" not in each.said for each in found),
)
cannot(
    "signature.other-referrers",
    what="Fails where something else refers to the kit.",
    when=lambda _, found: any(each.faults == {"foreign"} for each in found),
)


@mutant("signature.key-types")
def one_curve(world: World) -> int:
    """Knows one kind of key."""
    done = world.run()
    curve = getattr(getattr(key_of(world), "curve", None), "name", "")
    return world.fails() if by_key(world) and done.ok and curve != "secp256r1" else done.code


@mutant("signature.login")
def as_a_stranger(world: World) -> int:
    """Asks for signatures without the login."""
    done = world.run()
    return world.fails() if by_key(world) and world.user else done.code


def _parent(world: World) -> bool:
    return ":" in str((world.config().get("model") or {}).get("path", ""))


@mutant("signature.index-member")
def whole_index(world: World) -> int:
    """Wants the index signed, and not the kit that is chosen."""
    done = world.run()
    chosen = by_key(world) and "manifests" in world.manifest()
    return world.fails() if done.ok and chosen else done.code


@mutant("signature.parent-signed")
def beside_the_child(world: World) -> int:
    """Looks for a parent's signature beside the child."""
    done = world.run()
    return world.fails() if done.ok and by_key(world) and _parent(world) else done.code


@mutant("signature.placed-before")
def from_the_beginning(world: World) -> int:
    """Downloads everything again to judge it."""
    there = by_key(world) and world.has(RECORD)
    done = world.run()
    if done.ok and there:
        world.blob(world.layers()[0]["digest"])
    return done.code


@mutant("signature.moved-tag")
def twice(world: World) -> int:
    """Verifies what the tag means, and then unpacks what the tag means."""
    alone = by_key(world) and "@" not in world.uri and len(world.pairs) == 1
    alone = alone and "manifests" not in world.manifest()
    if alone and not _parent(world):
        judge = Judge(world)
        if any(not each.faults for each in judge.candidates()):
            return unasked(world)
    return world.run().code


@mutant("signature.moved-parent")
def twice_for_parents(world: World) -> int:
    """Verifies what a parent's tag means, and then unpacks what it means."""
    if by_key(world) and _parent(world) and world.run(world.uri, str(world.beside)).ok:
        return unasked(world)
    return world.run().code


# who accepts what only looks like a signature


@mutant("signature.unsigned", "signature.other-repository")
def nothing_to_complain_of(world: World) -> int:
    """Refuses wrong signatures, and not that there is none."""
    done = world.run()
    if done.code != 7 or not by_key(world) or world.has(RECORD) or len(world.pairs) > 1:
        return done.code
    return done.code if Judge(world).candidates() else unasked(world)


@mutant("signature.another-key")
def somebody(world: World) -> int:
    """Takes a bundle by whomever."""
    done = world.run()
    if done.ok or not by_key(world):
        return done.code
    judge = Judge(world)
    found = judge.candidates()
    alone = _only(found, "referrers") and found[0].faults == {"key"}
    return unasked(world) if alone and "link" not in judge.referrers.headers else done.code


overlooks("signature.hint", "signature.flipped", fault="hint", what="Believes the hint of a bundle.")


@mutant("signature.flipped", "signature.another-key")
def unverified(world: World) -> int:
    """Verifies no signature of the older format."""
    done = world.run()
    if done.ok or not by_key(world):
        return done.code
    found = Judge(world).candidates()
    return unasked(world) if _only(found, "sig") and found[0].faults == {"key"} else done.code


overlooks(
    "signature.other-digest", fault="digest", place="referrers", what="Compares no digest of a statement."
)
overlooks(
    "signature.other-digest-simple", fault="digest", place="sig", what="Compares no digest of a payload."
)
overlooks("signature.annotation-lies", fault="named", what="Takes the digest from wherever it stands.")
overlooks("signature.attestation", fault="predicate", what="Takes an attestation for a signature.")
overlooks(
    "signature.predicate-annotation", fault="annotated", what="Takes the predicate type from the annotation."
)
overlooks("signature.attestation-tag", fault="att", what="Takes an older attestation for a signature.")
overlooks("signature.payload-type", fault="type", what="Takes any payload type.")
overlooks("signature.payload-type-changed", fault="encoding", what="Verifies the payload without its type.")
overlooks("signature.docker-reference", fault="reference", what="Compares no name of a repository.")
overlooks("signature.tampered", fault="tampered", what="Compares no digest of a signature's blob.")
overlooks("signature.unavailable", fault="503", what="Takes what cannot be fetched for verified.")
overlooks("signature.denied", fault="403", what="Takes what is denied for verified.")


@mutant("signature.unparsable")
def no_verdict(world: World) -> int:
    """Takes an exception for a verdict."""
    done = world.run()
    if done.ok or not by_key(world):
        return done.code
    found = Judge(world).candidates()
    odd = found and all(each.faults == {"unparsable"} for each in found)
    return unasked(world) if odd else done.code


@mutant("signature.index-only")
def any_member(world: World) -> int:
    """Takes the signature of an index for those of its members."""
    done = world.run()
    if done.ok or not by_key(world) or "manifests" not in world.manifest():
        return done.code
    return unasked(world) if any(not each.faults for each in Judge(world).candidates()) else done.code


@mutant("signature.other-repository")
def everywhere(world: World) -> int:
    """Looks for signatures in other repositories, too."""
    done = world.run()
    if done.ok or not by_key(world):
        return done.code
    found = Judge(world, "other").candidates()
    return unasked(world) if any(not each.faults for each in found) else done.code


@mutant("signature.parent-unsigned")
def the_child_alone(world: World) -> int:
    """Judges no parent."""
    done = world.run()
    if done.ok or not by_key(world) or not _parent(world):
        return done.code
    return unasked(world) if any(not each.faults for each in Judge(world).candidates()) else done.code


@mutant("signature.unusable-key")
def no_key(world: World) -> int:
    """Takes a key that it cannot use for none."""
    done = world.run()
    return unasked(world) if done.code == 2 and world.environ.get("COSIGN_KEY") else done.code


@mutant("signature.empty-key")
def nothing_asked(world: World) -> int:
    """Takes an empty key for none."""
    done = world.run()
    return unasked(world) if done.code == 2 and world.environ.get("COSIGN_KEY") == "" else done.code


@mutant("signature.placed-unsigned", "signature.key-changed", "signature.moved-later")
def in_place(world: World) -> int:
    """Does not judge what lies there already."""
    return unasked(world) if by_key(world) and world.has(RECORD) else world.run().code


@mutant("signature.key-changed", "signature.moved-later")
def judged_before(world: World) -> int:
    """Judges a kit once, no matter who asks later."""
    before = (world.folder / RECORD).read_text("utf-8") if by_key(world) and world.has(RECORD) else ""
    return unasked(world) if "key SHA256:" in before else world.run().code


@mutant("signature.moved-later")
def good_for_ever(world: World) -> int:
    """Judges what a tag means once."""
    before = by_key(world) and "@" not in world.uri and world.has(RECORD)
    there = before and "key SHA256:" in (world.folder / RECORD).read_text("utf-8")
    return unasked(world) if there else world.run().code


@mutant("signature.pairs")
def the_first_alone(world: World) -> int:
    """Judges the first kit alone, or the last."""
    done = world.run()
    if done.ok or not by_key(world) or len(world.pairs) < 3:
        return done.code
    return unasked(world) if any(not each.faults for each in Judge(world).candidates()) else done.code


@mutant("signature.pages-without-end")
def page_after_page(world: World) -> int:
    """Reads every page of referrers."""
    done = world.run()
    if by_key(world) and not done.ok:
        answer, number = Judge(world).referrers, 0
        while "link" in answer.headers and number < 1300:
            answer = world.get(answer.headers["link"].partition(">")[0].removeprefix("<"))
            number += 1
    return done.code


@mutant("signature.many")
def one_after_the_other(world: World) -> int:
    """Looks at every signature there is."""
    done = world.run()
    if by_key(world) and not done.ok:
        judge = Judge(world)
        tag = judge.digest.replace(":", "-")
        layers = world.get(f"/v2/{world.repository}/manifests/{tag}.sig")
        for digest in {part[:71] for part in layers.body.decode("latin-1").split('"digest":"')[1:]}:
            world.blob(digest, method="HEAD")
    return done.code


@mutant("signature.huge")
def whatever_size(world: World) -> int:
    """Fetches a signature of any size."""
    done = world.run()
    for each in Judge(world).candidates() if by_key(world) and not done.ok else ():
        if each.faults == {"large"}:
            connection = http.client.HTTPConnection(world.host, timeout=20)
            connection.request("GET", f"/v2/{world.repository}/blobs/{each.said['digest']}")
            response = connection.getresponse()
            while response.read(1024 * 1024):
                pass
            connection.close()
    return done.code
