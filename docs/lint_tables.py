"""Make the tables by which `kit-conformance lint` judges variables and flags of the initializer.

The suite does not import the initializer: it has these tables as data. `python docs/lint_tables.py` writes them,
`--check` compares them with what is there (exit 1: out of date).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from kit_initializer.settings.flags import FLAGS
from kit_initializer.settings.variables import VARIABLES

TARGET = Path(__file__).parents[1] / "conformance/src/kit_conformance/lint/initializer.json"
_DAYS = 604_800  # seconds, the longest of all timeouts

# What values the initializer takes, beside the names. A test asks the initializer at the edges of each.
SHAPES: dict[str, dict[str, Any]] = {
    "KIT_ENGINE": {"choices": ["native", "kit"]},
    "KIT_LOG_FORMAT": {"choices": ["text", "json"]},
    "KIT_LOG_LEVEL": {"choices": ["debug", "info", "warn", "error"]},
    "KIT_CONCURRENCY": {"whole": [1, 64]},
    "KIT_RETRIES": {"whole": [0, 100]},
    "KIT_MAX_FILES": {"whole": [1, 10**9]},
    "KIT_MAX_BYTES": {"whole": [0, 10**18]},
    "KIT_CONNECT_TIMEOUT": {"seconds": _DAYS},
    "KIT_FIRST_BYTE_TIMEOUT": {"seconds": _DAYS},
    "KIT_STALL_TIMEOUT": {"seconds": _DAYS},
    "KIT_PROGRESS_TIMEOUT": {"seconds": _DAYS},
    "KIT_LOCK_TIMEOUT": {"seconds": _DAYS},
    "KIT_SIGNATURE_TIMEOUT": {"seconds": _DAYS},
    "KIT_TOTAL_TIMEOUT": {"seconds": _DAYS, "none": True},
    "KIT_RECORD": {"choices": ["inside", "none"], "path": True},
    "KIT_CA_CERT": {"contains": "-----BEGIN CERTIFICATE-----"},
}


def tables() -> dict[str, Any]:
    """Return the tables as they are written."""
    return {
        "variables": {variable.name: SHAPES.get(variable.name, {}) for variable in VARIABLES},
        "flags": {
            flag.name: {
                "short": flag.short,
                "kind": flag.kind,
                "refused": flag.refused,
                "kit_only": flag.kit_only,
            }
            for flag in FLAGS
        },
    }


def main(*, check: bool) -> int:
    """Write or check the tables."""
    text = json.dumps(tables(), indent=1) + "\n"
    if check:
        return int(TARGET.read_text("utf-8") != text)
    TARGET.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    sys.exit(main(check=parser.parse_args().check))
