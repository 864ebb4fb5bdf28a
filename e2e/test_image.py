"""The image alone, as the strictest container that runs it: any user, nothing writable but the destination."""

from __future__ import annotations

import json
import subprocess
import uuid
from typing import TYPE_CHECKING

import pytest

from e2e.harness.registry import NETWORK
from e2e.harness.versions import ROOT
from kit_conformance import refs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.harness.scenario import Scenario

KIT = ROOT / "fixtures/modelkits/sklearn-iris"
STRICT = (
    "--read-only",
    "--user=54321:0",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--memory=100m",
)

pytestmark = [pytest.mark.plain, pytest.mark.needs("ours"), pytest.mark.reference(refs.OPENSHIFT_UIDS)]


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def volume() -> Iterator[str]:
    name = f"e2e-{uuid.uuid4().hex[:8]}"
    assert docker("volume", "create", name).returncode == 0
    yield name
    docker("volume", "rm", "--force", name)


def test_a_strict_container_twice(scenario: Scenario, engine: str, volume: str) -> None:
    uri = scenario.push(KIT)
    run = ("run", "--rm", f"--network={NETWORK}", *STRICT, "--volume", f"{volume}:/mnt/models")
    environ = ("--env=KIT_UNPACK_FLAGS=--plain-http", f"--env=KIT_ENGINE={engine}")
    command = (*run, *environ, scenario.state.initializer, uri, "/mnt/models")
    first, second = docker(*command), docker(*command)
    assert first.returncode == 0, first.stderr
    assert f"engine {engine}" in first.stderr
    assert second.returncode == 0, second.stderr
    assert "nothing to download" in second.stderr
    reader = (*run, "--entrypoint=python3", scenario.state.initializer, "-c")
    seen = docker(*reader, "import os, json; print(json.dumps(sorted(os.listdir('/mnt/models'))))")
    assert json.loads(seen.stdout) == [
        ".kit-initializer.json",
        "Kitfile",
        "README.md",
        "model.joblib",
        "train.py",
    ]


def test_there_is_no_shell_and_no_package_manager(scenario: Scenario) -> None:
    look = "import os, shutil; print([name for name in ('sh', 'bash', 'pip', 'apt', 'dpkg') if shutil.which(name)])"
    seen = docker("run", "--rm", "--entrypoint=python3", scenario.state.initializer, "-c", look)
    assert seen.stdout == "[]\n", seen.stderr


def test_scanners_find_the_packages(scenario: Scenario) -> None:
    """Scanners read dpkg's records of images without dpkg, and the metadata of Python's packages."""
    look = "import os; print(*os.listdir('/var/lib/dpkg/status.d'))"
    seen = docker("run", "--rm", "--entrypoint=python3", scenario.state.initializer, "-c", look)
    assert {"ca-certificates", "libc6"} <= set(seen.stdout.split()), seen.stderr


def test_the_image_says_what_it_is(scenario: Scenario) -> None:
    looked = docker("image", "inspect", "--format", "{{json .Config}}", scenario.state.initializer)
    config = json.loads(looked.stdout)
    assert config["Entrypoint"] == ["/opt/kit-initializer/bin/kit-initializer"]
    assert config["User"] == "1001:0"
    assert {"title", "licenses", "version", "revision"} <= {
        key.removeprefix("org.opencontainers.image.") for key in config["Labels"]
    }
    helped = docker("run", "--rm", "--read-only", "--network=none", scenario.state.initializer, "--version")
    assert helped.returncode == 0, helped.stderr
