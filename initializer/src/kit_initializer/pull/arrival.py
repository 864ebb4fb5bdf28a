"""A kit on its way: what was asked for, what it is, where its files are gathered."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kit_initializer.publish import Staging
    from kit_initializer.pull.resolve import Resolved
    from kit_initializer.reference import Reference


class Pair(NamedTuple):
    """A kit and the folder it goes to, as they were asked for."""

    reference: Reference
    folder: str


class Arrival(NamedTuple):
    """A kit on its way to a folder of `staging`, of which `root` is an open handle."""

    pair: Pair
    resolved: Resolved
    staging: Staging
    root: int
