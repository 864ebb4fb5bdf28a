"""Registries that are slow, and those that leave out what they may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.cases.steps import heals
from kit_conformance.catalog import MUST, SHOULD, case
from kit_conformance.testbed.registry import faults

if TYPE_CHECKING:
    from kit_conformance.lab import Lab

# a bad day


# slow, but alive


@case("registry.slow-start", level=MUST, since="0.1", ref=refs.K8S_INIT)
def test_slow_start(lab: Lab) -> None:
    """A registry that takes three seconds to begin an answer is waited for.

    Pull-through caches fetch a layer before they send its first byte.
    """
    kit = kits.plain()
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    registry.inject(faults.Latency(3.0), kind="blob", times=1)
    lab.run(uri).brought(kit)


@case("registry.slow-but-steady", level=MUST, since="0.1", ref=refs.K8S_INIT)
def test_slow_but_steady(lab: Lab) -> None:
    """A layer that takes longer than any single wait, but keeps coming, is brought.

    A limit on the whole transfer, instead of on standing still, makes large models impossible.
    """
    kit = kits.model(60_000, seed=5)
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    registry.inject(faults.Bandwidth(15_000), kind="blob")
    lab.run(uri, patience=True).brought(kit)


@case("registry.tiny-pieces", level=MUST, since="0.1", ref=refs.RFC_LENGTH)
def test_tiny_pieces(lab: Lab) -> None:
    """Answers that come in pieces of seven bytes are put together.

    TCP promises nothing of the sizes in which bytes arrive.
    """
    heals(lab, (faults.Slices(7, 0.0005), {}), kit=kits.model(2000))


@case("registry.chunked", level=MUST, since="0.1", ref=refs.RFC_LENGTH)
def test_chunked(lab: Lab) -> None:
    """Answers in chunked encoding, without a Content-Length, are read.

    Proxies re-encode what passes through them.
    """
    heals(
        lab, (faults.Chunked(), {"kind": "manifest", "method": "GET"}), (faults.Chunked(), {"kind": "config"})
    )


@case("registry.chunked-layers", level=SHOULD, since="0.1", ref=refs.RFC_LENGTH)
def test_chunked_layers(lab: Lab) -> None:
    """Layers in chunked encoding are read, too.

    Proxies re-encode what passes through them.
    """
    heals(lab, (faults.Chunked(), {"kind": "blob", "method": "GET"}))


# what registries may leave out


@case("registry.no-head", level=SHOULD, since="0.1", ref=refs.OCI_MANIFESTS)
def test_no_head(lab: Lab) -> None:
    """A registry that does not know HEAD is good enough.

    Small registries and proxies answer it with 405.
    """
    heals(lab, (faults.NoHead(), {}))


@case("registry.no-ranges", level=MUST, since="0.1", ref=refs.RFC_RANGE)
def test_no_ranges(lab: Lab) -> None:
    """A registry that answers ranges with the whole blob is good enough.

    "A server MAY ignore the Range header field".
    """
    heals(lab, (faults.NoRange(), {}), kit=kits.large())


@case("registry.no-ranges-cut", level=SHOULD, since="0.1", ref=refs.RFC_RANGE)
def test_no_ranges_cut(lab: Lab) -> None:
    """A transfer that breaks off at a registry without ranges begins anew.

    The second answer starts at byte 0, and must not be glued to the first.
    """
    cut = (faults.Cut(after=3 * kits.MIB), {"kind": "blob", "times": 1})
    heals(lab, (faults.NoRange(), {}), cut, kit=kits.large())


@case("registry.no-digest-header", level=MUST, since="0.1", ref=refs.OCI_MANIFESTS)
def test_no_digest_header(lab: Lab) -> None:
    """A registry that sends no Docker-Content-Digest is good enough.

    The specification has it as a SHOULD.
    """
    heals(lab, (faults.no_digest_header(), {"kind": "manifest"}))


@case("registry.wrong-content-type", level=SHOULD, since="0.1", ref=refs.OCI_MANIFESTS)
def test_wrong_content_type(lab: Lab) -> None:
    """A layer with another Content-Type is taken: its digest says what it is.

    Object stores call everything application/octet-stream, or text/plain.
    """
    heals(lab, (faults.Header("Content-Type", "text/plain"), {"kind": "blob"}))


@case("registry.length-too-large", level=MUST, since="0.1", ref=refs.RFC_LENGTH)
def test_length_too_large(lab: Lab) -> None:
    """A Content-Length that promises more than comes leads to the kit or to a failure, and to neither half.

    To the one it looks like a break in the transfer, to the other like another blob; both may be right.
    """
    registry = lab.registry()
    kit = kits.plain()
    uri = registry.add(kit, "iris", "v1")
    lab.works(uri)
    registry.inject(faults.WrongLength(by=1000), kind="blob", method="GET", times=1)
    result = lab.run(uri, patience=True).ended()
    if result.outcome.code == 0:
        result.brought(kit)
    else:
        result.brought_nothing()


@case("registry.length-too-small", level=MUST, since="0.1", ref=refs.RFC_LENGTH)
def test_length_too_small(lab: Lab) -> None:
    """A Content-Length that is too small for a layer never leads to half a layer.

    What is beyond it belongs to no answer.
    """
    registry = lab.registry()
    uri = registry.add(kits.plain(), "iris", "v1")
    lab.works(uri)
    registry.inject(faults.WrongLength(by=-1000), kind="blob", method="GET")
    lab.run(uri, patience=True).failed("the rest of the layer never comes").brought_nothing()


@case("registry.wrong-content-range", level=SHOULD, since="0.1", ref=refs.RFC_RANGE)
def test_wrong_content_range(lab: Lab) -> None:
    """A part that is another one than was asked for is never taken for it.

    Caches that mix up ranges exist; the digest would find it out, but a second try may heal it.
    """
    registry = lab.registry()
    kit = kits.large()
    uri = registry.add(kit, "iris", "v1")
    lab.works(uri)
    registry.inject(faults.Cut(after=3 * kits.MIB), kind="blob", times=1)
    registry.inject(faults.WrongContentRange(by=100), kind="blob", times=1)
    result = lab.run(uri, patience=True).ended()
    if result.outcome.code == 0:
        result.brought(kit)
    else:
        result.brought_nothing()
