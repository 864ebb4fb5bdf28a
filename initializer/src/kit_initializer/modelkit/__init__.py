"""The ModelKit format: a manifest and its config become a plan. Knows nothing of HTTP or of tar."""

from __future__ import annotations

from kit_initializer.modelkit.manifest import ACCEPT, Descriptor, Index, Manifest, Member, parse
from kit_initializer.modelkit.planning import Layer, Plan, plan

__all__ = ["ACCEPT", "Descriptor", "Index", "Layer", "Manifest", "Member", "Plan", "parse", "plan"]
