"""What the core's tests share: the command as a process, what a folder holds, and how a process dies."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from initializer.tests import clients
from initializer.tests.unpacking import Unpacker
from kit_conformance.testbed.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kit_conformance.testbed.kits import ModelKit
    from kit_initializer.registry import Registry as Client
    from kit_initializer.registry import Repository

RECORD = ".kit-initializer.json"
# What every password and token in these tests begins with, and where the command is given secrets by name.
CANARY = "canary-5e1c"
SECRETS = ("KIT_PASSWORD", "KIT_DOCKER_CONFIG_JSON", "STORAGE_CONFIG")
DOOM = Path(__file__).parent / "doom.py"


class Run(NamedTuple):
    """How one run of the command ended.

    `said` are all lines of its log, `lines` those but for what is being resolved; `message` is the termination message.
    """

    code: int
    said: list[str]
    message: str
    seconds: float

    @property
    def lines(self) -> list[str]:
        """What came of it, line by line."""
        return [
            line
            for line in self.said
            if not line.partition('"message": "')[2].startswith("resolving ")
            and not line.startswith("resolving ")
        ]

    @property
    def last(self) -> str:
        """The last line of the log, where the cause of a failure stands."""
        return self.lines[-1] if self.lines else ""


class Process(subprocess.Popen[str]):
    """The command under way."""

    def __init__(self, arguments: list[str], environ: Mapping[str, str], message: Path) -> None:
        self._message = message
        self._secrets = [environ[name].strip() for name in SECRETS if len(environ.get(name, "").strip()) > 4]
        self._began = time.monotonic()
        super().__init__(arguments, env=environ, stderr=subprocess.PIPE, text=True)

    def end(self, timeout: float = 30) -> Run:
        """Wait for the end; a traceback in the log is a failure whatever was expected."""
        try:
            _, text = self.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            _, text = self.communicate()
            pytest.fail(f"still running after {timeout} s; it said:\n{text}")
        assert "Traceback" not in text, text
        message = self._message.read_text(encoding="utf-8") if self._message.exists() else ""
        for secret in [CANARY, *self._secrets]:  # whatever a test is about, no secret is ever shown
            assert secret not in text + message, "a secret is shown"
        return Run(self.returncode, text.splitlines(), message, time.monotonic() - self._began)


class Command:
    """`python -m kit_initializer` with an environment of its own: no HOME, plain HTTP, and what a test adds."""

    def __init__(self, folder: Path) -> None:
        self.message = folder / "termination-log"
        self._running: list[Process] = []

    def environ(self, more: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a run; what coverage measures subprocesses by is passed on."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in {"PATH", "PYTHONPATH"} or name.startswith("COVERAGE")
        }
        plain = {"KIT_UNPACK_FLAGS": "--plain-http", "KIT_TERMINATION_LOG": str(self.message)}
        return {name: value for name, value in {**kept, **plain, **more}.items() if value}

    def start(
        self, *arguments: str | Path, doom: str = "", env: Mapping[str, str] | None = None, **environ: str
    ) -> Process:
        """Start a run; `doom` ends it at a system call (doom.py). A variable set to "" is not set at all."""
        self.message.unlink(missing_ok=True)
        before = [str(DOOM), doom] if doom else ["-m", "kit_initializer"]
        command = [sys.executable, *before, *map(str, arguments)]
        process = Process(command, self.environ({**environ, **(env or {})}), self.message)
        self._running.append(process)
        return process

    def __call__(
        self,
        *arguments: str | Path,
        doom: str = "",
        timeout: float = 30,
        env: Mapping[str, str] | None = None,
        **environ: str,
    ) -> Run:
        """Run to the end."""
        return self.start(*arguments, doom=doom, env=env, **environ).end(timeout)

    def close(self) -> None:
        """End what is still running."""
        for process in self._running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.communicate()


def failed(run: Run, code: int, slug: str, *words: str) -> None:
    """Assert that a run failed with this code and said why, in its last line and in the termination message."""
    assert (run.code, run.last.partition(":")[0]) == (code, slug), run.lines
    assert len([line for line in run.lines if line.startswith(f"{slug}: ")]) == 1, run.lines
    assert run.message == run.last
    for word in words:
        assert word in run.last


@pytest.fixture(autouse=True)
def _no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the secrets of other tests: a process strikes out all that it ever held, and these share one."""
    monkeypatch.setattr("kit_initializer.secret._held", set())


@pytest.fixture
def initialize(tmp_path: Path) -> Iterator[Command]:
    """Give the command, with its termination message beside the test's folders."""
    command = Command(tmp_path)
    yield command
    command.close()


@pytest.fixture
def registry() -> Iterator[Registry]:
    """Give a registry without a login."""
    with Registry() as registry:
        yield registry


@pytest.fixture
def client() -> Iterator[Client]:
    with clients.connected() as client:
        yield client


@pytest.fixture
def repository(registry: Registry, client: Client) -> Repository:
    registry.add(clients.KIT, "k", "v1")
    return client.repository(registry.host, "k")


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    """Where kits go: not there yet."""
    return tmp_path / "mnt" / "models"


class Content(NamedTuple):
    """A file as it is on disk: comparable with what the packer says of it."""

    size: int
    sha256: str
    mode: int


def content(folder: Path) -> dict[str, Content]:
    """Return every file below a folder; links and other things are failures."""
    found = {}
    for path in folder.rglob("*"):
        assert not path.is_symlink(), path
        if path.is_file():
            body = path.read_bytes()
            found[path.relative_to(folder).as_posix()] = Content(
                len(body), hashlib.sha256(body).hexdigest(), path.stat().st_mode & 0o7777
            )
        else:
            assert path.is_dir(), path
    return found


class Trees:
    """What folders hold and should hold."""

    @staticmethod
    def content(folder: Path) -> dict[str, Content]:
        """Return every file below a folder."""
        return content(folder)

    @staticmethod
    def check(
        folder: Path, kit: ModelKit, also: Mapping[str, bytes] | None = None, *, kitfile: bool = True
    ) -> None:
        """Assert that the folder holds exactly the kit, a Kitfile and a record, and `also`: the foreign files.

        Modes are 0644 and 0755, or more permissive for files that the kit has executable.
        """
        found = content(folder)
        assert found.pop(RECORD).mode == 0o644
        if kitfile:
            assert found.pop("Kitfile").mode == 0o644
        expected = {
            path: Content(fact.size, fact.sha256, 0o755 if fact.mode & 0o111 else 0o644)
            for path, fact in kit.files.items()
        }
        for path, body in (also or {}).items():
            assert found.pop(path)[:2] == (len(body), hashlib.sha256(body).hexdigest()), path
        assert found == expected
        Trees.no_staging(folder)
        kept = {parent for path in also or {} for parent in Path(path).parents}
        for each in folder.rglob("*"):
            if each.is_dir() and each.relative_to(folder) not in kept:
                assert each.stat().st_mode & 0o7777 == 0o755, each

    @staticmethod
    def no_staging(folder: Path) -> None:
        """Assert that nothing of an unfinished run is left."""
        assert not list(folder.glob(".kit-staging-*"))

    @staticmethod
    def nothing_in(folder: Path) -> None:
        """Assert that the folder is empty, or not there."""
        assert not folder.exists() or not list(folder.iterdir())


@pytest.fixture
def unpacker(tmp_path: Path) -> Unpacker:
    """Unpack layers into a folder of the test."""
    return Unpacker(tmp_path / "tree")


@pytest.fixture
def trees() -> Trees:
    """Comparisons of folders."""
    return Trees()
