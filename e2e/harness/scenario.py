"""What one scenario does on the cluster: a namespace and a ClusterStorageContainer of its own, kits, services, answers.

Scenarios run side by side: each claims only the URIs below its own name, and removes what it made.
"""

from __future__ import annotations

import copy
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
import yaml
from kubernetes.dynamic.exceptions import DynamicApiError

from e2e.harness import cluster as kind
from e2e.harness import files
from e2e.harness.registry import PASSWORD, USER
from e2e.harness.shell import run
from e2e.harness.versions import ROOT, at_least
from e2e.harness.waiting import NeverError, NotYetError, stuck, wait_until
from kit_conformance.evidence import Redactor
from kit_conformance.testbed.kitcli import KitCLI
from kit_conformance.testbed.kits import pack, push

if TYPE_CHECKING:
    from collections.abc import Mapping

    from e2e.harness.objects import Cluster, Object
    from e2e.harness.state import State

INITIALIZER = "storage-initializer"
RECORD = ".kit-initializer.json"
Files = dict[str, tuple[int, str, str]]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CLUSTER_WIDE = (
    *("Namespace", "ClusterStorageContainer", "PersistentVolume"),
    *("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
)


class Scenario:
    """One scenario's part of the cluster."""

    def __init__(self, state: State, cluster: Cluster, name: str) -> None:
        self.state = state
        self.cluster = cluster
        self.name = name
        self.redactor = Redactor()  # knows what no report may show
        self.marks: list[tuple[str, float]] = []  # what became so, and when (seconds since 1970)
        self._made: list[Object] = []

    def begin(self, *, pod_security: str = "") -> None:
        """Make the scenario's namespace and wait until pods can be made in it.

        `pod_security` is the Pod Security Standard that it enforces ("" for none).
        """
        labels = {"pod-security.kubernetes.io/enforce": pod_security} if pod_security else {}
        self.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}}
        )

        def account() -> None:
            if not self.cluster.get("v1", "ServiceAccount", "default", self.name):
                raise NotYetError("no default service account")

        wait_until(f"the namespace {self.name}", account, timeout=60)

    def end(self) -> None:
        """Remove what the scenario made, the last first, and wait for none of it."""
        while self._made:
            self.cluster.delete(self._made.pop())

    def apply(self, document: Object) -> Object:
        """Apply an object in the scenario's namespace, and remove it at the end."""
        document = copy.deepcopy(document)
        if document["kind"] not in _CLUSTER_WIDE:
            document["metadata"]["namespace"] = self.name
        self._made.append(document)
        return self.cluster.apply(document)

    # kits

    def push(self, folder: Path, repository: str = "iris", tag: str = "v1") -> str:
        """Pack a folder with the Kit that is tried (or as Kit does, without one), push it, and return its URI."""
        path = f"{self.name}/{repository}"
        if self.state.kit_binary:
            with tempfile.TemporaryDirectory() as home:
                kit = KitCLI(self.state.kit_binary, Path(home))
                target = f"{self.state.registry.host}/{path}:{tag}"
                kit.run("pack", str(folder), "-t", target)
                kit.run("push", target, "--plain-http")
        else:
            push(pack(folder), self.state.registry.host, path, tag)
        return f"kit://{self.state.registry.cluster}/{path}:{tag}"

    def push_private(self, folder: Path, repository: str = "iris", tag: str = "v1") -> str:
        """Push a folder to the private registry, and return its URI; the scenario then trusts its authority.

        deploy/'s ClusterStorageContainer takes the authority from the ConfigMap `kit-ca` of the namespace.
        """
        private = self.state.private
        assert private is not None
        path = f"{self.name}/{repository}"
        ca = Path(private.ca_file)
        return push(
            pack(folder), private.host, path, tag, user=(USER, PASSWORD), ca_file=ca, plain_http=False
        )

    def trust_private(self) -> None:
        """Put the private registry's authority into the namespace, where the initializer looks for it."""
        assert self.state.private is not None
        pem = Path(self.state.private.ca_file).read_text(encoding="ascii")
        self.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kit-ca"}, "data": {"ca.crt": pem}}
        )

    def secret(self, name: str, /, **values: str) -> None:
        """Apply a Secret with these values, which no report will show."""
        for value in values.values():
            if value != USER:
                self.redactor.add(value.strip())
        kind = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
        self.apply({**kind, "stringData": values})

    def manifest_digest(self, repository: str = "iris", tag: str = "v1") -> str:
        """Return the digest that a tag of the registry stands for now."""
        url = f"http://{self.state.registry.host}/v2/{self.name}/{repository}/manifests/{tag}"
        answer = requests.head(url, headers={"Accept": MANIFEST}, timeout=30)
        return answer.headers["Docker-Content-Digest"]

    def layers(self, repository: str = "iris", tag: str = "v1") -> list[str]:
        """Return the digests of a pushed kit's layers."""
        url = f"http://{self.state.registry.host}/v2/{self.name}/{repository}/manifests/{tag}"
        manifest = requests.get(url, headers={"Accept": MANIFEST}, timeout=30).json()
        return [layer["digest"] for layer in manifest["layers"]]

    # serving

    def storage_container(
        self, engine: str = "native", *, host: str = "", workload: str = "initContainer", **environ: str
    ) -> Object:
        """Return deploy/'s ClusterStorageContainer for a workload as this scenario uses it.

        Changed are its name and prefix (so that scenarios do not meet; `host` takes the place of the cluster's
        registry), the image, and the environment that the cluster's registry needs.
        """
        document = next(d for d in rendered("deploy/initializer") if d["spec"]["workloadType"] == workload)
        document["metadata"]["name"] = self.name
        host = host or self.state.registry.cluster
        document["spec"]["supportedUriFormats"] = [{"prefix": f"kit://{host}/{self.name}/"}]
        container = document["spec"]["container"]
        container["image"] = self.state.initializer
        private = self.state.private is not None and host == self.state.private.host
        flags = "" if private else "--plain-http"
        values = {"KIT_ENGINE": engine, "KIT_UNPACK_FLAGS": flags, **environ}
        container["env"] = [e for e in container["env"] if e["name"] not in values]
        container["env"] += [{"name": name, "value": value} for name, value in values.items()]
        return document

    def serve(self, document: Object, uri: str) -> str:
        """Apply an InferenceService, unchanged but for its reference, and return its name."""
        document = copy.deepcopy(document)
        document["spec"]["predictor"]["model"]["storageUri"] = uri
        return self.admit(document)

    def serve_files(self, uri: str = "", name: str = "files", **predictor: object) -> str:
        """Apply an InferenceService whose server tells its files, and return its name; see `files.service`."""
        self.admit(files.runtime())
        return self.admit(files.service(name, uri, **predictor))

    def admit(self, document: Object) -> str:
        """Apply what KServe's webhooks look at, and return its name; one that does not answer is asked again."""

        def admitted() -> None:
            try:
                self.apply(document)
            except DynamicApiError as error:
                if error.status not in (500, 503):  # a webhook that does not answer just now
                    raise
                raise NotYetError(str(error.body)) from None

        wait_until("KServe's webhook", admitted, timeout=30)
        return str(document["metadata"]["name"])

    def service(self, name: str) -> Object:
        """Return an InferenceService as it is now."""
        return self.cluster.get("serving.kserve.io/v1beta1", "InferenceService", name, self.name) or {}

    def wait_ready(self, name: str, *, timeout: float = 100) -> None:
        """Wait until an InferenceService is Ready; give up early when it never will be."""
        wait_until(f"InferenceService {name} Ready", lambda: self._ready(name), timeout=timeout)
        self._mark("Ready")

    def _ready(self, name: str) -> None:
        status = self.service(name).get("status", {})
        conditions = {c["type"]: c for c in status.get("conditions", [])}
        if conditions.get("Ready", {}).get("status") == "True":
            return
        model = status.get("modelStatus", {})
        if model.get("transitionStatus") in ("BlockedByFailedLoad", "InvalidSpec"):
            raise NeverError(f"{model['transitionStatus']}: {model.get('lastFailureInfo')}")
        self._stuck(f"serving.kserve.io/inferenceservice={name}")
        unmet = [
            f"{t} {c.get('reason', '')} {c.get('message', '')}".strip()
            for t, c in conditions.items()
            if c["status"] != "True"
        ]
        raise NotYetError("; ".join([*unmet, *self.pod_states()]) or "no status")

    def wait_warned(self, text: str, *, timeout: float = 60) -> str:
        """Wait until an event of the namespace holds `text`, and return its line."""

        def look() -> str:
            events = self.cluster.events(self.name)
            for line in events:
                if text in line:
                    return line
            raise NotYetError("; ".join(events[-3:]) or "no event")

        return wait_until(f"an event with {text!r}", look, timeout=timeout)

    def wait_failed(self, name: str, *, timeout: float = 100) -> Object:
        """Wait until KServe reports a failed load, and return its `lastFailureInfo`.

        KServe 0.16 does not look again when an initializer fails, and goes on to tell that the load is pending (so
        it was seen), so there the state of the container is returned.
        """
        if not at_least(self.state.kserve, "v0.18"):
            return self.wait_ended(timeout=timeout)

        def look() -> Object:
            model = self.service(name).get("status", {}).get("modelStatus", {})
            info: Object = model.get("lastFailureInfo") or {}
            if "exitCode" not in info:
                raise NotYetError(f"modelStatus {model}; " + "; ".join(self.pod_states()))
            return info

        return wait_until(f"InferenceService {name} failed", look, timeout=timeout)

    def wait_healed(self, name: str, *, timeout: float = 100) -> None:
        """Wait until an InferenceService that had failed is Ready: failures of the past end no waiting."""

        def look() -> None:
            conditions = self.service(name).get("status", {}).get("conditions", [])
            if not any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
                raise NotYetError("; ".join(self.pod_states()) or "no pod")

        wait_until(f"InferenceService {name} healed", look, timeout=timeout)

    def wait_gone(self, left: int, *, timeout: float = 60) -> None:
        """Wait until the scenario has only so many pods left."""

        def look() -> None:
            pods = [pod["metadata"]["name"] for pod in self.cluster.pods(self.name)]
            if len(pods) > left:
                raise NotYetError(", ".join(pods))

        wait_until(f"{left} pods", look, timeout=timeout)

    def wait_pod(self, name: str, *, timeout: float = 100) -> None:
        """Wait until a pod is ready; give up early when it never will be."""

        def look() -> None:
            self._stuck(pod=name)
            pod = self.cluster.get("v1", "Pod", name, self.name) or {}
            conditions = pod.get("status", {}).get("conditions", [])
            if not any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
                raise NotYetError("; ".join(self.pod_states()) or "no pod")

        wait_until(f"pod {name} ready", look, timeout=timeout)
        self._mark("Ready")

    def wait_ended(self, *, timeout: float = 60) -> Object:
        """Wait until an initializer has ended, well or not, and return its terminated state."""

        def look() -> Object:
            for pod in reversed(self.cluster.pods(self.name)):
                for status in pod["status"].get("initContainerStatuses", []):
                    last = (status.get("lastState") or {}).get("terminated")
                    ended: Object = status["state"].get("terminated") or last or {}
                    if status["name"] == INITIALIZER and ended:
                        return ended
                    if why := stuck(status):
                        raise NeverError(why)
            raise NotYetError("; ".join(self.pod_states()) or "no pod")

        return wait_until("the initializer's end", look, timeout=timeout)

    def _stuck(self, selector: str = "", *, pod: str = "") -> None:
        """Give up when a container never will be ready: of all pods, of those selected, or of the one of that name."""
        for each in self.cluster.pods(self.name, selector):
            for status in _statuses(each) if pod in {"", each["metadata"]["name"]} else ():
                if why := stuck(status):
                    raise NeverError(f"{each['metadata']['name']}/{status['name']}: {why}")

    def pod_states(self) -> list[str]:
        """Return one line for each container: where it stands."""
        lines = []
        for pod in self.cluster.pods(self.name):
            for status in _statuses(pod):
                (state, detail), *_ = (status["state"] or {"unknown": {}}).items()
                reason = (detail or {}).get("reason", "")
                lines.append(f"{pod['metadata']['name']}/{status['name']} {state} {reason}".strip())
        return lines

    def initialized(self) -> Object:
        """Return the termination message of the initializer that ran last, which is JSON after a success."""
        for pod in reversed(self.cluster.pods(self.name)):
            for status in pod["status"].get("initContainerStatuses", []):
                done = status["state"].get("terminated")
                if status["name"] == INITIALIZER and done and done["exitCode"] == 0:
                    message: Object = json.loads(done["message"])
                    return message
        raise AssertionError(f"no initializer has succeeded in {self.name}: {self.pod_states()}")

    def ask(self, service: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """Ask a server for `path` and return its answer.

        Refusals are taken for an answer only after 20 s: KServe's readiness is an open port, which MLServer has
        before its model.
        """

        def look() -> Any:  # noqa: ANN401
            status, answer = self.cluster.ask(self.name, service, path, body)
            if status != 200:
                raise NotYetError(f"{status} {answer}")
            return answer

        answer = wait_until(f"an answer from {service}{path}", look, timeout=20)
        self._mark("first answer")
        return answer

    def _mark(self, what: str) -> None:
        if all(what != marked for marked, _ in self.marks):
            self.marks.append((what, time.time()))

    def files(self, service: str) -> Files:
        """Return what a server that tells its files was given: {path: (size, sha256, mode)}, our record left out."""
        told = self.ask(service, "/")
        return {path: tuple(about) for path, about in told.items() if path != RECORD}

    # what happened

    def evidence(self) -> str:
        """Return what explains a failure: events, and logs of all containers, now and before."""
        parts = ["events:", *self.cluster.events(self.name)]
        for pod in self.cluster.pods(self.name):
            name = pod["metadata"]["name"]
            for status in _statuses(pod):
                log = self.cluster.logs(self.name, name, status["name"], previous=False)
                parts += [f"log of {name}/{status['name']} ({status['state']}):", log[-3000:]]
        return "\n".join(parts)


def _statuses(pod: Mapping[str, Any]) -> list[Object]:
    status = pod["status"]
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def rendered(folder: str) -> list[Object]:
    """Return what kustomize makes of a folder of this repository."""
    text = run([kind.find("kubectl"), "kustomize", str(ROOT / folder)], timeout=30)
    return [document for document in yaml.safe_load_all(text) if document]


def example(path: str) -> Object:
    """Return the one object of a file of this repository."""
    document: Object = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
    return document
