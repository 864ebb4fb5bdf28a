"""KServe as a component with parameters: its own release, kustomize's overlays of deploy/kserve, and checks before.

python -m e2e.harness.component render|install|uninstall [--set NAME=VALUE …] [--kube-context NAME]

What is rendered leaves out the controllers of LLMInferenceService and LocalModelCache, which nothing here uses.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from e2e.harness import kserve
from e2e.harness.cluster import find
from e2e.harness.shell import StepError, run
from e2e.harness.versions import KSERVE, ROOT
from e2e.harness.waiting import GaveUpError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from e2e.harness.objects import Object

FOLDER = ROOT / "deploy" / "kserve"
OLDEST = (0, 11)
MODES = {"RawDeployment": "rawdeployment", "Serverless": "serverless"}
KNATIVE = "services.serving.knative.dev"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONFIG = "inferenceservice-config"
_CERT_MANAGER = ("Certificate", "Issuer")
_INJECT = "cert-manager.io/inject-ca-from"


def parameters(given: Mapping[str, str]) -> dict[str, str]:
    """Return every parameter with what was given or its default; StepError for what makes no sense."""
    defaults = yaml.safe_load((FOLDER / "component.yaml").read_text(encoding="utf-8"))["parameters"]
    strange = sorted(given.keys() - defaults.keys())
    if strange:
        raise StepError(f"no parameter {', '.join(strange)}; there are: {', '.join(defaults)}")
    chosen = {name: str(value) for name, value in {**defaults, **given}.items()}
    chosen["kserve.version"] = chosen["kserve.version"] or str(KSERVE["version"])
    version = chosen["kserve.version"]
    numbers = re.match(r"v(\d+)\.(\d+)\.\d+", version)
    if not numbers:
        raise StepError(f"kserve.version={version} is no release's tag, as v0.20.0 is one")
    if tuple(map(int, numbers.groups())) < OLDEST:
        raise StepError(
            f"KServe {version} has no ClusterStorageContainer, so nothing brings kit:// there; "
            f"take {KSERVE['version']}, or any from v0.11.0 on"
        )
    allowed = {
        "kserve.deploymentMode": tuple(MODES),
        "kserve.certificate": ("cert-manager", "own"),
        "kserve.overlay": ("", "odh", "small"),
    }
    for name, values in allowed.items():
        if chosen[name] not in values:
            raise StepError(
                f"{name}={chosen[name]} is none of {', '.join(value or '(none)' for value in values)}"
            )
    return chosen


def render(chosen: Mapping[str, str]) -> list[Object]:
    """Return the objects of an installation; StepError when the release cannot be had or kustomize refuses."""
    resources = chosen["kustomize.resources"]
    release = kserve.manifests(chosen["kserve.version"], Path(resources) if resources else None)
    kserve.complete(release)
    documents = [d for path in kserve.files(chosen["kserve.version"], release) for d in kserve.read(path)]
    staged: list[Object] = []
    definitions: list[Object] = []
    for document in _staged(documents, chosen):
        # most of a release's bytes, and nothing in them that an overlay or a parameter has a say in
        fixed = document["kind"] == "CustomResourceDefinition" and "conversion" not in document["spec"]
        (definitions if fixed else staged).append(document)
    kserve.DOWNLOADS.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="render-", dir=kserve.DOWNLOADS))
    try:
        (place / "release.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": staged}))
        (place / "kustomization.yaml").write_text(yaml.safe_dump(_kustomization(chosen, staged)))
        text = run([find("kubectl"), "kustomize", str(place)], timeout=120)
    finally:
        shutil.rmtree(place)
    rendered = [*definitions, *(d for d in yaml.load_all(text, Loader=_LOADER) if d)]
    return _certified(rendered, chosen) if chosen["kserve.certificate"] == "own" else rendered


def _staged(documents: Iterable[Object], chosen: Mapping[str, str]) -> Iterable[Object]:
    """Choose from a release what is installed, each object once, and add its namespace."""
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": chosen["kserve.namespace"]}}
    unique = {(d["kind"], d["metadata"]["name"]): d for d in documents if _is_wanted(d, chosen)}
    for document in unique.values():
        document["metadata"].pop("creationTimestamp", None)
        if document["kind"].endswith("WebhookConfiguration"):
            for webhook in document["webhooks"]:
                webhook["clientConfig"]["service"]["namespace"] = chosen["kserve.namespace"]
                webhook["clientConfig"].pop("caBundle", None)  # a placeholder, which its API does not take
        yield document


def _is_wanted(document: Object, chosen: Mapping[str, str]) -> bool:
    kind, name = str(document["kind"]), str(document["metadata"]["name"])
    before_017 = tuple(map(int, chosen["kserve.version"][1:].split(".")[:2])) < (0, 17)
    if kind == "CustomResourceDefinition" and "localmodel" in name:
        return before_017  # until then the manager itself insists on them
    if "localmodel" in name or "llm" in name or kind.startswith("LLM"):
        return before_017 and name == "localmodelcache.serving.kserve.io"
    if kind in _CERT_MANAGER:
        return chosen["kserve.certificate"] == "cert-manager"
    if kind == "CustomResourceDefinition":
        return name.endswith(".serving.kserve.io")
    if kind == "ClusterServingRuntime":
        return chosen["kserve.runtimes"] == "all" or name in chosen["kserve.runtimes"].split(",")
    return kind != "Namespace" and name != "kserve-webhook-server-secret"


def _kustomization(chosen: Mapping[str, str], staged: Iterable[Object]) -> Object:
    """Return the kustomization that puts overlays and parameters over the release."""
    config = next(d["data"] for d in staged if d["kind"] == "ConfigMap" and d["metadata"]["name"] == _CONFIG)
    changes = {"ingress": _ingress(chosen), "credentials": _bucket(chosen)}
    operations = []
    for key, change in changes.items():
        value = json.loads(config[key])
        for name, setting in change.items():
            value[name] = {**value.get(name, {}), **setting} if isinstance(setting, dict) else setting
        operations.append({"op": "replace", "path": f"/data/{key}", "value": json.dumps(value, indent=1)})
    overlays = [MODES[chosen["kserve.deploymentMode"]], chosen["kserve.overlay"]]
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": chosen["kserve.namespace"],
        "resources": ["release.json"],
        "components": [f"../../{overlay}" for overlay in overlays if overlay],
        "patches": [{"target": {"kind": "ConfigMap", "name": _CONFIG}, "patch": yaml.safe_dump(operations)}],
    }


def _ingress(chosen: Mapping[str, str]) -> dict[str, object]:
    change: dict[str, object] = {"urlScheme": chosen["ingress.protocol"]}
    if chosen["kserve.deploymentMode"] == "RawDeployment":
        change |= {"disableIstioVirtualHost": True, "disableIngressCreation": not chosen["ingress.class"]}
    if chosen["ingress.class"]:
        change["ingressClassName"] = chosen["ingress.class"]
    if chosen["ingress.hosts"]:
        change["ingressDomain"] = chosen["ingress.hosts"].split(",")[0].strip()
    return change


def _bucket(chosen: Mapping[str, str]) -> dict[str, object]:
    settings = {"s3Endpoint": chosen["bucket.endpoint"], "s3Region": chosen["bucket.region"]}
    given = {name: value for name, value in settings.items() if value}
    return {"s3": given} if given else {}


def _certified(rendered: list[Object], chosen: Mapping[str, str]) -> list[Object]:
    """Give the webhooks a certificate of an authority that is made here, in place of cert-manager's."""
    import trustme  # noqa: PLC0415 - only an installation without cert-manager needs it

    service = f"kserve-webhook-server-service.{chosen['kserve.namespace']}.svc"
    authority = trustme.CA()
    leaf = authority.issue_cert(service, f"{service}.cluster.local")
    for document in rendered:
        if document["kind"].endswith("WebhookConfiguration"):
            document["metadata"].get("annotations", {}).pop(_INJECT, None)
            for webhook in document["webhooks"]:
                webhook["clientConfig"]["caBundle"] = _base64(authority.cert_pem.bytes())
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "kserve-webhook-server-cert", "namespace": chosen["kserve.namespace"]},
        "data": {"tls.crt": _base64(chain), "tls.key": _base64(leaf.private_key_pem.bytes())},
    }
    return [*rendered, secret]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def check(chosen: Mapping[str, str], kubectl: list[str]) -> None:
    """Refuse what the cluster has no ground for, with what to do; StepError."""
    if chosen["kserve.deploymentMode"] == "Serverless" and not _has(kubectl, KNATIVE):
        raise StepError(
            f"Serverless needs Knative Serving, and the cluster has no {KNATIVE}: install it first "
            "(https://knative.dev/docs/install/), or set kserve.deploymentMode=RawDeployment"
        )
    if chosen["kserve.certificate"] == "cert-manager" and not _has(kubectl, "certificates.cert-manager.io"):
        raise StepError(
            "the cluster has no cert-manager, which makes the certificate of KServe's webhooks: install it first, "
            "or set kserve.certificate=own"
        )


def _has(kubectl: list[str], definition: str) -> bool:
    return bool(run([*kubectl, "get", "crd", definition, "--ignore-not-found", "-oname"], timeout=60).strip())


def uninstall(chosen: Mapping[str, str], kubectl: list[str]) -> None:
    """Remove what `install` applied; StepError while there are InferenceServices, which would go with their kind."""
    if _has(kubectl, "inferenceservices.serving.kserve.io"):
        served = run([*kubectl, "get", "inferenceservices", "-A", "-oname"], timeout=60).split()
        if served:
            raise StepError(
                f"{len(served)} InferenceServices are there and would be removed as well: delete them first"
            )
    documents = render(chosen)
    documents.sort(
        key=lambda d: not d["kind"].endswith("WebhookConfiguration")
    )  # or they would refuse the rest
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
    # names alone count, so a kind that is gone already is no error
    run([*kubectl, "delete", "--ignore-not-found", "--timeout=120s", "-f", "-"], timeout=300, text=text)


def main() -> int:
    """Run one command; 0 is success, 2 a refusal or a failure."""
    parser = argparse.ArgumentParser(prog="nox -s kserve --", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("render", "install", "uninstall"))
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="given")
    parser.add_argument("--output", default="-", metavar="FILE", help="of render (standard output)")
    parser.add_argument("--kube-context", default="", metavar="NAME", help="(the current one)")
    accept = "let manifests that were given differ from the release's"
    parser.add_argument("--own-manifests", action="store_true", help=accept)
    options = parser.parse_args()
    if options.own_manifests:
        os.environ[kserve.OWN] = "1"
    kubectl = [find("kubectl"), *([f"--context={options.kube_context}"] if options.kube_context else [])]
    try:
        chosen = parameters(dict(item.partition("=")[::2] for item in options.given))
        if options.command == "uninstall":
            uninstall(chosen, kubectl)
            return 0
        if options.command == "install":
            check(chosen, kubectl)
        documents = render(chosen)
        if options.command == "install":
            kserve.apply(documents, kubectl, chosen["kserve.namespace"])
        elif options.output == "-":
            yaml.safe_dump_all(documents, sys.stdout, sort_keys=False)
        else:
            with open(options.output, "w", encoding="utf-8") as file:
                yaml.safe_dump_all(documents, file, sort_keys=False)
    except (StepError, GaveUpError) as error:
        print(f"kserve: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
