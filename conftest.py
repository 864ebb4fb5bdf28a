"""What every pytest run obeys: plain tests reach nothing but loopback, interop tests have what they need.

An interop test names its needs: `@pytest.mark.interop("docker-registry", "kit")`. A missing need fails the
test with a hint; `--without NAME` leaves those tests out, and pytest counts them as deselected.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

# How long an example takes says how busy the machine is; pytest-timeout bounds the test as a whole.
hypothesis.settings.register_profile(
    "here", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("here")

NEEDS = {
    "docker-registry": "a registry binary: `apt-get install docker-registry`",
    "cosign": "`go install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3`",
    "crane": "`go install github.com/google/go-containerregistry/cmd/crane@v0.22.0`",
    "distribution": "`registry`: `go install github.com/distribution/distribution/v3/cmd/registry@v3.0.0`",
    "registry:2": "the image: `docker pull registry:2`",
    "docker": "a Docker daemon that answers `docker info`",
    "kit": "a Kit binary: `kit` on the PATH, or its path in KIT",
    "helm": "`go install helm.sh/helm/v3/cmd/helm@v3.19.0`",
    "kubectl": "kubectl 1.30 or newer on the PATH",
    "mount": "the right to mount a tmpfs: user namespaces (`unshare --map-root-user --mount true`)",
}


@cache
def is_here(need: str) -> bool:
    """Tell whether this machine has what an interop test asks for."""
    commands = {
        "docker": ["docker", "info"],
        "registry:2": ["docker", "image", "inspect", "registry:2"],
        "mount": ["unshare", "--map-root-user", "--mount", "true"],
    }
    if need in commands:
        command = commands[need]
        return bool(shutil.which(command[0])) and not subprocess.call(  # noqa: S603 -- one of those above
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30
        )
    binaries = {"kit": os.environ.get("KIT", "kit"), "distribution": "registry"}
    return shutil.which(binaries.get(need, need)) is not None


def needs_of(item: pytest.Item) -> set[str]:
    """Collect what the test's interop markers name."""
    return {str(need) for mark in item.iter_markers("interop") for need in mark.args}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the one option that leaves interop tests out."""
    parser.addoption(
        "--without",
        action="append",
        default=[],
        choices=sorted(NEEDS),
        help="leave out the interop tests that need this, instead of failing them",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what --without names, visibly: it is counted as deselected."""
    without = set(config.getoption("without"))
    left_out = [item for item in items if needs_of(item) & without]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not needs_of(item) & without]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test whose needs this machine lacks."""
    for need in sorted(needs_of(item)):
        if need not in NEEDS:
            pytest.fail(f"unknown need {need!r}: one of {', '.join(sorted(NEEDS))}", pytrace=False)
        if not is_here(need):
            pytest.fail(f"needs {NEEDS[need]} (or leave it out: --without {need})", pytrace=False)


class LoopbackOnly:
    """An audit hook that fails the running test when it resolves, binds or reaches anything but loopback.

    It sees this process alone: what a test starts must be pointed to loopback by its arguments.
    """

    EVENTS = frozenset(
        {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"}
    )

    def __init__(self) -> None:
        self.armed = False

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        """Judge one event; a failure is no Exception, so that no code under test takes it for a network's."""
        if not self.armed or event not in self.EVENTS:
            return
        address = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
        host = (
            address[0] if isinstance(address, tuple) else address if event == "socket.getaddrinfo" else None
        )
        if isinstance(host, (str, bytes)) and not is_loopback(
            host if isinstance(host, str) else host.decode()
        ):
            pytest.fail(
                f"{event} {address!r}: a test without the interop marker reaches nothing but loopback"
            )


def is_loopback(host: str) -> bool:
    """Tell whether a name or a literal address is this machine's loopback."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


GUARD = LoopbackOnly()
sys.addaudithook(GUARD)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Arm the guard around each test that has no reason to leave this machine."""
    in_cluster = item.path.is_relative_to(item.config.rootpath / "e2e")
    GUARD.armed = not in_cluster and item.get_closest_marker("interop") is None
    try:
        return (yield)
    finally:
        GUARD.armed = False
