"""The table of waits in docs/operate.md, row by row: each ends by its variable, with its exit code, and by SIGTERM."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from initializer.tests import test_cli_bounds
from initializer.tests.destinations import KITFILE
from initializer.tests.proxy import Proxy
from initializer.tests.test_cli_signals import full
from initializer.tests.test_pull_endless import dripping
from kit_conformance.testbed.kits import Noise, pack
from kit_conformance.testbed.registry import Basic, Bearer, Registry, faults
from kit_conformance.testbed.signing import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from initializer.tests.conftest import Command

PAGE = Path(__file__).parents[2] / "docs" / "operate.md"
KIT = pack({"model/weights.bin": Noise(3_000_000), "model/config.json": b"{}"}, KITFILE)
SPARSE = 1 << 37  # bytes; nobody reads them in a minute


class Row(NamedTuple):
    """One row of the table."""

    wait: str
    variable: str
    code: str


def rows() -> list[Row]:
    text = PAGE.read_text(encoding="utf-8").partition("| wait for |")[2].partition("\n\n")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]
    return [Row(wait, variable.strip("`"), code) for wait, _, variable, code in cells]


class Scene:
    """A run that is going to wait: its arguments and environment, and what has to be there for it."""

    def __init__(self, folder: Path, initialize: Command, stack: contextlib.ExitStack) -> None:
        self.folder = folder
        self.destination = folder / "models"
        self.initialize = initialize
        self.stack = stack
        self.environ: dict[str, str] = {"KIT_RETRIES": "0"}

    def registry(self, auth: Basic | Bearer | None = None) -> Registry:
        return self.stack.enter_context(Registry(auth=auth))

    def program(self, name: str, script: str) -> None:
        """Put a program on the PATH: a fake."""
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        self.environ["PATH"] = f"{path.parent}:{os.environ['PATH']}"

    def misbehaving(self, fault: faults.Fault, kind: str) -> str:
        """Return the URI of a kit in a registry that misbehaves."""
        registry = self.registry(Bearer({}, anonymous=True) if kind == "token" else None)
        registry.inject(fault, kind=kind)
        return registry.add(KIT, "iris", "v1")


SCENES: dict[str, Callable[[Scene], str]] = {}
# What has no variable is tested elsewhere.
FIXED = {
    "room for a line of the log": test_cli_bounds.test_a_run_succeeds_though_nobody_reads_its_log,
    "a reader of the termination message, if that is a pipe": (
        test_cli_bounds.test_a_termination_message_that_nobody_reads_is_not_waited_for
    ),
}


def wait_for(row: str) -> Callable[[Callable[[Scene], str]], Callable[[Scene], str]]:
    """Declare the scene of a row; it returns the URI to initialize."""

    def declare(scene: Callable[[Scene], str]) -> Callable[[Scene], str]:
        SCENES[row] = scene
        return scene

    return declare


@wait_for("a host's address")
def address(scene: Scene) -> str:
    """Give a resolver that never answers: a fake, for the system has but one."""
    (scene.folder / "sitecustomize.py").write_text(
        "import socket, time\nsocket.getaddrinfo = lambda *_, **__: time.sleep(60)\n"
    )
    scene.environ["PYTHONPATH"] = f"{scene.folder}:{os.environ.get('PYTHONPATH', '')}"
    return "kit://r.example/iris:v1"


@wait_for("a connection")
def connection(scene: Scene) -> str:
    return f"kit://{scene.stack.enter_context(full())}/iris:v1"


@wait_for("a proxy's response to CONNECT")
def proxy(scene: Scene) -> str:
    host = scene.stack.enter_context(dripping(b"O", b"HTTP/1.1 200 "))
    scene.environ |= {"KIT_UNPACK_FLAGS": "", "HTTPS_PROXY": f"http://{host}"}
    return "kit://r.example/iris:v1"


@wait_for("a TLS handshake")
def handshake(scene: Scene) -> str:
    scene.environ["KIT_UNPACK_FLAGS"] = ""
    return f"kit://{scene.stack.enter_context(dripping(b''))}/iris:v1"


@wait_for("the status line and all headers of a response")
def head(scene: Scene) -> str:
    return scene.misbehaving(faults.Endless.header(), "manifest")


@wait_for("a token service")
def token(scene: Scene) -> str:
    return scene.misbehaving(faults.Endless.status(), "token")


@wait_for("the next bytes of a body")
def body(scene: Scene) -> str:
    return scene.misbehaving(faults.Stall(), "config")


@wait_for("a chunk's size, or all trailers")
def chunk(scene: Scene) -> str:
    return scene.misbehaving(faults.EndlessTrailers(), "manifest")


@wait_for("a body that comes slowly")
def slow(scene: Scene) -> str:
    return scene.misbehaving(faults.Slices(1, pause=0.05), "config")


@wait_for("a body that begins again")
def again(scene: Scene) -> str:
    registry = scene.registry()
    registry.inject(faults.Cut(after=1_000_000), kind="blob", times=1)
    registry.inject(faults.NoRange(), kind="blob")
    registry.inject(faults.Slices(1, pause=0.05), kind="blob", skip=1)
    scene.environ["KIT_CONCURRENCY"] = "1"
    return registry.add(KIT, "iris", "v1")


@wait_for("a server that asks to try again later")
def later(scene: Scene) -> str:
    del scene.environ["KIT_RETRIES"]
    return scene.misbehaving(faults.Status(503, retry_after="1"), "manifest")


@wait_for("another download of the run, where the registry refuses several at a time")
def turn(scene: Scene) -> str:
    registry = scene.registry()
    registry.inject(faults.Crowded(), kind="blob")
    registry.inject(faults.Bandwidth(200_000), kind="blob")
    recipe = {"manifestVersion": "1.0.0", "package": {}, "model": {"path": "m"}, "docs": [{"path": "d"}]}
    return registry.add(pack({"m": Noise(8_000_000), "d": Noise(8_000_000, seed=2)}, recipe), "iris", "v1")


@wait_for("the signatures of a kit, with a signature policy")
def signatures(scene: Scene) -> str:
    registry = scene.registry()
    registry.inject(faults.Hang(), kind="referrers")
    scene.environ["COSIGN_KEY"] = Key.new().public
    return registry.add(KIT, "iris", "v1")


@wait_for("a credential helper")
def helper(scene: Scene) -> str:
    registry = scene.registry(Basic({"ann": "grey-otter"}))
    scene.program("docker-credential-slow", "exec sleep 60")
    scene.environ["KIT_DOCKER_CONFIG_JSON"] = json.dumps({"credHelpers": {registry.host: "slow"}})
    return registry.add(KIT, "iris", "v1")


@wait_for("a login from a cloud")
def cloud(scene: Scene) -> str:
    registry = scene.registry(Basic({"ann": "grey-otter"}))
    registry.add(KIT, "p/iris", "v1")
    host, port = registry.host.split(":")
    proxy = scene.stack.enter_context(Proxy({"gcr.io": (host, int(port))}))
    metadata = scene.stack.enter_context(dripping(b"H"))
    scene.environ |= {
        "HTTP_PROXY": f"http://{proxy.host}",
        "NO_PROXY": "127.0.0.1",
        "GCP_WIF": "true",
        "GCE_METADATA_HOST": metadata,
    }
    return "kit://gcr.io/p/iris:v1"


@wait_for("another run in the same destination")
def lock(scene: Scene) -> str:
    scene.destination.mkdir()
    handle = os.open(scene.destination, os.O_RDONLY | os.O_DIRECTORY)
    scene.stack.callback(os.close, handle)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return scene.registry().add(KIT, "iris", "v1")


@wait_for("checking the files that are in place")
def in_place(scene: Scene) -> str:
    """Make a file of an earlier run take minutes to read: it is sparse, and the record is changed to fit."""
    uri = scene.registry().add(KIT, "iris", "v1")
    assert scene.initialize(uri, scene.destination).code == 0
    record = scene.destination / ".kit-initializer.json"
    text, count = re.subn(r"\b3000000\b", str(SPARSE), record.read_text())
    assert count == 1
    record.write_text(text)
    os.truncate(scene.destination / "model" / "weights.bin", SPARSE)
    return uri


def _kit(scene: Scene, version: str, other: str) -> str:
    scene.program("kit", f'case "$1" in version) {version};; *) {other};; esac')
    scene.environ["KIT_ENGINE"] = "kit"
    return scene.registry().add(KIT, "iris", "v1")


@wait_for("Kit's version (`KIT_ENGINE=kit`)")
def kit_version(scene: Scene) -> str:
    return _kit(scene, "exec sleep 60", "exit 1")


@wait_for("Kit that writes nothing (`KIT_ENGINE=kit`)")
def kit_silent(scene: Scene) -> str:
    return _kit(scene, "echo Version: 1.7.0", "exec sleep 60")


@wait_for("Kit that keeps writing (`KIT_ENGINE=kit`)")
def kit_busy(scene: Scene) -> str:
    return _kit(scene, "echo Version: 1.7.0", 'while :; do echo more >> "$HOME/x"; sleep 0.1; done')


@pytest.fixture
def scene(tmp_path: Path, initialize: Command) -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        yield Scene(tmp_path, initialize, stack)


def test_every_row_has_a_test() -> None:
    assert sorted(row.wait for row in rows()) == sorted([*SCENES, *FIXED])


@pytest.mark.parametrize("row", [row for row in rows() if row.variable != "fixed"], ids=lambda row: row.wait)
def test_a_wait_ends_by_its_variable(row: Row, scene: Scene) -> None:
    uri = SCENES[row.wait](scene)
    run = scene.initialize(uri, scene.destination, env=scene.environ | {row.variable: "1"}, timeout=60)
    assert str(run.code) == row.code, run.lines
    assert run.message == run.last
    if row.variable != "KIT_RETRIES":
        assert f"{row.variable} (now 1 s), for example to 2" in run.last, run.lines


@pytest.mark.parametrize("row", [row for row in rows() if row.variable != "fixed"], ids=lambda row: row.wait)
def test_a_signal_ends_every_wait(row: Row, scene: Scene) -> None:
    uri = SCENES[row.wait](scene)
    process = scene.initialize.start(uri, scene.destination, env=scene.environ)
    assert process.stderr is not None
    assert process.stderr.readline()  # it has started: what it resolves, or that it waits for another run
    time.sleep(0.5)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    run = process.end()
    assert (run.code, run.message.startswith("stopped by SIGTERM")) == (143, True), run.lines
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("row", [row for row in rows() if row.variable != "fixed"], ids=lambda row: row.wait)
def test_the_limit_of_the_run_ends_every_wait(row: Row, scene: Scene) -> None:
    uri = SCENES[row.wait](scene)
    run = scene.initialize(uri, scene.destination, env=scene.environ | {"KIT_TOTAL_TIMEOUT": "1"}, timeout=60)
    assert (run.code, "KIT_TOTAL_TIMEOUT (now 1 s), for example to 2" in run.last) == (5, True), run.lines
    assert run.seconds < 15
