"""The sample kits that the suite carries."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent


@cache
def fixture(name: str) -> tuple[Path, dict[str, Any]]:
    """Return the folder of a sample kit, and what is to be expected of it.

    An installed suite carries them; run from its sources, it finds them in the repository.
    """
    for root in (_HERE / "modelkits", _HERE.parents[2] / "fixtures" / "modelkits"):
        folder = root / name
        if (folder / "Kitfile").exists():
            return folder, json.loads((folder / "expected.json").read_text("utf-8"))
    raise FileNotFoundError(f"the sample kit {name} is not there: was the suite installed from a wheel?")
