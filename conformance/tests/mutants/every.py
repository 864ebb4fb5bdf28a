"""Every mutant of the initializer, by the case that must find it."""

from __future__ import annotations

from conformance.tests.mutants import (
    contract,
    house,
    integrity,
    modelkit,
    registry,
    registry_answers,
    registry_login,
    restart,
)
from conformance.tests.mutants.world import MUTANTS

# they declare themselves when they are imported
PROFILES = (contract, restart, integrity, registry, registry_answers, registry_login, modelkit, house)

__all__ = ["MUTANTS", "PROFILES"]
