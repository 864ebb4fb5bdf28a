"""A registry of the testbed where pods reach it: it can be slow, stop, come back, and tells what it was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2e.harness.registry import gateway
from kit_conformance.testbed.kits import Noise, pack
from kit_conformance.testbed.registry import Registry

if TYPE_CHECKING:
    from e2e.harness.scenario import Scenario
    from kit_conformance.testbed.kits import ModelKit
    from kit_conformance.testbed.registry import Basic

KITFILE = (
    "manifestVersion: 1.0.0\npackage: {name: parts}\nmodel: {path: model.bin}\ncode:\n- path: notes.txt\n"
)


def registry(auth: Basic | None = None) -> Registry:
    """Return a registry on this machine's address in kind's network, not started yet."""
    return Registry(address=gateway(), auth=auth)


def kit(size: int = 8_000_000, seed: int = 1, note: bytes = b"first\n") -> ModelKit:
    """Return a kit of a large layer and a small one."""
    return pack({"model.bin": Noise(size, seed), "notes.txt": note}, kitfile=KITFILE)


def expected(kit: ModelKit) -> dict[str, tuple[int, str, str]]:
    """Return a kit's files as a server tells them."""
    return {path: (fact.size, fact.sha256, f"{fact.mode:04o}") for path, fact in kit.files.items()}


def add(registry: Registry, scenario: Scenario, kit: ModelKit, tag: str = "v1") -> str:
    """Put a kit there under the scenario's name, and return its URI."""
    return str(registry.add(kit, f"{scenario.name}/parts", tag))
