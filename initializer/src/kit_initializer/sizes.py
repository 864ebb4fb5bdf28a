"""Bytes for people."""

from __future__ import annotations


def size(count: float) -> str:
    """Return bytes in decimal units: "1.2 GB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
