"""Open Data Hub's way: a runtime of the namespace, named by the service, and users that no image knows."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from e2e.harness.scenario import INITIALIZER, example
from e2e.harness.versions import ROOT
from kit_conformance import refs

if TYPE_CHECKING:
    from e2e.harness.objects import Object
    from e2e.harness.scenario import Scenario

KIT = ROOT / "fixtures/modelkits/sklearn-iris"
MESH = "sidecar.istio.io/inject"

pytestmark = [
    pytest.mark.needs("kserve", "kserve-sklearnserver"),
    pytest.mark.reference(refs.OPENSHIFT_UIDS),
]


def service() -> Object:
    """Return the InferenceService of deploy/openshift, after a look at what makes it OpenShift's."""
    document = example("deploy/openshift/inferenceservice.yaml")
    assert document["metadata"]["annotations"][MESH] == "true"
    return document


def runtime(scenario: Scenario) -> Object:
    """Return the runtime of deploy/openshift with the image that this cluster has."""
    document = example("deploy/openshift/servingruntime.yaml")
    document["spec"]["containers"][0]["image"] = scenario.state.runtimes["kserve-sklearnserver"]
    return document


def initializer(scenario: Scenario) -> Object:
    """Return the init container of the scenario's one pod."""
    (pod,) = scenario.cluster.pods(scenario.name)
    (found,) = [c for c in pod["spec"]["initContainers"] if c["name"] == INITIALIZER]
    return dict(found)


def test_a_random_user_of_group_0(scenario: Scenario, engine: str, expected: dict[str, Any]) -> None:
    """As OpenShift's `restricted-v2` has it, which also enforces what Kubernetes calls restricted."""
    scenario.begin(pod_security="restricted")
    scenario.apply(scenario.storage_container(engine))
    scenario.admit(runtime(scenario))
    document = service()
    user = random.randrange(1_000_000_000, 2_000_000_000)  # noqa: S311 - any will do
    document["spec"]["predictor"]["securityContext"] = {"runAsUser": user, "runAsGroup": 0, "fsGroup": user}
    name = scenario.serve(document, scenario.push(KIT))
    scenario.wait_ready(name)
    answer = scenario.ask(
        f"services/{name}-predictor:80", f"/v1/models/{name}:predict", expected["v1"]["request"]
    )
    assert answer == expected["v1"]["response"]
    assert scenario.service(name)["status"]["servingRuntimeName"] == "sklearn-kit"


@pytest.mark.reference(refs.KSERVE_INJECTOR)
def test_the_user_of_istios_sidecar(scenario: Scenario) -> None:
    scenario.begin()
    scenario.apply(scenario.storage_container())
    document = service()
    document["metadata"]["annotations"]["serving.kserve.io/storage-initializer-uid"] = "1337"
    scenario.admit(runtime(scenario))
    name = scenario.serve(document, scenario.push(KIT))
    scenario.wait_ready(name)
    assert initializer(scenario)["securityContext"]["runAsUser"] == 1337
