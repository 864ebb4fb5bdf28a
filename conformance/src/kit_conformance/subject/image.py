"""A container image as the subject, run as a strict cluster runs it.

The root is read-only, the user is one that no image knows, in group 0, without capabilities, with a limit on
memory. Nothing can be written but the model's volume, the termination message and a home where the subject's
configuration asks for one.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from kit_conformance.subject.base import SOME_UID, Identity, Invocation, Outcome, SubjectError, Volume

if TYPE_CHECKING:
    from pathlib import Path

    from kit_conformance.subject.config import Config

_MODELS: Final = "/mnt/models"
_FILES: Final = "/conformance"
_MEMORY: Final = 512 * 1024 * 1024  # bytes, where a case asks for nothing else
_PIDS: Final = 256
_TIMEOUT: Final = 60  # seconds for the engine to answer
_SAMPLE: Final = 0.02


class ImageSubject:
    """An image of a container engine that speaks Docker's API (DOCKER_HOST, or the default socket)."""

    confines = True

    def __init__(self, name: str, config: Config) -> None:
        try:
            import docker  # noqa: PLC0415  (an extra)
        except ImportError as error:
            raise SubjectError("image: needs docker's client: install kit-conformance[image]") from error
        self.config = config
        self._docker = docker
        self._name = name
        try:
            self._client = docker.from_env(timeout=_TIMEOUT)
            self._image = self._client.images.get(name)
        except docker.errors.ImageNotFound as error:
            raise SubjectError(f"there is no image {name} here: pull or build it first") from error
        except docker.errors.DockerException as error:
            raise SubjectError(f"no container engine answers: {error}") from error
        self.address = "127.0.0.1" if config.network == "host" else self._gateway()

    def _gateway(self) -> str:
        """Return the address by which containers reach this machine over the default bridge."""
        settings = self._client.networks.get("bridge").attrs["IPAM"]["Config"]
        found = next((each["Gateway"] for each in settings if "Gateway" in each), "")
        if not found:
            raise SubjectError("the engine's bridge has no gateway: use network: host")
        return str(found)

    @property
    def identity(self) -> Identity:
        attributes = self._image.attrs
        digests = attributes.get("RepoDigests") or []
        labels = (attributes.get("Config") or {}).get("Labels") or {}
        details = {
            "image": self._name,
            "repository_digests": digests,
            "platform": f"{attributes.get('Os')}/{attributes.get('Architecture')}",
            "bytes": attributes.get("Size"),
        }
        version = str(labels.get("org.opencontainers.image.version", ""))
        return Identity(
            f"image:{self._name}", "image", self.config.name, str(self._image.id), version, details
        )

    def volume(self, folder: Path) -> Volume:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
        return Volume(
            folder, _MODELS if folder.name == "volume-1" else f"{_MODELS}-{folder.name.rpartition('-')[2]}"
        )

    def seen(self, path: Path, folder: Path) -> str:
        if path.name == "message":
            return "/dev/termination-log"
        return f"{_FILES}/{path.relative_to(folder).as_posix()}"

    def start(self, invocation: Invocation) -> Container:
        message = invocation.folder / "message"
        message.touch()
        message.chmod(0o666)
        for path in invocation.folder.rglob("*"):
            if path.name != "no-home":
                path.chmod(0o777 if path.is_dir() else 0o666 if path == message else 0o644)
        invocation.folder.chmod(0o755)
        binds = {
            str(message): {"bind": "/dev/termination-log", "mode": "rw"},
            str(invocation.folder): {"bind": _FILES, "mode": "ro"},
            str(invocation.folder / "home"): {"bind": f"{_FILES}/home", "mode": "rw"},
            **{str(each.host): {"bind": each.inside, "mode": "rw"} for each in invocation.volumes},
        }
        limit = invocation.memory or _MEMORY
        files = invocation.open_files
        limits = [self._docker.types.Ulimit(name="nofile", soft=files, hard=files)] if files else []
        try:
            container = self._client.containers.create(
                str(self._image.id),
                list(invocation.arguments),
                environment=dict(invocation.environment),
                volumes=binds,
                network_mode=self.config.network,
                user=f"{self.user}:0",
                read_only=True,
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                mem_limit=limit,
                memswap_limit=limit,
                pids_limit=_PIDS,
                ulimits=limits,
                stdin_open=False,
            )
            container.start()
        except self._docker.errors.DockerException as error:
            raise SubjectError(f"the container cannot be started: {error}") from error
        return Container(container, message)

    @property
    def user(self) -> int:
        """Return the user of all runs: one that no image knows.

        Where we are not root it is our own, or nobody could remove what it writes.
        """
        return SOME_UID if os.geteuid() == 0 else os.geteuid()

    def close(self) -> None:
        self._client.close()


@dataclass
class Container:
    """A container under way."""

    container: Any
    message: Path
    begun: float = field(default_factory=time.monotonic)

    def alive(self) -> bool:
        self.container.reload()
        return bool(self.container.status == "running")

    def signal(self, number: int) -> None:
        with contextlib.suppress(Exception):  # it may have ended by itself
            self.container.kill(signal=number)

    def wait(self, seconds: float) -> Outcome:
        try:
            code = self._wait(seconds)
            took = time.monotonic() - self.begun
            output = self.container.logs(tail=4000).decode("utf-8", "replace")
        finally:
            with contextlib.suppress(Exception):  # nothing else can be done about it
                self.container.remove(force=True)
        return Outcome(code, took, output, self.message.read_text("utf-8", "replace"))

    def _wait(self, seconds: float) -> int | None:
        """Return the exit code; as a process's, it is negative when a signal has ended it."""
        while self.alive():
            if time.monotonic() - self.begun > seconds:
                self.signal(9)
                return None
            time.sleep(_SAMPLE)
        code = int(self.container.attrs["State"]["ExitCode"])
        return -9 if code == 137 else code
