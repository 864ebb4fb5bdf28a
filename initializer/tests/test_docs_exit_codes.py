"""The page of exit codes says what the command prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "exit_codes.py"


def test_the_page_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, PAGE, "--check"], capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), "python docs/exit_codes.py makes the page anew"
