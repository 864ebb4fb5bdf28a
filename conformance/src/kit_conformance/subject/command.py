"""A command of this machine as the subject."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kit_conformance.subject import confine, program
from kit_conformance.subject.base import (
    CannotError,
    Identity,
    Invocation,
    Outcome,
    SubjectError,
    Volume,
    version_in,
)

if TYPE_CHECKING:
    from kit_conformance.subject.config import Config

_SAMPLE: Final = 0.005  # seconds between two looks at the memory
_OUTPUT: Final = 256 * 1024  # bytes of output that are kept: the end of it
_VERSION_SECONDS: Final = 20.0


class CommandSubject:
    """A command, run directly, in an environment of its own. `kit` is a Kit binary that shall be on its PATH."""

    confines = False
    address = "127.0.0.1"

    def __init__(self, text: str, config: Config, *, kit: str = "") -> None:
        self.config = config
        try:
            self._command = shlex.split(text)
        except ValueError as error:
            raise SubjectError(f"{text!r} is no command: {error}") from error
        found = shutil.which(self._command[0])
        if found is None:
            raise SubjectError(f"there is no command {self._command[0]!r} here")
        self._command[0] = os.path.abspath(found)
        self._given = f"command:{text}"
        self._kit = kit

    @cached_property
    def identity(self) -> Identity:
        """Say what the command is: the digest of what it runs, and the version that it tells of itself."""
        try:
            found = program.identify(self._command, self._base())
        except OSError as error:
            raise SubjectError(f"{self._command[0]} cannot be read: {error}") from error
        details = {"command": list(self._command), **found.details}
        version = self._version() or found.version
        return Identity(self._given, "command", self.config.name, found.digest, version, details)

    def _version(self) -> str:
        if not self.config.version:
            return ""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(  # noqa: S603  (the subject itself)
                [*self._command, *self.config.version],
                env={**self._base(), "HOME": os.environ.get("HOME", "/")},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_VERSION_SECONDS,
                check=False,
            )
            return version_in(done.stdout.decode(errors="replace"))
        return ""

    def _base(self) -> dict[str, str]:
        path = os.environ.get("PATH", os.defpath)
        inherited = {name: os.environ[name] for name in self.config.inherit if name in os.environ}
        return {"PATH": f"{Path(self._kit).parent}{os.pathsep}{path}" if self._kit else path, **inherited}

    def volume(self, folder: Path) -> Volume:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)  # as an emptyDir is
        return Volume(folder, str(folder))

    def seen(self, path: Path, folder: Path) -> str:
        del folder
        return str(path)

    def start(self, invocation: Invocation) -> Running:
        command = [*self._command, *invocation.arguments]
        wishes = _wishes(invocation)
        if wishes:
            launcher = [sys.executable, "-I", "-S", confine.__file__, json.dumps(wishes)]
            command = [*launcher, *command]
        message = invocation.folder / "message"
        message.touch()
        output = invocation.folder / "output"
        with output.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603  (the subject itself)
                command,
                env={**self._base(), **invocation.environment},
                cwd=invocation.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=invocation.umask,
            )
        running = Running(process, output, message, confined=bool(wishes))
        if invocation.memory is not None:
            running.watch()
        return running

    def close(self) -> None:
        """Nothing is open."""


def _wishes(invocation: Invocation) -> dict[str, object]:
    wishes: dict[str, object] = {}
    if invocation.uid is not None:
        wishes["uid"] = invocation.uid
    if invocation.only_volumes:
        wishes["writable"] = [
            *(str(volume.host) for volume in invocation.volumes),
            str(invocation.folder / "message"),
        ]
    if invocation.open_files is not None:
        wishes["open_files"] = invocation.open_files
    return wishes


@dataclass
class Running:
    """A command under way, with its whole process group."""

    process: subprocess.Popen[bytes]
    output: Path
    message: Path
    confined: bool
    begun: float = field(default_factory=time.monotonic)
    peak: int = 0

    def watch(self) -> None:
        """Note the largest memory that any process of the group holds, until the command ends.

        The kernel's own account (ru_maxrss) begins with the memory of the process that forked, which is us.
        """

        def look() -> None:
            while self.process.poll() is None:
                self.peak = max(self.peak, sum(_resident(pid) for pid in _group(self.process.pid)))
                time.sleep(_SAMPLE)

        threading.Thread(target=look, name="memory", daemon=True).start()

    def alive(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: int) -> None:
        if number == signal.SIGKILL:
            self._end()
        elif self.alive():
            self.process.send_signal(number)

    def wait(self, seconds: float) -> Outcome:
        code: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self.process.wait(max(0.0, self.begun + seconds - time.monotonic()))
        took = time.monotonic() - self.begun
        self._end()
        text = _tail(self.output)
        if self.confined and code == confine.CANNOT and text.startswith(confine.MARK):
            raise CannotError(text.strip())
        return Outcome(code, took, text, self.message.read_text("utf-8", "replace"), self.peak)

    def _end(self) -> None:
        """Kill all that is left of the group, as the end of a container's main process does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _OUTPUT))
        return file.read().decode("utf-8", "replace")


def _group(leader: int) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if os.getpgid(int(entry)) == leader:
                    found.append(int(entry))
    return found


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
