"""Commands, run with a bound on their time; a failure says which command and what it printed last."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class StepError(Exception):
    """A step of the harness that failed, with what to do about it."""


def run(
    command: Sequence[str],
    *,
    timeout: float,
    text: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a command with `text` as its input and return its standard output.

    Raises StepError when it fails, is not there or takes more than `timeout` seconds.
    """
    shown = " ".join(command[:6]) + (" …" if len(command) > 6 else "")
    try:
        done = subprocess.run(
            list(command),
            input=text,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise StepError(f"{command[0]} is not on the PATH") from error
    except subprocess.TimeoutExpired as error:
        raise StepError(f"`{shown}` was not done in {timeout:g} s") from error
    if done.returncode != 0:
        last = "\n  ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-8:])
        raise StepError(f"`{shown}` failed with exit code {done.returncode}:\n  {last}")
    return done.stdout
