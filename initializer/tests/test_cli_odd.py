"""No input ends in exit code 70: odd bytes at every edge where a user, an administrator or a node gives some."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from initializer.tests.destinations import KIT
from kit_conformance.testbed.kits import pack
from kit_conformance.testbed.registry import Basic, Registry
from kit_initializer.settings.variables import VARIABLES

if TYPE_CHECKING:
    from initializer.tests.conftest import Command

NAMES = pack({"model/é": b"1", "model/名": b"2"}, {"manifestVersion": "1.0.0", "model": {"path": "model"}})
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ODD = [
    b"\xff\xfe\x1b[2J",
    b"\xef\xbb\xbf\xed\xa0\x80",
    b"[" * 100_000,
    b'{"a": "\\ud800"}',
    b"http://\xff:\xfe@127.0.0.1:9/",
    b"9" * 400,
]
# Those that are about the process itself, and would only show what Python or the system makes of them.
NOT_OURS = {"PATH", "HOME", "KIT_TERMINATION_LOG"}
DOCUMENTED = {0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}


def outcome(command: Command, uri: str, folder: Path, environ: dict[str, bytes]) -> tuple[int, str]:
    """Run with an environment of bytes."""
    base = {os.fsencode(name): os.fsencode(value) for name, value in command.environ({}).items()}
    full = {**base, **{os.fsencode(name): value for name, value in environ.items()}}
    arguments = [sys.executable, "-m", "kit_initializer", uri, str(folder)]
    done = subprocess.run(arguments, env=full, capture_output=True, timeout=60, check=False)
    return done.returncode, done.stderr.decode(errors="replace")


@pytest.mark.parametrize("name", [each.name for each in VARIABLES if each.name not in NOT_OURS])
def test_odd_bytes_in_a_variable(name: str, initialize: Command, tmp_path: Path) -> None:
    """The registry wants a login, so that every source of one is asked; what succeeds has brought the kit."""
    quick = {"KIT_RETRIES": b"0", "KIT_CONNECT_TIMEOUT": b"2"}
    if not any(word in name for word in ("CONFIG", "USER", "PASSWORD")):
        quick |= {"KIT_USER": b"ann", "KIT_PASSWORD": b"pw"}
    with Registry(auth=Basic({"ann": "pw"})) as registry:
        uri = registry.add(KIT, "k", "v1")
        for number, value in enumerate(ODD):
            folder = tmp_path / str(number)
            code, log = outcome(initialize, uri, folder, {**quick, name: value})
            assert code in DOCUMENTED, (value[:20], code, log)
            assert "Traceback" not in log
            assert (folder / "model/config.json").exists() is (code == 0), (value[:20], log)


@pytest.mark.parametrize("locale", [ASCII, {**ASCII, "LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii"}])
def test_a_locale_without_utf_8(
    locale: dict[str, str], registry: Registry, initialize: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "ü"
    run = initialize(registry.add(NAMES, "k", "v1"), folder, env=locale)
    assert run.code == 0, run.lines
    assert sorted(os.listdir(os.fsencode(folder / "model"))) == ["é".encode(), "名".encode()]


@pytest.mark.parametrize(
    "source", ["kit://\udcff.example/m:v1", "kit://r.example/\udc80:v1", "\udcff", "kit://\x1b[2J"]
)
def test_odd_bytes_in_an_argument(source: str, initialize: Command, destination: Path) -> None:
    assert outcome(initialize, source, destination, {})[0] == 2


def test_a_destination_with_odd_bytes(registry: Registry, initialize: Command, tmp_path: Path) -> None:
    folder = tmp_path / "\udcff\x1b"
    code, log = outcome(initialize, registry.add(KIT, "k", "v1"), folder, {})
    assert code == 0, log
    assert (folder / "model/config.json").exists()


# Another user may not be let in where modules are: all that is wanted is loaded before.
WITHOUT_THREADS = """
import hashlib, os, resource, sys
from kit_initializer import cli
os.setgroups([]); os.setgid(4242); os.setuid(4242)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
os._exit(cli.main(sys.argv[1:], os.environ))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a limit of threads is one of a user, and root has none")
def test_no_threads_to_be_had(registry: Registry, initialize: Command) -> None:
    place = Path(tempfile.mkdtemp(prefix="threads-", dir="/tmp"))  # pytest's own folders are closed to others
    place.chmod(0o777)
    environ = initialize.environ({"KIT_TERMINATION_LOG": "/dev/null", "PYTHONDONTWRITEBYTECODE": "1"})
    environ = {name: value for name, value in environ.items() if not name.startswith("COVERAGE")}
    command = [sys.executable, "-c", WITHOUT_THREADS, registry.add(KIT, "k", "v1"), f"{place}/d"]
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2, done.stderr
        assert "the container may have no more threads" in done.stderr
        assert list(place.rglob("weights.bin")) == []
    finally:
        shutil.rmtree(place)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_early_signal_is_no_traceback(number: signal.Signals, initialize: Command, tmp_path: Path) -> None:
    """At whatever moment of the start it comes; the interpreter's own start is the interpreter's."""
    for delay in range(12):
        environ = {**initialize.environ({}), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "kit_initializer", "kit://127.0.0.1:1/k:v1", str(tmp_path / "d")]
        process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
        try:
            process.wait(0.005 * delay)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        _, log = process.communicate(timeout=60)
        assert process.returncode != 70, log
        assert "bug:" not in log
