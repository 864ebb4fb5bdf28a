"""What explains a failed story without running it again, in a folder; secrets of the story are struck out.

`what-happened.txt` comes first: the failure, where each container stands, the events. Beside it are the objects as
YAML, `describe.txt`, every container's log now and before, KServe's manager, and what kind exports of its nodes.
"""

from __future__ import annotations

import base64
import re
import shutil
from typing import TYPE_CHECKING

import yaml

from e2e.harness import cluster as kind
from e2e.harness.shell import StepError, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from e2e.harness.objects import Object
    from e2e.harness.story import Story

HIDDEN = "***"
_KINDS = (
    ("v1", "Pod"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("batch/v1", "Job"),
    ("v1", "ConfigMap"),
    ("serving.kserve.io/v1beta1", "InferenceService"),
    ("serving.kserve.io/v1alpha1", "ServingRuntime"),
)
_CREDENTIALS = re.compile(
    r"(?i)\b(authorization|bearer|basic|password|passwd|token)\b([\"']?\s*[:= ]\s*[\"']?)[^\s\"',}]{6,}"
)


def collect(story: Story, folder: Path, failure: str) -> Path:
    """Write everything into `folder`, which is emptied before; what cannot be had says why in its place."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    parts: dict[str, Callable[[], str]] = {
        "what-happened.txt": lambda: _what_happened(story, failure),
        "objects.yaml": lambda: _objects(story),
        "describe.txt": lambda: _kubectl(
            story, "describe", "pods,events,inferenceservices", "-n", story.name
        ),
        "kserve-controller.log": lambda: _kubectl(
            story, "logs", "deployment/kserve-controller-manager", "-n", "kserve", "--tail=2000"
        ),
    }
    for name, text in parts.items():
        _write(folder / name, text, story.secrets)
    for pod in story.cluster.pods(story.name):
        _logs(story, pod, folder / "logs")
    if story.state.private:  # a cluster that is not ours has nodes that are none of our business
        _nodes(story, folder / "nodes")
    return folder


def redact(text: str, secrets: set[str]) -> str:
    """Strike out secrets, plain and in base64, and what stands behind the words for credentials."""
    for secret in sorted(secrets, key=len, reverse=True):
        for form in (secret, base64.b64encode(secret.encode()).decode()):
            text = text.replace(form, HIDDEN)
    return _CREDENTIALS.sub(rf"\1\2{HIDDEN}", text)


def _write(path: Path, make: Callable[[], str], secrets: set[str]) -> None:
    try:
        text = make()
    except Exception as error:  # noqa: BLE001 - one thing that cannot be had keeps none of the others
        text = f"(not to be had: {type(error).__name__}: {error})\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(redact(text, secrets), encoding="utf-8")


def _what_happened(story: Story, failure: str) -> str:
    return "\n".join([failure, "", "containers:", *story.pod_states(), "", story.evidence(), ""])


def _objects(story: Story) -> str:
    found = []
    for api_version, name in _KINDS:
        if "kserve" not in api_version or story.state.kserve:
            found += story.cluster.all(api_version, name, story.name)
    if story.state.kserve:
        containers = story.cluster.all("serving.kserve.io/v1alpha1", "ClusterStorageContainer")
        found += [c for c in containers if str(c["metadata"]["name"]).startswith(story.name)]
    for document in found:
        document["metadata"].pop("managedFields", None)
    return str(yaml.safe_dump_all(found, sort_keys=False, width=120))


def _kubectl(story: Story, *arguments: str) -> str:
    return run([kind.find("kubectl"), f"--kubeconfig={story.state.kubeconfig}", *arguments], timeout=30)


def _logs(story: Story, pod: Object, folder: Path) -> None:
    name = str(pod["metadata"]["name"])
    for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
        for before in (False, True):

            def read(container: str = container["name"], before: bool = before) -> str:  # noqa: FBT001
                return story.cluster.logs(story.name, name, container, previous=before)

            path = folder / f"{name}.{container['name']}{'.before' if before else ''}.log"
            _write(path, read, story.secrets)


def _nodes(story: Story, folder: Path) -> None:
    """Let kind export the nodes' logs, and strike secrets out of them as well."""
    try:
        run([kind.find("kind"), "export", "logs", f"--name={story.state.name}", str(folder)], timeout=60)
    except StepError as error:
        why = str(error)
        _write(folder / "not-exported.txt", lambda: why, story.secrets)
    for path in [*folder.rglob("*")]:
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        if path.is_symlink() or b"\0" in content:  # what is no text cannot be redacted
            path.unlink()
        elif content:
            path.write_text(redact(content.decode("utf-8", "replace"), story.secrets), encoding="utf-8")
