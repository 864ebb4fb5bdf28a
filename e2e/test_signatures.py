"""A signature policy in a ClusterStorageContainer, and one of the API server that wants digests."""

from __future__ import annotations

import copy
import json
import os
from typing import TYPE_CHECKING, NamedTuple

import pytest
import requests
import yaml
from kubernetes.dynamic.exceptions import DynamicApiError

from e2e.harness import cluster as kind
from e2e.harness.files import files_pod, runtime, service
from e2e.harness.scenario import MANIFEST, rendered
from e2e.harness.shell import run
from e2e.harness.versions import ROOT, at_least
from e2e.harness.waiting import NeverError, NotYetError, wait_until
from kit_conformance import refs
from kit_conformance.testbed.signing import FakeSigstore, Key, bundle, push_attachment, simple, simple_layer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from e2e.harness.objects import Object
    from e2e.harness.scenario import Scenario
    from kit_conformance.testbed.signing import Attachment

KIT = ROOT / "fixtures/modelkits/sklearn-iris"
ANN = "https://ci.example/models/.github/workflows/sign.yaml@refs/heads/main"
ISSUER = "https://token.ci.example"
DIGEST = "0" * 64

pytestmark = [pytest.mark.needs("python"), pytest.mark.reference(refs.SIGSTORE_VERIFY)]


class Pushed(NamedTuple):
    """A kit in the registry, as something that can be signed."""

    manifest: bytes
    digest: str
    media_type: str = MANIFEST


def pushed(scenario: Scenario, repository: str = "iris") -> Pushed:
    """Return a kit that was pushed, by whatever packed it."""
    digest = scenario.manifest_digest(repository)
    url = f"http://{scenario.state.registry.host}/v2/{scenario.name}/{repository}/manifests/{digest}"
    return Pushed(requests.get(url, headers={"Accept": MANIFEST}, timeout=30).content, digest)


def sign(scenario: Scenario, signature: Attachment, repository: str = "iris") -> None:
    """Push what was signed beside the kit."""
    push_attachment(scenario.state.registry.host, f"{scenario.name}/{repository}", signature)


def key_policy(scenario: Scenario, *keys: Key) -> str:
    """Return a policy that wants one of these keys for all that the scenario pushes, and lets in nothing else."""
    below = f"{scenario.state.registry.cluster}/{scenario.name}/**"
    return yaml.safe_dump({"rules": [{"repositories": [below], "keys": [key.public for key in keys]}]})


def refused(scenario: Scenario, name: str) -> str:
    """Return the line with which an InferenceService was refused."""
    info = scenario.wait_failed(name)
    assert info["exitCode"] == 7
    # as KServe tells it, or as the container's state does
    line = str(info.get("message", ""))
    assert line.startswith("signature: "), line
    return line


def bundled(scenario: Scenario, key: Key, kit: Pushed) -> Attachment:
    """Sign as cosign 3 does."""
    del scenario
    return bundle(key, kit)


def tagged(scenario: Scenario, key: Key, kit: Pushed) -> Attachment:
    """Sign as cosign 1 and 2 do."""
    name = f"{scenario.state.registry.cluster}/{scenario.name}/iris"
    return simple(kit, simple_layer(key, kit, name))


@pytest.mark.needs("kserve")
@pytest.mark.parametrize("signature", [bundled, tagged])
def test_a_kit_signed_by_the_key_is_served(
    scenario: Scenario, engine: str, signature: Callable[[Scenario, Key, Pushed], Attachment]
) -> None:
    scenario.begin()
    key = Key.new()
    scenario.apply(scenario.storage_container(engine, KIT_SIGNATURE_POLICY=key_policy(scenario, key)))
    uri = scenario.push(KIT)
    sign(scenario, signature(scenario, key, pushed(scenario)))
    name = scenario.serve_files(uri)
    scenario.wait_ready(name)
    assert "model.joblib" in scenario.files(f"services/{name}-predictor:80")
    (kit,) = scenario.initialized()["kits"]
    rule = f"{scenario.state.registry.cluster}/{scenario.name}/**"
    assert kit["signature"] == f"rule {rule}, key SHA256:{key.hint}"


@pytest.mark.needs("kserve")
def test_an_unsigned_kit_is_not_served(scenario: Scenario, engine: str) -> None:
    scenario.begin()
    policy = key_policy(scenario, Key.new())
    scenario.apply(scenario.storage_container(engine, KIT_SIGNATURE_POLICY=policy))
    line = refused(scenario, scenario.serve_files(scenario.push(KIT)))
    assert "found none" in line


@pytest.mark.needs("kserve")
def test_a_kit_signed_by_another_key_is_not_served(scenario: Scenario, engine: str) -> None:
    scenario.begin()
    policy = key_policy(scenario, Key.new())
    scenario.apply(scenario.storage_container(engine, KIT_SIGNATURE_POLICY=policy))
    uri = scenario.push(KIT)
    sign(scenario, bundle(Key.new(), pushed(scenario)))
    line = refused(scenario, scenario.serve_files(uri))
    assert "found 1: " in line


@pytest.mark.needs("kserve")
def test_users_of_a_namespace_do_not_weaken_the_policy(scenario: Scenario) -> None:
    """By the variables of their model, nor by a Service whose name looks like one of ours."""
    scenario.begin()
    port = {"ports": [{"port": 80}], "selector": {"app": "cosign"}}
    scenario.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cosign"}, "spec": port})
    policy = key_policy(scenario, Key.new())
    scenario.apply(scenario.storage_container(KIT_SIGNATURE_POLICY=policy))
    everything = json.dumps({"rules": [{"repositories": ["**"], "accept": True}]})
    scenario.admit(runtime())
    document = service("files", scenario.push(KIT))
    document["spec"]["predictor"]["model"]["env"] = [{"name": "KIT_SIGNATURE_POLICY", "value": everything}]
    assert "found none" in refused(scenario, scenario.admit(document))
    (pod,) = scenario.cluster.pods(scenario.name)
    (initializer,) = pod["spec"]["initContainers"]
    given = {entry["name"]: entry.get("value") for entry in initializer["env"]}
    assert given["KIT_SIGNATURE_POLICY"] == policy


@pytest.mark.needs("kserve")
def test_signing_heals_a_service_that_was_refused(scenario: Scenario) -> None:
    """Nobody has to touch the InferenceService: the kubelet starts the init container again."""
    scenario.begin()
    key = Key.new()
    scenario.apply(scenario.storage_container(KIT_SIGNATURE_POLICY=key_policy(scenario, key)))
    name = scenario.serve_files(scenario.push(KIT))
    refused(scenario, name)
    sign(scenario, bundle(key, pushed(scenario)))
    scenario.wait_healed(name, timeout=200)


@pytest.mark.needs("kserve")
@pytest.mark.parametrize("subject", [ANN, ANN.replace("main", "other")])
def test_a_keyless_kit_by_a_trusted_root_of_the_cluster(scenario: Scenario, subject: str) -> None:
    """What issues the certificate and logs the signature is a fake that speaks the real formats."""
    scenario.begin()
    instance = FakeSigstore()
    below = f"{scenario.state.registry.cluster}/{scenario.name}/**"
    rule = {"repositories": [below], "identities": [{"issuer": ISSUER, "subject": ANN}]}
    container = scenario.storage_container(
        KIT_SIGNATURE_POLICY=json.dumps({"rules": [rule]}),
        KIT_SIGSTORE_TRUSTED_ROOT=instance.trusted_root(),
    )
    scenario.apply(container)
    uri = scenario.push(KIT)
    sign(scenario, instance.bundle(pushed(scenario), subject, ISSUER))
    name = scenario.serve_files(uri)
    if subject != ANN:
        assert "found 1: " in refused(scenario, name)
        return
    scenario.wait_ready(name)
    (kit,) = scenario.initialized()["kits"]
    assert ANN in kit["signature"]


@pytest.mark.plain
def test_nothing_is_requested_with_half_a_policy(scenario: Scenario, engine: str) -> None:
    scenario.begin()
    container = scenario.storage_container(engine, COSIGN_CERT_IDENTITY="ann@example.com")
    scenario.apply(files_pod("kit", container, "kit://registry.invalid/iris:v1"))
    ended = scenario.wait_ended()
    assert ended["exitCode"] == 2
    assert ended["message"].startswith(
        "usage: COSIGN_CERT_IDENTITY is set but COSIGN_CERT_OIDC_ISSUER is not"
    )


@pytest.mark.plain
def test_a_pod_without_kserve_is_judged_too(scenario: Scenario, engine: str) -> None:
    scenario.begin()
    key = Key.new()
    container = scenario.storage_container(engine, KIT_SIGNATURE_POLICY=key_policy(scenario, key))
    uri = scenario.push(KIT)
    scenario.apply(files_pod("unsigned", container, uri))
    ended = scenario.wait_ended()
    assert (ended["exitCode"], ended["message"].partition(":")[0]) == (7, "signature")
    sign(scenario, bundle(key, pushed(scenario)))
    scenario.apply(files_pod("signed", container, uri))
    scenario.wait_pod("signed")


@pytest.mark.plain
def test_the_sample_policy_is_in_both_storage_containers(tmp_path: Path) -> None:
    """deploy/signatures as a component of deploy/initializer, made by kustomize as its first lines say."""
    deploy = os.path.relpath(ROOT / "deploy", tmp_path.resolve())
    value = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"{deploy}/initializer"],
        "components": [f"{deploy}/signatures"],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(value))
    text = run([kind.find("kubectl"), "kustomize", str(tmp_path.resolve())], timeout=30)
    containers = [document["spec"] for document in yaml.safe_load_all(text)]
    assert {each["workloadType"] for each in containers} == {"initContainer", "localModelDownloadJob"}
    for each in containers:
        given = {entry["name"]: entry.get("value") for entry in each["container"]["env"]}
        policy = yaml.safe_load(given["KIT_SIGNATURE_POLICY"])
        assert [sorted(rule) for rule in policy["rules"]] == [
            ["keys", "repositories"],
            ["reject", "repositories"],
        ]
        assert "KIT_PASSWORD" in given, "what was there stays"


# the API server's policy


def admission(scenario: Scenario, *registries: str) -> None:
    """Apply deploy/admission for the scenario's namespace alone, and wait until the API server knows it."""
    for document in rendered("deploy/admission"):
        document["metadata"]["name"] = scenario.name
        spec = document["spec"]
        if document["kind"] == "ValidatingAdmissionPolicy":
            (listed,) = [each for each in spec["variables"] if each["name"] == "registries"]
            listed["expression"] = repr(list(registries))
        else:
            assert spec["validationActions"] == ["Deny"]
            spec["policyName"] = scenario.name
            here = {"kubernetes.io/metadata.name": scenario.name}
            spec["matchResources"] = {"namespaceSelector": {"matchLabels": here}}
        scenario.apply(document)

    def known() -> None:
        said = denied(scenario, {"predictor": {"model": model(f"kit://registry.invalid/a@sha256:{DIGEST}")}})
        if not said:
            raise NotYetError("the API server does not apply it yet")

    wait_until("the admission policy", known, timeout=60)
    status = scenario.cluster.get(
        "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", scenario.name
    )
    warnings = ((status or {}).get("status", {}).get("typeChecking") or {}).get("expressionWarnings", [])
    assert warnings == []


def model(uri: str = "", **more: object) -> Object:
    """Return a predictor's model."""
    found: Object = {"modelFormat": {"name": "files"}, "runtime": "files", **more}
    return {**found, "storageUri": uri} if uri else found


def denied(scenario: Scenario, spec: Object, **metadata: object) -> str:
    """Return with which words an InferenceService is refused, "" when it is not; nothing is kept of it."""
    document = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "it", "namespace": scenario.name, **metadata},
        "spec": copy.deepcopy(spec),
    }

    def answered() -> str:
        try:
            scenario.cluster.apply(document, dry_run=True)
        except DynamicApiError as error:
            text = json.loads(error.body or "{}").get("message", "")
            if error.status in (500, 503) or "no match for kind" in text:
                raise NotYetError(text) from None
            if f"ValidatingAdmissionPolicy '{scenario.name}'" not in text:
                raise NeverError(text) from None
            return str(text)
        return ""

    return wait_until("the API server", answered, timeout=60)


@pytest.mark.needs("kserve")
@pytest.mark.reference("https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/")
def test_admission_wants_a_digest_and_a_known_registry(scenario: Scenario) -> None:
    scenario.begin()
    ours = f"{scenario.state.registry.cluster}/{scenario.name}"
    admission(scenario, ours, "other.example:5000")
    scenario.apply(scenario.storage_container())
    uri = scenario.push(KIT)
    digest = scenario.manifest_digest()
    good = f"kit://{ours}/iris@{digest}"
    wrong = {
        "named by its digest": [uri, f"{uri}@{digest}x", f"kit://{ours}/iris", f"kit://{ours}/iris@sha256:0"],
        "must come from": [
            good.replace(scenario.name, f"{scenario.name}-two"),
            f"kit://other.example/iris@{digest}",
            f"kit://other.example:5000.evil.example/iris@{digest}",
        ],
    }
    for words, uris in wrong.items():
        for each in uris:
            said = denied(scenario, {"predictor": {"model": model(each)}})
            assert words in said, (each, said)
            assert each in said
    for each in (good, f"kit://other.example:5000/a/b:v1@{digest}", "s3://bucket/model"):
        assert denied(scenario, {"predictor": {"model": model(each)}}) == ""
    # and one that is let in is served
    scenario.apply(runtime())
    name = scenario.admit(service("files", good))
    scenario.wait_ready(name)


def _env(uri: str) -> list[Object]:
    return [{"name": "OTHER", "value": "x"}, {"name": "STORAGE_URI", "value": uri}]


@pytest.mark.needs("kserve")
@pytest.mark.reference("https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/")
def test_admission_sees_every_place_of_a_uri(scenario: Scenario) -> None:
    scenario.begin()
    admission(scenario, "r.example")
    good, bad = f"kit://r.example/a@sha256:{DIGEST}", "kit://r.example/a:v1"
    custom = {"name": "kserve-container", "image": "r.example/server:1"}
    annotation = "internal.serving.kserve.io/storage-initializer-sourceuri"

    def places(uri: str) -> list[Object]:
        sound = {"model": model("s3://bucket/model")}
        listed = [{"uri": uri, "mountPath": "/mnt/models"}]
        found: list[Object] = [
            {"predictor": {"model": model(uri)}},
            {"predictor": {"sklearn": {"storageUri": uri}}},
            {"predictor": {"model": model(env=_env(uri))}},
            {"predictor": {"containers": [{**custom, "env": _env(uri)}]}},
            {"predictor": sound, "transformer": {"containers": [{**custom, "env": _env(uri)}]}},
            {"predictor": sound, "explainer": {"containers": [{**custom, "env": _env(uri)}]}},
            {"predictor": {**sound, "annotations": {annotation: uri}}},
        ]
        if at_least(scenario.state.kserve, "v0.18"):
            found.append({"predictor": {"model": model(), "storageUris": listed}})
        return found

    for spec in places(bad):
        assert bad in denied(scenario, spec), spec
    for spec in places(good):
        assert denied(scenario, spec) == "", spec
    two = {"predictor": {"model": model(good)}, "transformer": {"containers": [{**custom, "env": _env(bad)}]}}
    assert bad in denied(scenario, two), "one that is right hides no other"
    assert denied(
        scenario, {"predictor": {"model": model("s3://bucket/model")}}, annotations={annotation: bad}
    )
