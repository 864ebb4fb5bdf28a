"""An init container of a cluster as the subject: what KServe makes of an initializer, in a strict namespace.

Each run is a pod whose init container, called storage-initializer, is the subject's image: read-only root, a
user that no image knows in group 0, no capabilities, no privilege escalation, a limit on memory, no service
account token. The registries run in this process, on an address that pods reach: by default that of this
machine on the way to the node, which is right for kind and its like.
"""

from __future__ import annotations

import contextlib
import http.server
import os
import secrets
import socket
import threading
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kit_conformance.subject import node as nodes
from kit_conformance.subject.base import (
    SOME_UID,
    CannotError,
    Identity,
    Invocation,
    Outcome,
    SubjectError,
    UnavailableError,
    Volume,
    version_in,
)
from kit_conformance.testbed.pods import container_security, pod_security

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Iterator

    from kit_conformance.subject.config import Config

_NAME: Final = "storage-initializer"  # as KServe calls it, whatever the image
_MODELS: Final = "/mnt/models"
_FILES: Final = "/conformance"
_MEMORY: Final = 512 * 1024 * 1024  # bytes, where a case asks for nothing else
_SAMPLE: Final = 0.1  # seconds between two looks at a pod
_KILLED: Final = 137
_HINT: Final = "install kit-conformance[cluster]"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Which cluster, where its pods reach this machine ("" finds out), and the helper's image."""

    context: str = ""
    address: str = ""
    helper: str = ""


class PodSubject:
    """An image as init container in the cluster of a kubeconfig's context."""

    confines = True

    def __init__(self, name: str, config: Config, cluster: Cluster) -> None:
        try:
            import kubernetes  # noqa: PLC0415  (an extra)
        except ImportError as error:
            raise SubjectError(f"pod: needs Kubernetes' client: {_HINT}") from error
        self.config = config
        self._name = name
        self._errors = kubernetes.client.ApiException
        try:
            client = kubernetes.config.new_client_from_config(  # type: ignore[no-untyped-call]
                context=cluster.context or None
            )
            host, node = _node(kubernetes.client.CoreV1Api(client).list_node().items)
        except kubernetes.config.ConfigException as error:
            raise SubjectError(f"there is no such context in the kubeconfig: {error}") from error
        except self._errors as error:
            raise SubjectError(f"the cluster does not list its nodes: {error.reason}") from error
        except Exception as error:  # urllib3's, of which we know nothing here
            raise SubjectError(f"no cluster answers: {error}") from error
        self.address = cluster.address or _way_to(node)
        self.node = nodes.Node(client, host, cluster.helper)
        self._stamps: dict[Path, nodes.Stamp] = {}
        self._owners: dict[Path, dict[str, tuple[int, int]]] = {}

    @cached_property
    def identity(self) -> Identity:
        """Say which image runs; a pod of it is started to see, and a registry is asked for from the cluster."""
        self.node.up()
        self._reached()
        pod = self._create(Invocation(self.config.version, {}, (), Path(os.devnull)))
        try:
            status = pod.ended(time.monotonic() + nodes.READY_SECONDS)
            said = self.node.log(pod.name, _NAME) if self.config.version else ""
        finally:
            self.node.remove(pod.name)
        image_id = str(status.image_id or "") if status else ""
        details = {"image": self._name, "image_id": image_id, "node": self.node.name}
        digest = image_id[image_id.find("sha256:") :] if "sha256:" in image_id else ""
        return Identity(f"pod:{self._name}", "pod", self.config.name, digest, version_in(said), details)

    def _reached(self) -> None:
        with _listening(self.address) as url:
            if self.node.reaches(url) is False:
                raise SubjectError(
                    f"pods do not reach {url}: say with --address which address of this machine they reach"
                )

    def volume(self, folder: Path) -> Volume:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)  # as an emptyDir is
        number = folder.name.rpartition("-")[2]
        return Volume(folder, _MODELS if number == "1" else f"{_MODELS}-{number}")

    def seen(self, path: Path, folder: Path) -> str:
        if path.name == "message":
            return "/dev/termination-log"
        return f"{_FILES}/{path.relative_to(folder).as_posix()}"

    def start(self, invocation: Invocation) -> Run:
        if invocation.open_files is not None:
            raise UnavailableError("a pod has the limit on open files that its runtime has")
        self.node.up()
        for each in invocation.volumes:
            self._push(each.host)
        files = nodes.archive(invocation.folder, _readable)
        self.node.put(files, self._place(invocation.folder), fresh=False)
        return self._create(invocation)

    def close(self) -> None:
        self.node.close()

    # folders, here and there

    def _place(self, folder: Path) -> str:
        return f"{self.node.base}/{folder.parent.name}/{folder.name}"

    def _push(self, folder: Path) -> None:
        """Bring the node's folder up to date with ours, unless nobody has changed that since it was read."""
        found = nodes.stamp(folder)
        if found == self._stamps.get(folder):
            return
        owners = self._owners.get(folder, {})

        def own(entry: tarfile.TarInfo) -> tarfile.TarInfo:
            entry.uid, entry.gid = owners.get(entry.name, (0, 0))
            return entry

        self.node.put(nodes.archive(folder, own), self._place(folder), fresh=True)
        self._stamps[folder] = found

    def pull(self, invocation: Invocation) -> None:
        """Bring our folders up to date with the node's: the volumes, and the home."""
        names = [*(each.host.name for each in invocation.volumes)]
        if (invocation.folder / "home").is_dir():
            names.append(f"{invocation.folder.name}/home")
        if not names:
            return
        parent = invocation.folder.parent
        owners = nodes.extract(self.node.get(f"{self.node.base}/{parent.name}", names), parent, names)
        for each in invocation.volumes:
            prefix = each.host.name
            self._owners[each.host] = {
                "." + path.removeprefix(prefix): whose
                for path, whose in owners.items()
                if path == prefix or path.startswith(f"{prefix}/")
            }
            self._stamps[each.host] = nodes.stamp(each.host)

    # pods

    def _create(self, invocation: Invocation) -> Run:
        name = f"run-{secrets.token_hex(5)}"
        try:
            self.node.create(self._pod(name, invocation))
        except self._errors as error:
            raise SubjectError(f"the pod was refused: {error.reason} {str(error.body)[:300]}") from error
        return Run(self, name, invocation)

    def _pod(self, name: str, invocation: Invocation) -> dict[str, Any]:
        folders = [(each.inside, each.host, "", False) for each in invocation.volumes]
        if invocation.folder.is_dir():
            folders.append((_FILES, invocation.folder, "", True))
            folders.append((f"{_FILES}/home", invocation.folder, "home", False))
        mounts, volumes = [], []
        for number, (inside, folder, below, fixed) in enumerate(folders):
            path = f"{self._place(folder)}/{below}".rstrip("/")
            volumes.append({"name": f"v{number}", "hostPath": {"path": path, "type": "Directory"}})
            mounts.append({"name": f"v{number}", "mountPath": inside, "readOnly": fixed})
        container = {
            "name": _NAME,
            "image": self._name,
            "imagePullPolicy": "IfNotPresent",
            "args": [_literal(word) for word in invocation.arguments],
            "env": [{"name": key, "value": _literal(value)} for key, value in invocation.environment.items()],
            "volumeMounts": mounts,
            "resources": {
                "requests": {"cpu": "10m", "memory": "16Mi"},
                "limits": {"memory": str(invocation.memory or _MEMORY)},
            },
            "securityContext": container_security(),
        }
        nothing = {"name": "server", "image": self.node.helper, "command": ["sh", "-c", "exit 0"]}
        return {
            "metadata": {"name": name},
            "spec": {
                "nodeName": self.node.name,
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "tolerations": [{"operator": "Exists"}],
                "securityContext": pod_security(runAsUser=self.user, runAsGroup=0),
                "initContainers": [container],
                "containers": [nothing],
                "volumes": volumes,
            },
        }

    @property
    def user(self) -> int:
        """Return the user of all runs: one that no image knows."""
        return SOME_UID


@dataclass
class Run:
    """A pod under way."""

    subject: PodSubject
    name: str
    invocation: Invocation
    begun: float = 0.0
    _last: float = field(default=0.0, repr=False)

    def _status(self) -> Any:  # noqa: ANN401  (an extra's)
        """Return the init container's status, None before there is one. Raises SubjectError if there never is."""
        try:
            pod = self.subject.node.pod(self.name)
        except Exception as error:
            raise SubjectError(f"the pod cannot be seen any more: {error}") from error
        found = next(iter(pod.status.init_container_statuses or ()), None)
        if found is None or (found.state.terminated is None and found.state.running is None):
            nodes.trouble(pod)
        elif not self.begun:
            self.begun = time.monotonic()
        return found

    def ended(self, until: float) -> Any:  # noqa: ANN401  (an extra's)
        """Wait for the container's end and return its status, or None if that takes too long."""
        while True:
            found = self._status()
            if found is not None and found.state.terminated is not None:
                return found
            if time.monotonic() > until:
                return None
            time.sleep(_SAMPLE)

    def alive(self) -> bool:
        found = self._status()
        time.sleep(max(0.0, _SAMPLE - (time.monotonic() - self._last)))  # cases ask in a loop
        self._last = time.monotonic()
        return found is None or found.state.terminated is None

    def signal(self, number: int) -> None:
        deadline = time.monotonic() + nodes.READY_SECONDS
        while time.monotonic() < deadline:
            found = self._status()
            if found is not None and found.state.terminated is not None:
                return
            if found is not None and found.state.running is not None:
                self.subject.node.signal(found.container_id, number)
                return
            time.sleep(_SAMPLE)
        raise CannotError("the container did not start, and so no signal can be sent to it")

    def wait(self, seconds: float) -> Outcome:
        try:
            return self._wait(seconds)
        finally:
            self.subject.node.remove(self.name)

    def _wait(self, seconds: float) -> Outcome:
        found = self._status()
        late = time.monotonic() + nodes.READY_SECONDS
        while (
            not self.begun
        ):  # what it takes to start a pod is nothing that the subject can do anything about
            if time.monotonic() > late:
                raise SubjectError("the pod did not start")
            time.sleep(_SAMPLE)
            found = self._status()
        found = self.ended(self.begun + seconds)
        took = time.monotonic() - self.begun
        code: int | None = None
        if found is None:
            self.signal(9)
            found = self.ended(time.monotonic() + nodes.READY_SECONDS)
        else:
            code = int(found.state.terminated.exit_code)
            code = -9 if code == _KILLED else code
        output = self.subject.node.log(self.name, _NAME)
        message = str(found.state.terminated.message or "") if found else ""
        self.subject.pull(self.invocation)
        return Outcome(code, took, output, message)


def _readable(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Let any user read a run's own files, and write its home."""
    if entry.isdir():
        entry.mode = 0o555 if entry.name == "./no-home" else 0o777
    else:
        entry.mode = 0o644
    return entry


def _literal(value: str) -> str:
    """Keep Kubernetes from taking `$(NAME)` for a variable."""
    return value.replace("$", "$$")


def _node(items: list[Any]) -> tuple[str, str]:
    """Return name and address of the node to work on: one that is ready, and takes ordinary pods if there is one."""
    ready = [
        each
        for each in items
        if any(one.type == "Ready" and one.status == "True" for one in each.status.conditions or ())
        and (each.metadata.labels or {}).get("kubernetes.io/os", "linux") == "linux"
    ]
    if not ready:
        raise SubjectError("the cluster has no node that is ready")
    chosen = min(ready, key=lambda each: (len(each.spec.taints or ()), each.metadata.name))
    address = next((one.address for one in chosen.status.addresses if one.type == "InternalIP"), "")
    return str(chosen.metadata.name), str(address)


def _way_to(address: str) -> str:
    """Return this machine's own address on the way to another one."""
    if not address:
        raise SubjectError("the node has no address: say with --address where pods reach this machine")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((address, 9))  # sends nothing
            return str(sock.getsockname()[0])
    except OSError as error:
        raise SubjectError(
            f"there is no way from here to the node ({address}): say with --address where pods reach this machine"
        ) from error


@contextlib.contextmanager
def _listening(address: str) -> Iterator[str]:
    """Answer every GET at an address, for as long as it takes to find out whether it can be reached."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

    try:
        server = Server((address, 0), Handler)
    except OSError as error:
        raise SubjectError(f"nothing can listen on {address}: {error}") from error
    with server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        host = f"[{address}]" if ":" in address else address
        try:
            yield f"http://{host}:{server.server_port}/"
        finally:
            server.shutdown()
