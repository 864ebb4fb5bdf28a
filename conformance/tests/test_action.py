"""The composite action: what it is told never becomes a part of a script, and what it uses is pinned."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = (ROOT / "action.yml").read_text("utf-8")
ACTION: Final[dict[str, Any]] = yaml.safe_load(TEXT)
STEPS: Final[list[dict[str, Any]]] = ACTION["runs"]["steps"]


def test_no_script_holds_an_expression() -> None:
    scripts = [step["run"] for step in STEPS if "run" in step]
    assert len(scripts) > 1
    assert not [script for script in scripts if "${{" in script or "eval" in script]


def test_every_input_is_used() -> None:
    asked = set(re.findall(r"inputs\.([a-z-]+)", TEXT))
    assert asked == set(ACTION["inputs"])


def test_actions_are_pinned_to_the_commits_of_our_own_workflows() -> None:
    used = set(re.findall(r"uses: (\S+)", TEXT))
    workflows = "".join(path.read_text("utf-8") for path in (ROOT / ".github" / "workflows").glob("*.yml"))
    assert used
    for each in used:
        assert re.search(r"@[0-9a-f]{40}$", each)
        assert each in workflows, "another commit than elsewhere"


def test_reports_are_kept_of_runs_that_fail() -> None:
    (upload,) = [step for step in STEPS if "upload-artifact" in step.get("uses", "")]
    assert upload["if"] == "${{ !cancelled() }}"
    assert upload is STEPS[-1]


def test_the_example_names_inputs_that_there_are() -> None:
    page = (ROOT / "conformance" / "README.md").read_text("utf-8")
    (example,) = yaml.safe_load(re.findall(r"```yaml\n(- uses.*?)```", page, re.DOTALL)[0])
    assert set(example["with"]) < set(ACTION["inputs"])
