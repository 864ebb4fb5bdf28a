"""KServe's release: its manifests, from a folder or a checked download, and their way into a cluster."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import os
import urllib.request
from typing import TYPE_CHECKING, Any

import yaml

from e2e.harness.shell import StepError, run
from e2e.harness.versions import KSERVE, ROOT
from e2e.harness.waiting import NeverError, NotYetError, stuck, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.harness.objects import Object

DOWNLOADS = ROOT / "deploy" / "kserve" / "downloads"  # ignored by git
OWN = "KSERVE_MANIFESTS_OWN"  # a variable: manifests that were given need not be the release's
RUNTIMES = ("kserve-sklearnserver", "kserve-mlserver")
_MANAGER = "control-plane=kserve-controller-manager"


def manifests(version: str, given: Path | None) -> Path:
    """Return the folder with a release's manifests: `given` (or its folder of that version), or a checked download.

    Raises StepError for a version whose checksums are not known, a failed download, and bytes that differ from those
    of the release; in a given folder they may, where `own` says so.
    """
    known = _known(version)
    if not known and not given:
        raise StepError(
            f"no checksums of KServe {version} in versions.toml: give its manifests' folder "
            "(--kserve-manifests DIR, KSERVE_MANIFESTS, kustomize.resources=DIR)"
        )
    if given:
        nested = given / version
        folder = nested if nested.is_dir() else given
        if not own():
            _check(version, known, folder)
        return folder
    folder = DOWNLOADS / version
    folder.mkdir(parents=True, exist_ok=True)
    for name, digest in known.items():
        path = folder / name
        if not path.exists():
            path.write_bytes(_download(f"{KSERVE['download']}/{version}/{name}"))
        if _sha256(path) != digest:
            path.unlink()
            raise StepError(f"{name} of KServe {version} does not have the sha256 that versions.toml names")
    return folder


def own() -> bool:
    """Tell whether a given folder may hold other manifests than the release's: OWN, which --own-manifests sets."""
    return os.environ.get(OWN, "") not in ("", "0")


def files(version: str, folder: Path) -> list[Path]:
    """Return the files of a folder that make up the release: those with a checksum, if there are any and they count.

    So other assets of the release, or notes of somebody's, may lie beside them.
    """
    known = {} if own() else _known(version)
    return [folder / name for name in known] or sorted(folder.glob("*.yaml"))


def _known(version: str) -> dict[str, str]:
    known: dict[str, str] = KSERVE["manifests"].get(version, {})
    return known


def _check(version: str, known: dict[str, str], folder: Path) -> None:
    complete(folder)
    for name, digest in known.items():
        path = folder / name
        found = f"has sha256 {_sha256(path)}" if path.exists() else "is not there"
        if digest not in found:
            raise StepError(
                f"{path} {found}, and KServe {version} has that file with {digest} (versions.toml). Take the release's "
                f"own, {KSERVE['download']}/{version}/{name}; or, if they are meant to differ, accept your own "
                f"manifests: --own-manifests, or {OWN}=1"
            )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310 - a release's address
            content: bytes = response.read()
    except OSError as error:
        raise StepError(
            f"{url}: {error}\n  or give a folder: --kserve-manifests DIR, KSERVE_MANIFESTS, kustomize.resources=DIR"
        ) from error
    return content


def runtimes(folder: Path) -> dict[str, str]:
    """Return the runtimes that the scenarios use, each with the image that this release of KServe gives it."""
    found = {}
    complete(folder)
    for document in read(folder / "kserve-cluster-resources.yaml"):
        if document["kind"] == "ClusterServingRuntime" and document["metadata"]["name"] in RUNTIMES:
            image = document["spec"]["containers"][0]["image"]
            found[document["metadata"]["name"]] = str(image).removeprefix("docker.io/")
    return found


def complete(folder: Path) -> None:
    """Refuse a folder without the files that every release has; StepError."""
    for name in ("kserve.yaml", "kserve-cluster-resources.yaml"):
        if not (folder / name).exists():
            raise StepError(f"{folder} has no {name}: give it all files of KServe's release")


def read(path: Path) -> list[Object]:
    """Return the objects of a file of the release."""
    return copy.deepcopy(_parsed(path.read_text(encoding="utf-8")))


@functools.cache
def _parsed(text: str) -> list[Object]:  # megabytes, and seconds: once a process will do
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [d for d in yaml.load_all(text, Loader=loader) if d]


def apply(documents: list[Object], kubectl: list[str], namespace: str) -> None:
    """Apply what was rendered, and return when its webhooks answer; StepError or GaveUpError when they do not."""
    late = (
        "ClusterServingRuntime",
        "ClusterStorageContainer",
    )  # which the webhooks look at, or need their kind
    definitions = [d for d in documents if d["kind"] in ("CustomResourceDefinition", "Namespace")]
    last = [d for d in documents if d["kind"] in late]
    rest = [d for d in documents if d not in definitions and d not in last]
    if len(definitions) < 2 or not rest:
        raise StepError("this is no complete release of KServe: *.yaml as GitHub's release assets have them")
    _apply(definitions, kubectl)
    _apply(rest, kubectl)
    wait_until("KServe's manager", lambda: _ready(kubectl, namespace), timeout=120)

    def admitted() -> None:
        try:
            _apply(last, kubectl)
        except StepError as error:  # in the first seconds after the rollout its webhooks may refuse
            raise NotYetError(str(error).splitlines()[-1]) from None

    wait_until("KServe's webhooks", admitted, timeout=60)


def _apply(documents: list[Object], kubectl: list[str]) -> None:
    if documents:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
        command = [*kubectl, "apply", "--server-side", "--force-conflicts", "-f", "-"]
        run(command, timeout=120, text=text)


def _ready(kubectl: list[str], namespace: str) -> None:
    found = run([*kubectl, "-n", namespace, "get", "pods", "-l", _MANAGER, "-ojson"], timeout=30)
    pods: list[Object] = json.loads(found)["items"]
    for pod in pods:
        for status in pod["status"].get("containerStatuses", []):
            if why := stuck(status):
                log = run(
                    [*kubectl, "-n", namespace, "logs", pod["metadata"]["name"], "--tail=1"], timeout=30
                )
                raise NeverError(f"{status['image']}: {why} {log}")
            if status["name"] == "manager" and status["ready"]:
                return
    raise NotYetError(
        ", ".join(f"{p['metadata']['name']} is {p['status']['phase']}" for p in pods) or "no pod"
    )
