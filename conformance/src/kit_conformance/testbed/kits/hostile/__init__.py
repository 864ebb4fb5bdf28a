"""Kits that are hostile, broken, or only odd, each a named value with what is to become of it.

    for hostile in ALL: hostile.name, hostile.why, hostile.expect ("unsafe" or "ok"), hostile.kit()

All digests and sizes in them are right: only the content is not. They are built in code, never stored.
"""

from typing import Final

from kit_conformance.testbed.kits.hostile.base import ESCAPE, OUTSIDE, Hostile
from kit_conformance.testbed.kits.hostile.bombs import BOMBS, EXPANDED
from kit_conformance.testbed.kits.hostile.configs import CONFIGS
from kit_conformance.testbed.kits.hostile.kinds import KINDS
from kit_conformance.testbed.kits.hostile.paths import PATHS
from kit_conformance.testbed.kits.hostile.structure import STRUCTURE

ALL: Final = (*PATHS, *KINDS, *STRUCTURE, *BOMBS, *CONFIGS)
BY_NAME: Final = {hostile.name: hostile for hostile in ALL}

__all__ = ["ALL", "BY_NAME", "ESCAPE", "EXPANDED", "OUTSIDE", "Hostile"]
