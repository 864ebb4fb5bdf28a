"""Steps that cases of several profiles take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Unpack

from kit_conformance.cases import kits
from kit_conformance.result import Finding
from kit_conformance.testbed.registry import Registry, faults

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kit_conformance.lab import Lab, Running, Wish
    from kit_conformance.testbed.kits import ModelKit
    from kit_conformance.testbed.registry import Entry

FEW: Final = 40  # requests: more than any number of sensible retries of one thing makes
HALF: Final = 4 * kits.MIB
_PART: Final = kits.MIB // 4


def heals(
    lab: Lab, *injected: tuple[faults.Fault, dict[str, object]], kit: ModelKit | None = None
) -> Registry:
    """Show that a kit is brought although the registry misbehaves in these ways."""
    kit = kit or kits.plain()
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    for fault, where in injected:
        registry.inject(fault, **where)  # type: ignore[arg-type]
    lab.run(uri, patience=True).brought(kit)
    return registry


def fails(lab: Lab, fault: faults.Fault, why: str, kit: ModelKit | None = None, **where: object) -> Registry:
    """Show that a kit is brought, and that the run fails in time when the registry misbehaves in this way."""
    registry = lab.registry()
    uri = registry.add(kit or kits.plain(), "iris", "v1")
    lab.works(uri)
    registry.ledger.clear()
    registry.inject(fault, **where)  # type: ignore[arg-type]
    lab.run(uri, patience=True).failed(why).brought_nothing()
    return registry


def some(entries: Iterable[Entry]) -> list[str]:
    return [str(entry) for entry in list(entries)[:8]]


def _half_way(registry: Registry, running: Running) -> None:
    """Wait until a part of a layer has been sent."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and running.process.alive():
        if sum(entry.sent for entry in registry.ledger.requests(kind="blob", method="GET")) >= _PART:
            time.sleep(0.1)  # lets what has been sent be written
            return
        time.sleep(0.01)
    registry.release()
    raise Finding("it never began to fetch the layer", [str(registry.ledger)])


def stalled(lab: Lab, uri: str, registry: Registry, **wish: Unpack[Wish]) -> Running:
    """Start a run that stands still in the middle of a layer."""
    registry.inject(faults.Stall(after=HALF), kind="blob", times=1)
    registry.inject(faults.Stall(), kind="blob", skip=1)  # for those who fetch a layer by several connections
    running = lab.start(uri, **wish)
    _half_way(registry, running)
    return running
