"""OCI registries: what is asked of them and how, and what happens when they have a bad day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.cases.steps import FEW, fails, some
from kit_conformance.catalog import MUST, SHOULD, case
from kit_conformance.result import Finding
from kit_conformance.testbed.registry import faults

if TYPE_CHECKING:
    from kit_conformance.lab import Lab

# references


@case("registry.digest", level=MUST, since="0.1", ref=refs.OCI_PULL, any_registry=True)
def test_digest(lab: Lab) -> None:
    """A reference by digest brings that kit, whatever the tags say by then.

    Only a digest names one model for ever; production should pin it.
    """
    kit, later = kits.plain(), kits.plain("later")
    uri = lab.place(kit)
    lab.place(later)
    lab.run(uri.replace(":v1", f"@{kit.digest}")).brought(kit)


@case("registry.tag-and-digest", level=MUST, since="0.1", ref=refs.OCI_PULL, any_registry=True)
def test_tag_and_digest(lab: Lab) -> None:
    """With a tag and a digest the digest decides.

    Tools that pin references write both: the tag for people, the digest for machines.
    """
    kit, later = kits.plain(), kits.plain("later")
    uri = lab.place(kit)
    lab.place(later)
    lab.run(f"{uri}@{kit.digest}").brought(kit)


@case("registry.no-tag", level=SHOULD, since="0.1", ref=refs.KIT_UNPACK, any_registry=True)
def test_no_tag(lab: Lab) -> None:
    """A reference without a tag means the tag latest.

    That is what Kit and every container tool take it for.
    """
    kit = kits.plain()
    lab.run(lab.place(kit, tag="latest").removesuffix(":latest")).brought(kit)


@case("registry.nested-repository", level=MUST, since="0.1", ref=refs.OCI_PULL, any_registry=True)
def test_nested_repository(lab: Lab) -> None:
    """A repository may have many parts.

    GitLab and Harbor put group and project before the name.
    """
    kit = kits.plain()
    lab.run(lab.place(kit, "group/sub-group/project_1/iris.classifier")).brought(kit)


@case("registry.long-tag", level=MUST, since="0.1", ref=refs.OCI_PULL, any_registry=True)
def test_long_tag(lab: Lab) -> None:
    """A tag may have 128 characters, capitals, dots, dashes and underscores.

    Tags are made of branches, dates and hashes.
    """
    kit = kits.plain()
    lab.run(lab.place(kit, tag="_Release-2026.11.21_" + "x" * 108)).brought(kit)


@case("registry.ipv6", level=SHOULD, since="0.1", ref=refs.RFC_HTTP)
def test_ipv6(lab: Lab) -> None:
    """A registry may have an IPv6 address.

    Clusters with IPv6 only exist, and registries in them without a name.
    """
    if lab.subject.address != "127.0.0.1":
        lab.does_not_apply("this kind of subject reaches the registry by IPv4 alone")
    kit = kits.plain()
    registry = lab.registry(address="::1")
    lab.run(registry.add(kit, "iris", "v1")).brought(kit)


# what is not there, or not ours


@case("registry.no-such-tag", level=MUST, since="0.1", ref=refs.OCI_ERRORS, any_registry=True)
def test_no_such_tag(lab: Lab) -> None:
    """A tag that does not exist fails, and nothing is brought.

    It is the most frequent mistake of all.
    """
    uri = lab.place(kits.plain())
    lab.works(uri)
    lab.run(uri.replace(":v1", ":v2")).failed("there is no such tag").brought_nothing()


@case("registry.no-such-digest", level=MUST, since="0.1", ref=refs.OCI_ERRORS, any_registry=True)
def test_no_such_digest(lab: Lab) -> None:
    """A digest that does not exist fails, and nothing is brought.

    Registries clean up what no tag points to.
    """
    uri = lab.place(kits.plain())
    lab.works(uri)
    lab.run(uri.replace(":v1", "@sha256:" + "0" * 64)).failed("there is no such manifest").brought_nothing()


@case("registry.layer-gone", level=MUST, since="0.1", ref=refs.OCI_ERRORS)
def test_layer_gone(lab: Lab) -> None:
    """A layer that the registry has lost fails the run, and nothing is brought.

    A clean-up that went too far leaves manifests whose layers are gone.
    """
    kit = kits.many(3)
    fails(lab, faults.Status(404), "a layer is gone", kit, kind="blob", reference=kits.layer_of(kit, 2))


@case("registry.denied", level=MUST, since="0.1", ref=refs.OCI_ERRORS)
def test_denied(lab: Lab) -> None:
    """403 fails the run without a storm of repetitions.

    A user who may not pull is told so at once, and no account is locked for too many tries.
    """
    registry = fails(lab, faults.Status(403), "access is denied")
    if len(registry.ledger) > FEW:
        raise Finding(f"it asked {len(registry.ledger)} times", some(registry.ledger.requests()))
