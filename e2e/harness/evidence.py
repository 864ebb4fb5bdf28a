"""What explains a failed scenario without running it again, in a folder; secrets of the scenario are struck out.

`what-happened.txt` comes first: the failure, where each container stands, the events. Beside it are the objects as
YAML, `describe.txt`, every container's log now and before, KServe's manager, and what kind exports of its nodes.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import yaml

from e2e.harness import cluster as kind
from e2e.harness.shell import StepError, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from e2e.harness.objects import Object
    from e2e.harness.scenario import Scenario
    from kit_conformance.evidence import Redactor

_KINDS = (
    ("v1", "Pod"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("batch/v1", "Job"),
    ("v1", "ConfigMap"),
    ("serving.kserve.io/v1beta1", "InferenceService"),
    ("serving.kserve.io/v1alpha1", "ServingRuntime"),
)


def collect(scenario: Scenario, folder: Path, failure: str) -> Path:
    """Write everything into `folder`, which is emptied before; what cannot be had says why in its place."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    parts: dict[str, Callable[[], str]] = {
        "what-happened.txt": lambda: _what_happened(scenario, failure),
        "objects.yaml": lambda: _objects(scenario),
        "describe.txt": lambda: _kubectl(
            scenario, "describe", "pods,events,inferenceservices", "-n", scenario.name
        ),
        "kserve-controller.log": lambda: _kubectl(
            scenario, "logs", "deployment/kserve-controller-manager", "-n", "kserve", "--tail=2000"
        ),
    }
    for name, text in parts.items():
        _write(folder / name, text, scenario.redactor)
    for pod in scenario.cluster.pods(scenario.name):
        _logs(scenario, pod, folder / "logs")
    if scenario.state.private:  # a cluster that is not ours has nodes that are none of our business
        _nodes(scenario, folder / "nodes")
    return folder


def _write(path: Path, make: Callable[[], str], redactor: Redactor) -> None:
    try:
        text = make()
    except Exception as error:  # noqa: BLE001 - one thing that cannot be had keeps none of the others
        text = f"(not to be had: {type(error).__name__}: {error})\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(redactor.text(text), encoding="utf-8")


def _what_happened(scenario: Scenario, failure: str) -> str:
    return "\n".join([failure, "", "containers:", *scenario.pod_states(), "", scenario.evidence(), ""])


def _objects(scenario: Scenario) -> str:
    found = []
    for api_version, name in _KINDS:
        if "kserve" not in api_version or scenario.state.kserve:
            found += scenario.cluster.all(api_version, name, scenario.name)
    if scenario.state.kserve:
        containers = scenario.cluster.all("serving.kserve.io/v1alpha1", "ClusterStorageContainer")
        found += [c for c in containers if str(c["metadata"]["name"]).startswith(scenario.name)]
    for document in found:
        document["metadata"].pop("managedFields", None)
    return str(yaml.safe_dump_all(found, sort_keys=False, width=120))


def _kubectl(scenario: Scenario, *arguments: str) -> str:
    return run([kind.find("kubectl"), f"--kubeconfig={scenario.state.kubeconfig}", *arguments], timeout=30)


def _logs(scenario: Scenario, pod: Object, folder: Path) -> None:
    name = str(pod["metadata"]["name"])
    for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
        for before in (False, True):

            def read(container: str = container["name"], before: bool = before) -> str:  # noqa: FBT001
                return scenario.cluster.logs(scenario.name, name, container, previous=before)

            path = folder / f"{name}.{container['name']}{'.before' if before else ''}.log"
            _write(path, read, scenario.redactor)


def _nodes(scenario: Scenario, folder: Path) -> None:
    """Let kind export the nodes' logs, and strike secrets out of them as well."""
    try:
        run([kind.find("kind"), "export", "logs", f"--name={scenario.state.name}", str(folder)], timeout=60)
    except StepError as error:
        why = str(error)
        _write(folder / "not-exported.txt", lambda: why, scenario.redactor)
    for path in [*folder.rglob("*")]:
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        if path.is_symlink() or b"\0" in content:  # what is no text cannot be redacted
            path.unlink()
        elif content:
            path.write_text(scenario.redactor.text(content.decode("utf-8", "replace")), encoding="utf-8")
