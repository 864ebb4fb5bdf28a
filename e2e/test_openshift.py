"""Open Data Hub's way: a runtime of the namespace, named by the service, and users that no image knows."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from e2e.harness.story import INITIALIZER, example
from e2e.harness.versions import ROOT
from kit_conformance import refs

if TYPE_CHECKING:
    from e2e.harness.objects import Object
    from e2e.harness.story import Story

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


def runtime(story: Story) -> Object:
    """Return the runtime of deploy/openshift with the image that this cluster has."""
    document = example("deploy/openshift/servingruntime.yaml")
    document["spec"]["containers"][0]["image"] = story.state.runtimes["kserve-sklearnserver"]
    return document


def initializer(story: Story) -> Object:
    """Return the init container of the story's one pod."""
    (pod,) = story.cluster.pods(story.name)
    (found,) = [c for c in pod["spec"]["initContainers"] if c["name"] == INITIALIZER]
    return dict(found)


def test_a_random_user_of_group_0(story: Story, engine: str, expected: dict[str, Any]) -> None:
    """As OpenShift's `restricted-v2` has it, which also enforces what Kubernetes calls restricted."""
    story.begin(pod_security="restricted")
    story.apply(story.storage_container(engine))
    story.admit(runtime(story))
    document = service()
    user = random.randrange(1_000_000_000, 2_000_000_000)  # noqa: S311 - any will do
    document["spec"]["predictor"]["securityContext"] = {"runAsUser": user, "runAsGroup": 0, "fsGroup": user}
    name = story.serve(document, story.push(KIT))
    story.wait_ready(name)
    answer = story.ask(
        f"services/{name}-predictor:80", f"/v1/models/{name}:predict", expected["v1"]["request"]
    )
    assert answer == expected["v1"]["response"]
    assert story.service(name)["status"]["servingRuntimeName"] == "sklearn-kit"


@pytest.mark.reference(refs.KSERVE_INJECTOR)
def test_the_user_of_istios_sidecar(story: Story) -> None:
    story.begin()
    story.apply(story.storage_container())
    document = service()
    document["metadata"]["annotations"]["serving.kserve.io/storage-initializer-uid"] = "1337"
    story.admit(runtime(story))
    name = story.serve(document, story.push(KIT))
    story.wait_ready(name)
    assert initializer(story)["securityContext"]["runAsUser"] == 1337
