"""Signatures that hold, in every place and every shape in which cosign leaves them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.cases.signature_steps import (
    SLSA,
    Shop,
    brings,
    by_key,
    key,
    tag_moves,
    unpacks_what_was_verified,
)
from kit_conformance.cases.steps import some
from kit_conformance.catalog import MUST, SHOULD, case
from kit_conformance.result import Finding
from kit_conformance.testbed import signing
from kit_conformance.testbed.kits import index
from kit_conformance.testbed.registry import Bearer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kit_conformance.lab import Lab
    from kit_conformance.testbed.kits import ModelKit

_KEY = {"signatures"}


@case("signature.bundle", level=MUST, since="0.1", ref=refs.COSIGN_BUNDLE, features=_KEY)
def test_bundle(lab: Lab) -> None:
    """A kit with a Sigstore bundle by the key among its referrers is brought.

    It is what `cosign sign` leaves since 3.0, on registries with a referrers API.
    """
    brings(lab, lambda _, kit: [signing.bundle(key(), kit)])


@case("signature.simple-signing", level=MUST, since="0.1", ref=refs.COSIGN_SIMPLE, features=_KEY)
def test_simple_signing(lab: Lab) -> None:
    """A kit with a signature by the key under the tag sha256-HEX.sig is brought.

    It is what cosign 1 and 2 leave, and skopeo and podman still do.
    """
    brings(lab, lambda shop, kit: [shop.simple(kit)])


@case("signature.fallback-tag", level=MUST, since="0.1", ref=refs.OCI_NO_REFERRERS, features=_KEY)
def test_fallback_tag(lab: Lab) -> None:
    """Where a registry answers 404 for referrers, they are looked for under the fallback tag.

    registry:2 and GHCR have no referrers API; cosign keeps an index under the tag sha256-HEX there.
    """
    brings(lab, lambda _, kit: [signing.bundle(key(), kit)], referrers=404)


@case("signature.referrers-405", level=MUST, since="0.1", ref=refs.OCI_NO_REFERRERS, features=_KEY)
def test_referrers_405(lab: Lab) -> None:
    """A registry that answers 405 for referrers has none, and its tags are looked at.

    Some registries and proxies know the path for other methods alone.
    """
    brings(lab, Shop.both, referrers=405)


@case("signature.one-of-several", level=MUST, since="0.1", ref=refs.COSIGN_BUNDLE, features=_KEY)
def test_one_of_several(lab: Lab) -> None:
    """One bundle that holds is enough, no matter who else has signed.

    A vendor, a scanner and the own CI sign the same kit.
    """

    def make(_: Shop, kit: ModelKit) -> Iterable[signing.Attachment]:
        return [signing.bundle(each, kit) for each in (key("a vendor"), key("a scanner"), key())]

    brings(lab, make)


@case("signature.one-of-several-layers", level=MUST, since="0.1", ref=refs.COSIGN_SIMPLE, features=_KEY)
def test_one_of_several_layers(lab: Lab) -> None:
    """One layer of sha256-HEX.sig that holds is enough, no matter who else has signed.

    The older format has every signature of a kit in one manifest.
    """

    def make(shop: Shop, kit: ModelKit) -> Iterable[signing.Attachment]:
        several = (key("a vendor"), key("a scanner"), key())
        name = f"{shop.host}/iris"
        return [signing.simple(kit, *(signing.simple_layer(each, kit, name) for each in several))]

    brings(lab, make)


@case("signature.broken-beside", level=MUST, since="0.1", ref=refs.COSIGN_BUNDLE, features=_KEY)
def test_broken_beside(lab: Lab) -> None:
    """What cannot be read beside a signature that holds does no harm.

    Whoever may push to the repository could otherwise keep every pod from starting.
    """

    def make(shop: Shop, kit: ModelKit) -> Iterable[signing.Attachment]:
        good = signing.simple_layer(key(), kit, f"{shop.host}/iris")
        broken = signing.SimpleLayer(b"{", good.annotations)
        return [
            signing.referrer(b"no JSON", kit),
            signing.referrer(b'{"mediaType": 3, "verificationMaterial": [], "dsseEnvelope": "x"}', kit),
            signing.bundle(key(), kit),
            signing.simple(kit, broken, good),
        ]

    brings(lab, make)


@case("signature.key-types", level=SHOULD, since="0.1", ref=refs.COSIGN_SIMPLE, features=_KEY)
def test_key_types(lab: Lab) -> None:
    """Keys of ECDSA P-384, Ed25519 and RSA sign as well as those of P-256.

    Keys come from what a company has: an HSM, a KMS, OpenSSL.
    """
    for kind in ("p384", "ed25519", "rsa"):
        other = key("ours", kind)
        for older in (False, True):
            shop = Shop(lab, by_key(other))
            kit = kits.model()
            made = shop.simple(kit, by=other) if older else signing.bundle(other, kit)
            shop.run(shop.add(kit, made)).brought(kit)


@case("signature.referrers-pages", level=MUST, since="0.1", ref=refs.OCI_REFERRERS, features=_KEY)
def test_referrers_pages(lab: Lab) -> None:
    """A signature on a later page of the referrers is found.

    Registries list so many at a time, and a scanner adds a report every night.
    """

    def make(_: Shop, kit: ModelKit) -> Iterable[signing.Attachment]:
        others = [signing.bundle(key(), kit, predicate_type=f"https://example.com/{n}") for n in range(5)]
        return [*others, signing.bundle(key(), kit)]

    shop = brings(lab, make, page=2)
    if len(shop.registry.ledger.requests(kind="referrers")) > 9:
        raise Finding("it read the pages again", some(shop.registry.ledger.requests(kind="referrers")))


@case("signature.odd-descriptors", level=SHOULD, since="0.1", ref=refs.OCI_NO_REFERRERS, features=_KEY)
def test_odd_descriptors(lab: Lab) -> None:
    """What an index of referrers says of a signature's kind is not what decides.

    cosign before 3.1 listed bundles as application/vnd.oci.empty.v1+json under the fallback tag.
    """

    def make(_: Shop, kit: ModelKit) -> Iterable[signing.Attachment]:
        made = signing.bundle(key(), kit)
        odd = "application/vnd.oci.empty.v1+json"
        return [signing.Attachment(made.manifest, made.blobs, subject=made.subject, listed=odd)]

    brings(lab, make, referrers=404)


@case("signature.no-predicate", level=SHOULD, since="0.1", ref=refs.IN_TOTO, features=_KEY)
def test_no_predicate(lab: Lab) -> None:
    """A statement without a predicate, and with members that nobody knows, is a signature.

    cosign 3.0.0 to 3.0.4 wrote none, and "consumers MUST ignore unrecognized fields".
    """

    def make(_: Shop, kit: ModelKit) -> Iterable[signing.Attachment]:
        said = json.loads(signing.statement(kit.digest))
        payload = json.dumps({**said, "x-later": [1, {"a": None}]}).encode()
        return [signing.bundle(key(), kit, made=signing.envelope(key(), payload))]

    brings(lab, make)


@case("signature.other-referrers", level=MUST, since="0.1", ref=refs.OCI_REFERRERS, features=_KEY)
def test_other_referrers(lab: Lab) -> None:
    """Reports, bills of materials and other signatures among the referrers do no harm.

    A repository has them from tools that the initializer need not know.
    """

    def make(_: Shop, kit: ModelKit) -> Iterable[signing.Attachment]:
        return [
            signing.referrer(b"{}", kit, kind="application/spdx+json"),
            signing.referrer(b"\x84\x43", kit, kind="application/cose"),
            signing.bundle(key(), kit, predicate_type=SLSA, predicate={"buildDefinition": {}}),
            signing.bundle(key(), kit),
        ]

    brings(lab, make)


@case("signature.login", level=MUST, since="0.1", ref=refs.OCI_TOKENS, features={"signatures", "login"})
def test_login(lab: Lab) -> None:
    """Signatures in a private repository are fetched with the kit's login.

    They lie beside the kit, and who may pull it may pull them.
    """
    kit = kits.model()
    shop = Shop(lab, auth=Bearer({"ann": "a-good-password"}))
    uri = shop.add(kit, *shop.both(kit))
    shop.run(uri, login=("ann", "a-good-password")).brought(kit)


@case(
    "signature.index-member", level=MUST, since="0.1", ref=refs.KIT_UNPACK, features={"signatures", "index"}
)
def test_index_member(lab: Lab) -> None:
    """Of an index, the signature of the kit that is chosen counts.

    It is what is unpacked; an index is pushed anew whenever a member is added.
    """
    small, large = kits.plain("small"), kits.plain("large")
    shop = Shop(lab)
    uri = shop.add(index((small, {"size": "small"}), (large, {"size": "large"})), *shop.both(large))
    shop.run(uri, ask={**shop.asked, "label": {"label": "size=large"}}).brought(large)


@case(
    "signature.parent-signed",
    level=MUST,
    since="0.1",
    ref=refs.KIT_PARENTS,
    features={"signatures", "parents"},
)
def test_parent_signed(lab: Lab) -> None:
    """A kit is brought with its parent, where both are signed.

    Each has its signature in its own repository.
    """
    shop = Shop(lab)
    base = kits.model()
    shop.add(base, *shop.both(base, "base"), repository="base")
    child = kits.child(f"{shop.host}/base:v1")
    uri = shop.add(child, *shop.both(child))
    shop.run(uri).brought({"c.py": child.files["c.py"], kits.MODEL: base.files[kits.MODEL]})


@case("signature.placed-before", level=SHOULD, since="0.1", ref=refs.K8S_INIT, features=_KEY)
def test_placed_before(lab: Lab) -> None:
    """A kit that lies there already is judged without its layers, where its signature is asked for later.

    A cluster that begins to ask must not download every model again.
    """
    kit = kits.model()
    shop = Shop(lab)
    uri = shop.add(kit, *shop.both(kit))
    folder = lab.destination()
    lab.run(uri, to=folder).brought(kit)
    shop.registry.ledger.clear()
    shop.run(uri, to=folder).brought(kit)
    if again := shop.registry.ledger.requests(reference=kits.layer_of(kit), method="GET"):
        raise Finding("it downloaded a layer again", some(again))


@case("signature.moved-tag", level=MUST, since="0.1", ref=refs.OCI_MANIFESTS, features=_KEY)
def test_moved_tag(lab: Lab) -> None:
    """What is unpacked is what was verified, where the tag moves in between.

    Who may push a tag needs no key otherwise: a moment is enough, and CI moves tags all day.
    """
    unpacks_what_was_verified(lab, Shop(lab))


@case(
    "signature.moved-parent",
    level=MUST,
    since="0.1",
    ref=refs.OCI_MANIFESTS,
    features={"signatures", "parents"},
)
def test_moved_parent(lab: Lab) -> None:
    """What is unpacked of a parent is what was verified, where the parent's tag moves in between.

    A child names its parent by a tag, which somebody else may push.
    """
    signed, other = kits.model(), kits.model(seed=8)
    shop = Shop(lab)
    shop.add(signed, *shop.both(signed, "base"), repository="base")
    child = kits.child(f"{shop.host}/base:v1")
    uri = shop.add(child, *shop.both(child))
    tag_moves(shop, other, "base")
    result = shop.run(uri)
    if result.outcome.code:
        result.failed().brought_nothing()
    else:
        result.brought({"c.py": child.files["c.py"], kits.MODEL: signed.files[kits.MODEL]})
    shop.registry.heal()
    lab.run(uri).brought({"c.py": child.files["c.py"], kits.MODEL: other.files[kits.MODEL]})
