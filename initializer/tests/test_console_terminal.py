"""On a terminal progress is a bar that is gone in the end; elsewhere, and as it is asked for, lines or nothing."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kit_conformance.testbed.kits import Noise, pack
from kit_conformance.testbed.registry import TLS, Registry, faults

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command

KIT = pack({"m": Noise(4_000_000)}, {"manifestVersion": "1.0.0", "package": {}, "model": {"path": "m"}})


def on_terminal(command: Command, *arguments: object, **environ: str) -> tuple[int, str]:
    """Run with a terminal as standard error, and return what it was sent."""
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "kit_initializer", *map(str, arguments)]
    with subprocess.Popen(words, env=command.environ(environ), stderr=theirs) as process:
        os.close(theirs)
        sent = b""
        while True:
            try:
                data = os.read(ours, 4096)
            except OSError:  # EIO: the other end is closed
                break
            sent += data
        code = process.wait(30)
    os.close(ours)
    return code, sent.decode()


@pytest.mark.parametrize(
    ("progress", "bar"), [("fancy", True), ("", True), ("plain", False), ("none", False)]
)
def test_a_bar(
    *, progress: str, bar: bool, registry: Registry, initialize: Command, destination: Path
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    registry.inject(faults.Bandwidth(2_000_000), kind="blob")
    flags = f"--plain-http --progress={progress}" if progress else "--plain-http"
    code, sent = on_terminal(initialize, uri, destination, KIT_UNPACK_FLAGS=flags)
    assert code == 0, sent
    assert ("[##" in sent) == bar
    assert ("\x1b[K" in sent) == bar
    last = sent.splitlines()[-1]
    assert "is in place" in last
    assert "#" not in last.rpartition("\x1b[K")[2]


def test_no_bar_where_nobody_looks(registry: Registry, initialize: Command, destination: Path) -> None:
    uri = registry.add(KIT, "iris", "v1")
    registry.inject(faults.Bandwidth(2_000_000), kind="blob")
    run = initialize(uri, destination)
    assert not any("\x1b" in line or "[#" in line for line in run.lines)
    assert run.said[0] == f"resolving {uri}"


def test_debug_tells_of_requests(registry: Registry, initialize: Command, destination: Path) -> None:
    uri = registry.add(KIT, "iris", "v1")
    registry.inject(faults.Redirect(), kind="blob")
    run = initialize(uri, destination, KIT_LOG_LEVEL="debug")
    told = [line for line in run.lines if line.startswith("debug: GET")]
    assert f"debug: GET http://{registry.host}/v2/iris/manifests/v1: 200 OK after" in told[0]
    assert told[0].endswith("ms, new connection")
    assert any(line.endswith("ms, kept connection") for line in told)
    assert "0123456789abcdef" not in "".join(run.lines)
    assert not any(line.startswith("debug") for line in initialize(uri, destination.with_name("b")).lines)


def test_plain_http_against_tls_is_said_at_once(initialize: Command, destination: Path) -> None:
    with Registry(tls=TLS()) as registry:
        run = initialize(registry.add(KIT, "iris", "v1"), destination)
    assert (run.code, run.last.partition(":")[0]) == (6, "tls"), run.lines
    assert "speaks TLS, and was sent plain HTTP; remove --plain-http" in run.last
    assert not any("trying again" in line for line in run.lines)
