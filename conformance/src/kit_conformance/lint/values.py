"""Values of YAML that may be anything, read as what they should be."""

from __future__ import annotations

from typing import Any


def as_map(value: object) -> dict[str, Any]:
    """Return a map, an empty one if it is something else."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """Return a list, an empty one if it is something else."""
    return value if isinstance(value, list) else []
