"""The sample kits that the suite carries."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

# A link to fixtures/modelkits in the repository; a built distribution has the files themselves.
_MODELKITS = Path(__file__).with_name("modelkits")


@cache
def fixture(name: str) -> tuple[Path, dict[str, Any]]:
    """Return the folder of a sample kit, and what is to be expected of it."""
    folder = _MODELKITS / name
    return folder, json.loads((folder / "expected.json").read_text("utf-8"))
