"""What every kind of subject is: something that runs once, with arguments, an environment and a volume."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kit_conformance.subject.config import Config

# KServe and Kubernetes put these into every init container, whatever it is.
ALWAYS: Final[Mapping[str, str]] = {
    "HF_HUB_ENABLE_HF_TRANSFER": "1",
    "HF_XET_HIGH_PERFORMANCE": "1",
    "HF_XET_NUM_CONCURRENT_RANGE_GETS": "8",
    "KUBERNETES_SERVICE_HOST": "10.96.0.1",
    "KUBERNETES_SERVICE_PORT": "443",
    "KUBERNETES_PORT": "tcp://10.96.0.1:443",
}
# A user id as OpenShift gives them: in no image's passwd file.
SOME_UID: Final = 1000870000
_VERSION: Final = re.compile(r"\bv?(\d+\.\d+(?:\.\d+)?\S*)")


class SubjectError(Exception):
    """The subject cannot be had, or cannot be run at all: a fault of the set-up, not of the subject."""


class CannotError(SubjectError):
    """What a case wants cannot be arranged with this kind of subject, or on this machine."""


class UnavailableError(CannotError):
    """What a case wants can never be arranged with this kind of subject: the case does not apply to it."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A directory of ours that the subject sees at `inside`, as a pod sees an emptyDir."""

    host: Path
    inside: str

    def seen(self, path: Path) -> str:
        """Return what the subject calls a path of ours."""
        tail = path.relative_to(self.host).as_posix()
        return self.inside if tail == "." else f"{self.inside}/{tail}"


@dataclass(frozen=True)
class Invocation:
    """One run: words after the command, the whole environment, and how hard its life is to be.

    `folder` is the run's own: files that the environment names, a home, the termination message ("message").
    `uid` None leaves the user as it is. `only_volumes` makes everything but the volumes unwritable. `memory`
    (bytes) is a limit where there can be one, and otherwise what the measured peak is held against.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    volumes: tuple[Volume, ...]
    folder: Path
    uid: int | None = None
    only_volumes: bool = False
    open_files: int | None = None
    umask: int = 0o022
    memory: int | None = None


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `code` is None when it had to be stopped after `seconds`; -N is signal N."""

    code: int | None
    seconds: float
    output: str
    message: str
    peak: int = 0

    @property
    def log(self) -> str:
        """Return what Kubernetes falls back to where there is no message: 80 lines, 2,048 bytes."""
        return "\n".join(self.output.splitlines()[-80:]).encode()[-2048:].decode(errors="replace")


class Process(Protocol):
    """A subject that runs."""

    def wait(self, seconds: float) -> Outcome:
        """Wait for the end, at most so long, then stop it; everything that it started ends too."""

    def signal(self, number: int) -> None:
        """Send a signal to the main process, as a kubelet does; SIGKILL ends the whole container."""

    def alive(self) -> bool:
        """Say whether it runs still."""


@dataclass(frozen=True)
class Identity:
    """What was really tested. `digest` is the image's, or that of what the command runs."""

    given: str
    kind: str
    name: str
    digest: str = ""
    version: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


class Subject(Protocol):
    """A subject, ready to be run any number of times, from several processes."""

    config: Config
    confines: bool  # every run is as hard as it gets: any uid, nothing writable but the volumes
    address: str  # where registries must listen for the subject to reach them

    @property
    def identity(self) -> Identity:
        """Say what is tested."""

    def volume(self, folder: Path) -> Volume:
        """Make a directory of ours into what a pod would mount for the model."""

    def seen(self, path: Path, folder: Path) -> str:
        """Return what the subject calls a file of a run's own `folder`."""

    def start(self, invocation: Invocation) -> Process:
        """Start one run."""

    def close(self) -> None:
        """Let go of what was opened."""


def version_in(text: str) -> str:
    """Return the first thing that looks like a version, "" if nothing does."""
    found = _VERSION.search(text)
    return found[1] if found else ""
