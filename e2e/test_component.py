"""KServe as a component: what is rendered of it, and what is refused with which advice."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from e2e.harness import component, kserve
from e2e.harness.cluster import find
from e2e.harness.shell import StepError, run
from e2e.harness.versions import KSERVE

if TYPE_CHECKING:
    from e2e.harness.objects import Object
    from e2e.harness.state import State

PINNED = "v0.98.0"  # no release

# two releases are read and rendered, and megabytes of YAML are slow where everything is
pytestmark = [pytest.mark.plain, pytest.mark.reference("docs/operate.md"), pytest.mark.timeout(300)]


def rendered(given: dict[str, str]) -> list[Object]:
    """Render with the manifests that the run itself uses."""
    folder = os.environ.get("KSERVE_MANIFESTS", "")
    version = given.get("kserve.version", str(KSERVE["version"]))
    if folder and not any((Path(folder) / name).exists() for name in (version, "kserve.yaml")):
        pytest.skip(f"not run: KSERVE_MANIFESTS has no files of KServe {version}")
    release = {"kustomize.resources": folder} if folder else {}
    try:
        return component.render(component.parameters({**release, **given}))
    except StepError as error:
        if "KSERVE_MANIFESTS" in str(error):  # a release that cannot be downloaded here
            pytest.skip(f"not run: {str(error).splitlines()[0]}")
        raise


def config(documents: list[Object], key: str) -> dict[str, object]:
    """Return one part of KServe's own configuration."""
    (found,) = [d for d in documents if d["metadata"]["name"] == "inferenceservice-config"]
    value: dict[str, object] = json.loads(found["data"][key])
    return value


@pytest.mark.parametrize("version", sorted(KSERVE["manifests"]))
def test_every_parameter_arrives(version: str) -> None:
    given = {
        "kserve.version": version,
        "kserve.namespace": "models",
        "kserve.deploymentMode": "Serverless",
        "kserve.overlay": "odh",
        "ingress.class": "nginx",
        "ingress.protocol": "https",
        "ingress.hosts": "first.example, second.example",
        "bucket.endpoint": "s3.example",
        "bucket.region": "north",
    }
    documents = rendered(given)
    kinds = {d["kind"] for d in documents}
    assert {"CustomResourceDefinition", "Certificate", "ClusterStorageContainer", "Deployment"} <= kinds
    assert "ClusterServingRuntime" not in kinds
    assert {d["metadata"].get("namespace", "models") for d in documents} == {"models"}
    assert config(documents, "deploy") == {"defaultDeploymentMode": "Serverless"}
    ingress = config(documents, "ingress")
    assert (ingress["urlScheme"], ingress["ingressDomain"], ingress["ingressClassName"]) == (
        "https",
        "first.example",
        "nginx",
    )
    s3 = config(documents, "credentials")["s3"]
    assert isinstance(s3, dict)
    assert (s3["s3Endpoint"], s3["s3Region"]) == ("s3.example", "north")
    for hook in (w for d in documents if d["kind"].endswith("WebhookConfiguration") for w in d["webhooks"]):
        assert hook["clientConfig"]["service"]["namespace"] == "models"


def test_a_certificate_of_our_own_needs_no_cert_manager() -> None:
    documents = rendered({"kserve.certificate": "own"})
    assert not {"Certificate", "Issuer"} & {d["kind"] for d in documents}
    hooks = [w for d in documents if d["kind"].endswith("WebhookConfiguration") for w in d["webhooks"]]
    assert len(hooks) > 5
    assert all(hook["clientConfig"]["caBundle"] for hook in hooks)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kserve.version": "v0.10.0"}, "has no ClusterStorageContainer"),
        ({"kserve.version": "latest"}, "is no release's tag"),
        ({"kserve.deploymentMode": "ModelMesh"}, "none of RawDeployment, Serverless"),
        ({"kserve.name": "x"}, "there are: kserve.namespace"),
    ],
    ids=["too-old", "no-release", "no-mode", "no-parameter"],
)
def test_what_is_refused(given: dict[str, str], says: str) -> None:
    with pytest.raises(StepError, match=says):
        component.parameters(given)


def test_an_unknown_version_needs_its_manifests(tmp_path: Path) -> None:
    unknown = {"kserve.version": "v0.99.0"}
    with pytest.raises(StepError, match=r"kustomize\.resources"):
        component.render(component.parameters(unknown))
    with pytest.raises(StepError, match=r"has no kserve\.yaml"):
        component.render(component.parameters({**unknown, "kustomize.resources": str(tmp_path)}))


def test_serverless_needs_knative(state: State) -> None:
    kubectl = [find("kubectl"), f"--kubeconfig={state.kubeconfig}"]
    chosen = component.parameters({"kserve.deploymentMode": "Serverless", "kserve.certificate": "own"})
    with pytest.raises(StepError, match=r"Knative Serving.*RawDeployment"):
        component.check(chosen, kubectl)


@pytest.mark.needs("kserve")
@pytest.mark.parametrize("version", sorted(KSERVE["manifests"]))
def test_the_cluster_accepts_pre_built_manifests(state: State, version: str) -> None:
    """Open Data Hub's, which are rendered and not run; on a cluster that has their kinds, and a namespace for them."""
    given = {"kserve.version": version, "kserve.overlay": "odh", "kserve.certificate": "own"}
    documents = [d for d in rendered(given) if d["kind"] != "Namespace"]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
    kubectl = [find("kubectl"), f"--kubeconfig={state.kubeconfig}"]
    dry = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-")
    run([*kubectl, *dry], timeout=60, text=text)


@pytest.fixture
def pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the files of a release that versions.toml would know."""
    monkeypatch.delenv(kserve.OWN, raising=False)
    folder = tmp_path / PINNED
    folder.mkdir()
    for name in ("kserve.yaml", "kserve-cluster-resources.yaml"):
        (folder / name).write_text(f"# {name}\n")
    digests = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}
    monkeypatch.setitem(KSERVE["manifests"], PINNED, digests)
    return tmp_path


def test_given_manifests_are_the_releases(pinned: Path) -> None:
    folder = kserve.manifests(PINNED, pinned)
    (folder / "notes.yaml").write_text("not: KServe's\n")
    assert kserve.manifests(PINNED, folder) == folder == pinned / PINNED
    assert {p.name for p in kserve.files(PINNED, folder)} == {"kserve.yaml", "kserve-cluster-resources.yaml"}


def test_given_manifests_that_differ_are_refused_by_name(
    pinned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = pinned / PINNED / "kserve.yaml"
    before = hashlib.sha256(changed.read_bytes()).hexdigest()
    changed.write_text("# something else\n")
    after = hashlib.sha256(changed.read_bytes()).hexdigest()
    with pytest.raises(StepError, match=rf"{changed} has sha256 {after}, .* with {before} .*--own-manifests"):
        kserve.manifests(PINNED, pinned)
    monkeypatch.setenv(kserve.OWN, "1")
    assert changed in kserve.files(PINNED, kserve.manifests(PINNED, pinned))


def test_given_manifests_are_all_of_the_releases(pinned: Path) -> None:
    KSERVE["manifests"][PINNED]["kserve-crds.yaml"] = "0" * 64
    with pytest.raises(StepError, match=r"kserve-crds\.yaml is not there"):
        kserve.manifests(PINNED, pinned)
