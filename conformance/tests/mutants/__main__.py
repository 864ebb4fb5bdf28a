"""`python -m conformance.tests.mutants CASE SRC DEST …`: the subject that CASE must find to be broken."""

from __future__ import annotations

import sys

from conformance.tests.mutants import every  # noqa: F401  (it knows them all)
from conformance.tests.mutants.world import MUTANTS, World

if __name__ == "__main__":
    name, *words = sys.argv[1:]
    sys.exit(MUTANTS[name].broken(World(words)))
