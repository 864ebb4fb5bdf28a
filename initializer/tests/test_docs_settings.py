"""The pages of variables and flags are made from the tables, and the tables miss no variable that is read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from kit_initializer.settings.variables import GROUPS, VARIABLES

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "initializer" / "src" / "kit_initializer"


def test_the_pages_are_up_to_date() -> None:
    page = ROOT / "docs" / "settings_pages.py"
    done = subprocess.run(
        [sys.executable, page, "--check"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), "python docs/settings_pages.py makes the pages anew"


def test_every_variable_that_is_read_is_in_the_table() -> None:
    read = set()
    for path in SOURCES.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        read |= set(re.findall(r'environ[^"\n]{0,12}"([A-Z][A-Z0-9_]+)"', text))
        if path.parent.name in {"settings", "credentials"}:
            read |= set(re.findall(r'"([A-Z]+(?:_[A-Z0-9]+)+)"', text))
    assert {"KIT_USER", "STORAGE_CONFIG", "DOCKER_CONFIG", "KIT_STALL_TIMEOUT"} <= read
    assert read <= {variable.name for variable in VARIABLES}


def test_every_group_is_shown() -> None:
    assert {variable.group for variable in VARIABLES} == set(GROUPS)
