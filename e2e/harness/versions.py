"""What versions.toml says, and where this repository and its cache are."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "e2e"

_DATA: dict[str, Any] = tomllib.loads((ROOT / "versions.toml").read_text(encoding="utf-8"))

KIT: dict[str, str] = _DATA["kit"]
KSERVE: dict[str, Any] = _DATA["kserve"]
MATRIX: list[str] = _DATA["matrix"]["cells"]  # KServe's version, a slash, Kit's
NODE_IMAGE: str = _DATA["kubernetes"]["node"]
IMAGES: dict[str, str] = _DATA["images"]


def at_least(version: str, least: str) -> bool:
    """Tell whether a version is that of `least` or a later one, by their first two numbers."""
    numbers = [tuple(map(int, v.lstrip("v").split(".")[:2])) for v in (version or "v0.0", least)]
    return numbers[0] >= numbers[1]


def controller_image(version: str) -> str:
    """Name the image of KServe's manager, as KServe's own manifests do."""
    return f"{KSERVE['controller']}:{version}"
