"""Transfers through registries, stores and proxies that serve them in ways of others' products."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.cases.steps import FEW, heals, some
from kit_conformance.catalog import SHOULD, case
from kit_conformance.result import Finding
from kit_conformance.testbed.registry import faults

if TYPE_CHECKING:
    from kit_conformance.lab import Lab


# ranges


@case("registry.refused-ranges", level=SHOULD, since="0.1", ref=refs.RFC_RANGE)
def test_refused_ranges(lab: Lab) -> None:
    """A transfer that breaks off is completed at a registry that refuses ranges.

    Registries and stores answer 416, 400 or 501 to a range; without one they have the whole blob.
    """
    for status in (416, 400, 501):
        cut = (faults.Cut(after=3 * kits.MIB), {"kind": "blob", "times": 1})
        heals(lab, (faults.RefuseRange(status), {"kind": "blob"}), cut, kit=kits.large())


@case("registry.odd-ranges", level=SHOULD, since="0.1", ref=refs.RFC_PART)
def test_odd_ranges(lab: Lab) -> None:
    """A transfer that breaks off is completed where a 206 holds another part than was asked for, or does not say.

    Caches answer with the block that holds the range, without Content-Range, or with multipart/byteranges; a client
    "MUST inspect" what it got.
    """
    for fault in (faults.EarlierRange(), faults.Header("Content-Range", None), faults.Multipart()):
        cut = (faults.Cut(after=3 * kits.MIB + 1000), {"kind": "blob", "times": 1})
        heals(lab, (fault, {"kind": "blob"}), cut, kit=kits.large())


# requests


@case("registry.few-requests", level=SHOULD, since="0.1", ref=refs.RFC_OVERLOAD)
def test_few_requests(lab: Lab) -> None:
    """A registry that takes one request for a layer at a time, and refuses others by 503, is good enough.

    Proxies before small registries limit the requests of a client; a client that opens several is the one to wait.
    """
    kit = kits.many(4, kits.MIB)
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    registry.inject(faults.Crowded(), kind="blob")
    registry.inject(faults.Bandwidth(kits.MIB / 2), kind="blob")
    lab.run(uri, patience=True, seconds=60).brought(kit)
    asked = [entry for entry in registry.ledger.requests(kind="blob") if entry.status == 503]
    if len(asked) > FEW:
        raise Finding("it goes on asking a registry that refuses", some(asked))


# encodings


@case("registry.compressed-unasked", level=SHOULD, since="0.1", ref=refs.RFC_ENCODING)
def test_compressed_unasked(lab: Lab) -> None:
    """What a proxy compresses on the way, although nobody asked for it, is decoded.

    The digest is that of what was packed, and Content-Encoding says what was done to it since.
    """
    heals(lab, (faults.Compressed(), {"kind": "manifest"}), (faults.Compressed(), {"kind": "config"}))
    cut = (faults.Cut(after=3 * kits.MIB), {"kind": "blob", "times": 1})
    heals(lab, (faults.Compressed(), {"kind": "blob"}), cut, kit=kits.large())


@case("registry.called-compressed", level=SHOULD, since="0.1", ref=refs.OCI_DIGESTS)
def test_called_compressed(lab: Lab) -> None:
    """A layer of gzip that a store sends as it is, with a Content-Encoding of gzip, is taken as it is.

    Object stores keep the header that the layer was uploaded with; its digest says what it is.
    """
    heals(lab, (faults.Compressed(truly=False), {"kind": "blob"}), kit=kits.model(70_000, compression="gzip"))
