"""Signatures where a subject lets a version of Kit unpack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.cases.signature_steps import Shop, by_key, key, refused, unpacks_what_was_verified
from kit_conformance.catalog import MUST, case
from kit_conformance.testbed import signing

if TYPE_CHECKING:
    from kit_conformance.lab import Lab

_FEATURES = {"signatures", "kit-engine"}


def _shop(lab: Lab) -> Shop:
    if lab.subject.identity.kind != "command":
        lab.does_not_apply("an image or a pod has its own Kit")
    folder = lab.scratch("engine")
    (folder / "kit").symlink_to(lab.settings.kit)
    return Shop(lab, {**by_key(), "kit-engine": {"kit_folder": str(folder)}})


@case("kit.subject-verified", level=MUST, since="0.1", ref=refs.OCI_MANIFESTS, features=_FEATURES)
def test_subject_verified(lab: Lab) -> None:
    """What Kit unpacks for the subject is what was verified, where the tag moves in between.

    Kit resolves a tag again when it is given one.
    """
    unpacks_what_was_verified(lab, _shop(lab))


@case("kit.subject-unsigned", level=MUST, since="0.1", ref=refs.KIT_UNPACK, features=_FEATURES)
def test_subject_unsigned(lab: Lab) -> None:
    """A kit that is not signed as it must be is refused where Kit would unpack it, too.

    Kit itself looks at no signature.
    """
    shop = _shop(lab)
    shop.works()
    kit, other = kits.model(), kits.model(seed=8)
    refused(shop, shop.add(kit), "nobody has signed it")
    refused(shop, shop.add(other, signing.bundle(key("theirs"), other), tag="v2"), "it is by another key")
