"""The other engine: the Kit CLI pulls into a store that it verifies, and unpacks from there."""

from kit_initializer.pull.kit.fill import fill

__all__ = ["fill"]
