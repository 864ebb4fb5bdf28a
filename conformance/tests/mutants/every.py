"""Every mutant by the case that must find it: broken initializers, and broken Kits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from conformance.tests.mutants import (
    contract,
    initializer,
    initializer_secrets,
    initializer_transfers,
    integrity,
    modelkit,
    others,
    registry,
    registry_answers,
    registry_endless,
    registry_login,
    registry_login_odd,
    registry_transfers,
    restart,
    signature,
    signature_initializer,
    signature_keyless,
    signature_policy,
)
from conformance.tests.mutants.broken_kits import BROKEN_KITS, BY_NATURE, BrokenKit
from conformance.tests.mutants.world import MUTANTS, Mutant

if TYPE_CHECKING:
    from collections.abc import Mapping

# they declare themselves when they are imported
MODULES: Final = (
    *(contract, restart, integrity, registry, registry_answers, registry_endless, registry_login),
    *(
        registry_login_odd,
        registry_transfers,
        modelkit,
        initializer,
        initializer_secrets,
        initializer_transfers,
        others,
        signature,
        signature_initializer,
        signature_keyless,
        signature_policy,
    ),
)
EVERY: Final[Mapping[str, Mutant | BrokenKit]] = {**MUTANTS, **BROKEN_KITS}
# Cases that the honest subject itself does not pass: that is what proves them able to fail.
FAILED: Final = BY_NATURE
