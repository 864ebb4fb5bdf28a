"""The cases that need no fault, on a registry that is not ours."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kit_conformance.catalog import PROFILES, catalog

if TYPE_CHECKING:
    from pathlib import Path

ANYWHERE = {each.id for each in catalog().values() if each.any_registry and not PROFILES[each.profile].needs}


@pytest.mark.interop("docker-registry")
@pytest.mark.timeout(300)
def test_every_case_that_needs_no_fault_holds_on_a_real_registry(
    honest: str, docker_registry: str, tmp_path: Path
) -> None:
    options = (
        "--subject-config",
        "kit-initializer",
        "--registry",
        docker_registry,
        "--results",
        str(tmp_path),
        "--jobs",
        "2",
    )
    command = [
        sys.executable,
        "-m",
        "kit_conformance",
        "run",
        "--subject",
        honest,
        *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    cases = json.loads((tmp_path / "report.json").read_text("utf-8"))["cases"]
    ran = {each["id"] for each in cases if each["result"] in {"pass", "warn"}}
    assert ran == ANYWHERE
    assert len(ran) > 100
    assert {each["result"] for each in cases if each["id"] not in ANYWHERE} == {"skipped"}
