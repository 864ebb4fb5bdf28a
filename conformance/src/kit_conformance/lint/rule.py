"""What a rule is."""

from __future__ import annotations

from typing import Final, NamedTuple

ERROR: Final = "error"
WARN: Final = "warn"


class Rule(NamedTuple):
    """One rule. An error breaks something in every cluster, a warning in some or on some day."""

    name: str
    level: str
    title: str
    consequence: str
    remedy: str
    ref: str
    fixable: bool = False
