"""What kit-initializer promises of the limits that an administrator sets to what a kit may cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.catalog import MUST, case
from kit_conformance.testbed.kits import pack

if TYPE_CHECKING:
    from kit_conformance.lab import Lab


@case("kit-initializer.limits", level=MUST, since="0.1", ref=refs.INITIALIZER_ENVIRONMENT, any_registry=True)
def test_limits(lab: Lab) -> None:
    """KIT_MAX_BYTES and KIT_MAX_FILES hold for a kit as a whole, over all of its layers.

    One small blob that expands may be named by many layers, each of which stays within a limit.
    """
    names = [f"zeros-{number}" for number in range(8)]
    recipe = {
        "manifestVersion": "1.0.0",
        "package": {},
        "model": {"path": "model"},
        "datasets": [{"path": name} for name in names],
    }
    files = {f"{name}/part-{number}": bytes(kits.MIB // 2) for name in names for number in range(2)}
    kit = pack({"model/w": b"w", **files}, recipe, compression="gzip")
    uri = lab.place(kit)
    for name, limit in (("KIT_MAX_BYTES", 4 * kits.MIB), ("KIT_MAX_FILES", 12)):
        lab.run(uri, environment={name: str(limit)}).failed_with(8).brought_nothing()
    lab.run(uri, environment={"KIT_MAX_BYTES": str(9 * kits.MIB), "KIT_MAX_FILES": "40"}).brought(kit)
