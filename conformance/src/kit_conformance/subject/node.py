"""A node of a cluster, by a helper pod on it: folders that outlive pods, and signals to what runs in them.

A pod of the subject ends with its run, and its emptyDir with it; what the run has left must be read after
that, and a second run must find it. So volumes are folders of the node (hostPath), and one long-lived pod
fills and reads them with tar, through the API alone. It sees the node's processes too (hostPID), because a
signal that comes from within a container never ends its first process, and a kubelet's does.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import secrets
import shlex
import tarfile
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from kit_conformance import tree as trees
from kit_conformance.subject.base import CannotError, SubjectError
from kit_conformance.testbed.pods import STUCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

HELPER: Final = "docker.io/library/busybox:1.37"  # anything with sh, tar, gzip and head will do
SELECTOR: Final = "app.kubernetes.io/managed-by=kit-conformance"
READY_SECONDS: Final = 120.0  # for a pod to start, its image's pull included
_EXEC_SECONDS: Final = 120.0
_CHUNK: Final = 256 * 1024
_BASE: Final = "/var/lib/kit-conformance"
_STDOUT, _STDERR = 1, 2
# Whose cgroup names the container, and who is the first process of its own namespace.
_KILL: Final = """
for folder in /proc/[0-9]*; do
  grep -q "$1" "$folder/cgroup" 2>/dev/null || continue
  grep -q "^NSpid:.*[[:space:]]1$" "$folder/status" 2>/dev/null || continue
  kill -"$2" "${folder#/proc/}" && exit 0
done
exit 3
"""
# Says whether an address can be reached: 0 yes, 1 no, 3 nobody here knows.
_REACH: Final = """
if command -v wget >/dev/null; then wget -q -T 5 -O /dev/null "$1"; exit $(( $? != 0 ));
elif command -v curl >/dev/null; then curl -sf -m 5 -o /dev/null "$1"; exit $(( $? != 0 ));
elif command -v python3 >/dev/null; then
  python3 -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=5)' "$1" 2>/dev/null
  exit $(( $? != 0 ));
elif command -v bash >/dev/null && command -v timeout >/dev/null; then
  timeout 5 bash -c ": < /dev/tcp/$2/$3" 2>/dev/null; exit $(( $? != 0 ));
fi
exit 3
"""


class Node:
    """A namespace of this process, with the helper in it; all of it is removed by `close`."""

    def __init__(self, client: Any, name: str, helper: str = "") -> None:  # noqa: ANN401  (an extra's)
        from kubernetes import client as kubernetes  # noqa: PLC0415  (an extra)

        self.core: Any = kubernetes.CoreV1Api(client)  # objects go to it as JSON, which its types do not know
        # stream() exchanges the client's request method while it works, so it gets a client of its own
        self._exec_core = kubernetes.CoreV1Api(kubernetes.ApiClient(client.configuration))
        self._errors = kubernetes.ApiException
        self.name = name
        self.helper = helper or HELPER
        self.namespace = f"kit-conformance-{secrets.token_hex(4)}"
        self.base = f"{_BASE}/{self.namespace}"
        self._up = False

    def up(self) -> None:
        """Bring up the namespace and the helper, once. Raises SubjectError with what can be done about it."""
        if self._up:
            return
        labels = dict([SELECTOR.split("=")])
        labels["pod-security.kubernetes.io/enforce"] = "privileged"  # volumes are folders of the node
        try:
            self.core.create_namespace({"metadata": {"name": self.namespace, "labels": labels}})
            atexit.register(self.close)
            self._up = True
            self.create(self._helper())
            self._ready("helper")
        except self._errors as error:
            raise SubjectError(
                f"the cluster refuses what pod: needs, a namespace of its own with a pod that has a hostPath "
                f"below {_BASE} and hostPID: {error.status} {error.reason} {_message(error)}"
            ) from error

    def close(self) -> None:
        """Remove the folders and the namespace."""
        atexit.unregister(self.close)
        if not self._up:
            return
        self._up = False
        with contextlib.suppress(SubjectError):
            self.run(f"rm -rf {shlex.quote(self.base)}/*")
        with contextlib.suppress(self._errors):
            self.core.delete_namespace(self.namespace, grace_period_seconds=0)

    # pods

    def create(self, pod: Mapping[str, Any]) -> None:
        """Create a pod. A namespace's service account comes a moment after the namespace."""
        deadline = time.monotonic() + 20
        while True:
            try:
                self.core.create_namespaced_pod(self.namespace, pod)
            except self._errors as error:
                late = error.status == 403 and "serviceaccount" in str(error.body)
                if not late or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def pod(self, name: str) -> Any:  # noqa: ANN401  (an extra's)
        """Return a pod as it is now."""
        return self.core.read_namespaced_pod(name, self.namespace)

    def remove(self, name: str) -> None:
        """Remove a pod, at once."""
        with contextlib.suppress(self._errors):
            self.core.delete_namespaced_pod(name, self.namespace, grace_period_seconds=0)

    def log(self, name: str, container: str) -> str:
        """Return the end of a container's log."""
        with contextlib.suppress(self._errors):
            answer = self.core.read_namespaced_pod_log(
                name, self.namespace, container=container, tail_lines=4000, _preload_content=False
            )
            return bytes(answer.data).decode("utf-8", "replace")
        return ""

    def _helper(self) -> dict[str, Any]:
        forever = "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"
        return {
            "metadata": {"name": "helper"},
            "spec": {
                "nodeName": self.name,
                "hostPID": True,
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 1,
                "tolerations": [{"operator": "Exists"}],
                "containers": [
                    {
                        "name": "helper",
                        "image": self.helper,
                        "command": ["sh", "-c", forever],
                        "securityContext": {"runAsUser": 0, "runAsNonRoot": False},
                        "volumeMounts": [{"name": "base", "mountPath": self.base}],
                    }
                ],
                "volumes": [
                    {"name": "base", "hostPath": {"path": self.base, "type": "DirectoryOrCreate"}},
                ],
            },
        }

    def _ready(self, name: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            pod = self.pod(name)
            if pod.status.phase == "Running":
                return
            trouble(pod)
            if time.monotonic() > deadline:
                raise SubjectError(f"the helper pod is still {pod.status.phase} after {READY_SECONDS:.0f} s")
            time.sleep(0.1)

    # what the helper does

    def run(self, script: str, *words: str, stdin: bytes = b"", good: Iterable[int] = (0,)) -> bytes:
        """Run a script of sh in the helper and return what it writes. Raises SubjectError when it fails."""
        from kubernetes.stream import stream  # noqa: PLC0415  (an extra)

        found, said = bytearray(), bytearray()
        channel: Any = None
        try:
            channel = stream(
                self._exec_core.connect_get_namespaced_pod_exec,
                "helper",
                self.namespace,
                command=["sh", "-c", script, "sh", *words],
                stdin=bool(stdin),
                stdout=True,
                stderr=True,
                tty=False,
                binary=True,
                _preload_content=False,
            )
            for start in range(0, len(stdin), _CHUNK):
                channel.write_stdin(stdin[start : start + _CHUNK])
            deadline = time.monotonic() + _EXEC_SECONDS
            while channel.is_open():
                channel.update(timeout=1)
                found += channel.read_channel(_STDOUT) or b""
                said += channel.read_channel(_STDERR) or b""
                if time.monotonic() > deadline:
                    raise SubjectError(f"the helper pod did not answer within {_EXEC_SECONDS:.0f} s")
            found += channel.read_channel(_STDOUT) or b""
            said += channel.read_channel(_STDERR) or b""
            code = exit_code(channel)
        except self._errors as error:
            raise SubjectError(f"nothing can be run in the helper pod: {error.reason}") from error
        finally:
            if channel is not None:
                channel.close()
        if code not in set(good):
            raise SubjectError(
                f"in the helper pod, exit code {code}: {said.decode(errors='replace').strip()}"
            )
        return bytes(found)

    def signal(self, container: str, number: int) -> None:
        """Send a signal to a container's first process, as the kubelet would. `container` is its id."""
        try:
            self.run(_KILL, container.rpartition("/")[2], str(number), good=(0, 3))  # 3: it has just ended
        except SubjectError as error:
            raise CannotError(f"no signal can be sent to a pod's process: {error}") from error

    def reaches(self, url: str) -> bool | None:
        """Say whether pods reach an address; None if the helper's image has nothing to find out with."""
        parts = urlsplit(url)
        for code, meaning in ((0, True), (1, False)):
            with contextlib.suppress(SubjectError):
                self.run(_REACH, url, parts.hostname or "", str(parts.port), good=(code,))
                return meaning
        return None

    def put(self, archive: bytes, folder: str, *, fresh: bool) -> None:
        """Unpack an archive in a folder of the node; `fresh` empties it before."""
        clear = 'find "$1" -mindepth 1 -delete && ' if fresh else ""
        self.run(
            f'mkdir -p "$1" && {clear}head -c "$2" | tar -xpf - -C "$1"',
            folder,
            str(len(archive)),
            stdin=archive,
        )

    def get(self, folder: str, names: Iterable[str]) -> bytes:
        """Return an archive (gzip) of some folders below a folder of the node."""
        # 1 is what GNU tar says of a file that another run is still writing
        return self.run('cd "$1" && shift && tar -czf - "$@"', folder, *names, good=(0, 1))


def exit_code(channel: Any) -> int:  # noqa: ANN401  (an extra's)
    """Return how a script ended; SubjectError where it never began, of which the client expects a number as well."""
    try:
        return int(channel.returncode or 0)
    except (LookupError, TypeError, ValueError) as error:
        raise SubjectError(f"nothing can be run in the helper pod: {error}") from error


def trouble(pod: Any) -> None:  # noqa: ANN401  (an extra's)
    """Raise SubjectError when a pod will never start."""
    for each in (*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ())):
        waiting = each.state.waiting
        if waiting is not None and waiting.reason in STUCK:
            raise SubjectError(
                f"{each.image} does not start: {waiting.reason}: {waiting.message or ''}".strip()
            )
    if pod.status.phase == "Failed" and pod.status.reason:
        raise SubjectError(
            f"the pod was refused by its node: {pod.status.reason}: {pod.status.message or ''}"
        )


def _message(error: Any) -> str:  # noqa: ANN401  (an extra's)
    return str(error.body or "")[:300]


# archives of local folders

Stamp = dict[str, tuple[int, int, int]]


def stamp(folder: Path) -> Stamp:
    """Return what shows whether anybody has changed a folder: mode, size and time of everything in it."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        status = path.lstat()
        plain = not path.is_dir() or path.is_symlink()
        found[path.relative_to(folder).as_posix()] = (
            status.st_mode,
            status.st_size if plain else 0,
            status.st_mtime_ns if plain else 0,
        )
    return found


def archive(folder: Path, change: Callable[[tarfile.TarInfo], tarfile.TarInfo]) -> bytes:
    """Return a folder as an archive that busybox reads, too; `change` sees each entry, named from "." on."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:

        def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            return change(entry)

        tar.add(folder, ".", filter=plain)
    return buffer.getvalue()


def extract(data: bytes, folder: Path, names: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Unpack some folders of an archive of the node over those of ours, and return whose each entry is."""
    owners: dict[str, tuple[int, int]] = {}

    def safe(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        if entry.name.startswith("/") or ".." in entry.name.split("/"):
            raise SubjectError(f"the node sent an archive with the name {entry.name!r}")
        owners[entry.name] = (entry.uid, entry.gid)
        if entry.ischr() or entry.isblk():  # it counts as neither file nor folder, and need not be made here
            entry.type = tarfile.FIFOTYPE
        return entry

    for name in names:
        trees.clear(folder / name)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        tar.extraction_filter = lambda entry, _: entry  # ours is above; Pythons before 3.11.4 know none
        tar.extractall(folder, [safe(entry) for entry in tar], numeric_owner=True)  # noqa: S202
    return owners
