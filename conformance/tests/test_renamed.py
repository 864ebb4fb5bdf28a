"""The old name of a profile: understood wherever one is given, with a warning on stderr."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kit_conformance import baseline, gate
from kit_conformance.catalog import catalog
from kit_conformance.renamed import current
from kit_conformance.selection import Options
from kit_conformance.subject import load


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("house", "kit-initializer"),
        ("house.tls", "kit-initializer.tls"),
        ("house.*", "kit-initializer.*"),
        ("household.x", "household.x"),
        ("restart", "restart"),
        ("*.kill", "*.kill"),
    ],
)
def test_names(old: str, new: str) -> None:
    assert current(old) == new


def test_baselines_policies_and_options() -> None:
    found = baseline.parse("house.tls: {reason: known}", "b.yaml", catalog().keys())
    assert list(found) == ["kit-initializer.tls"]
    policy = gate.policy("profiles: [house]\nknown-failures: [house.tls]\n")
    assert policy.profiles == ("kit-initializer",)
    assert policy.known_failures == {"kit-initializer.tls"}
    options = Options({"--profile": ["house"], "--case": ["house.t*"]})
    cases = {each.id for each in options.cases(load("kit-initializer"))}
    assert "kit-initializer.tls" in cases


def test_it_is_said_once() -> None:
    command = [sys.executable, "-m", "kit_conformance", "list", "--profile", "house", "--profile", "house"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("kit-initializer: ")
    assert done.stderr.count("the profile house is now called kit-initializer") == 1
