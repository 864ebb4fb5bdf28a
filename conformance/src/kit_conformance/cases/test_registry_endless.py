"""Registries that never finish a response, although something keeps coming."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.cases.steps import fails
from kit_conformance.catalog import MUST, case
from kit_conformance.testbed.registry import Bearer, faults

if TYPE_CHECKING:
    from kit_conformance.lab import Lab


@case("registry.endless-head", level=MUST, since="0.1", ref=refs.K8S_INIT)
def test_endless_head(lab: Lab) -> None:
    """A registry whose status line never ends fails the run.

    A timeout for each read never comes when a byte does. The pod's containers wait for the init container, so a rollout
    stands still without an error.
    """
    fails(lab, faults.Endless.status(), "the status line never ends", kind="manifest")


@case("registry.endless-interim", level=MUST, since="0.1", ref=refs.RFC_INTERIM)
def test_endless_interim(lab: Lab) -> None:
    """A registry that sends interim responses and no final one fails the run.

    "A client MUST be able to parse one or more 1xx responses"; a proxy that sends nothing else must not hold the pod.
    """
    fails(lab, faults.Endless.interim(103), "the final response never comes", kind="manifest")


@case("registry.endless-chunk-size", level=MUST, since="0.1", ref=refs.K8S_INIT)
def test_endless_chunk_size(lab: Lab) -> None:
    """A registry whose chunk size never ends fails the run.

    Bytes come, but none of them is content: neither a timeout for each read nor a count of the body's bytes sees it.
    """
    fails(lab, faults.Endless.chunk_size(), "the chunk's size never ends", kind="manifest")


@case("registry.endless-trailers", level=MUST, since="0.1", ref=refs.K8S_INIT)
def test_endless_trailers(lab: Lab) -> None:
    """A registry whose trailers never end leads to the kit or to a failure, in time.

    The content is whole by then, so that it may be taken; to read on for ever is what must not be.
    """
    registry = lab.registry()
    kit = kits.plain()
    uri = registry.add(kit, "iris", "v1")
    lab.works(uri)
    registry.inject(faults.EndlessTrailers(), kind="manifest")
    result = lab.run(uri, patience=True).ended()
    if result.outcome.code == 0:
        result.brought(kit)
    else:
        result.brought_nothing()


@case("registry.endless-token", level=MUST, since="0.1", ref=refs.K8S_INIT)
def test_endless_token(lab: Lab) -> None:
    """A token service whose status line never ends fails the run.

    It is another server than the registry, with limits that are easily forgotten.
    """
    registry = lab.registry(auth=Bearer({}, anonymous=True))
    uri = registry.add(kits.plain(), "iris", "v1")
    lab.works(uri)
    registry.inject(faults.Endless.status(), kind="token")
    lab.run(uri, patience=True).failed("the token never comes").brought_nothing()


@case("registry.endless-restart", level=MUST, since="0.1", ref=refs.K8S_INIT)
def test_endless_restart(lab: Lab) -> None:
    """A layer that begins anew after a break, byte by byte, fails the run.

    Bytes that have been received before are no progress that could go on for ever.
    """
    registry = lab.registry()
    uri = registry.add(kits.large(), "iris", "v1")
    lab.works(uri)
    registry.inject(faults.Cut(after=3 * kits.MIB), kind="blob", times=1)
    registry.inject(faults.NoRange(), kind="blob")
    registry.inject(faults.Slices(1, 0.05), kind="blob", skip=1)
    lab.run(uri, patience=True).failed("the rest of the layer never comes").brought_nothing()
