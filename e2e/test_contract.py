"""What KServe asks of any initializer in this place: told with our image, and with another one in its place.

The other one is `--upstream-image`, the image that KitOps publishes for KServe; what is known not to hold with it is in
`upstream-baseline.yaml`, strictly: what holds after all has to go from there. Each gets the ClusterStorageContainer of
its own documentation.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from e2e import faulty
from e2e.harness.files import files_pod
from e2e.harness.recorder import CANDIDATE
from e2e.harness.registry import corrupt
from e2e.harness.report import UPSTREAM
from e2e.harness.scenario import INITIALIZER, example
from e2e.harness.versions import ROOT
from e2e.test_faults import container_id, kill, slow, whole
from e2e.test_ways import bring_two
from kit_conformance import refs
from kit_conformance.testbed.pods import container_security, pod_security
from kit_conformance.testbed.registry import Basic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from e2e.harness.objects import Object
    from e2e.harness.scenario import Scenario

    Container = Callable[..., Object]

IRIS = ROOT / "fixtures/modelkits/sklearn-iris"
KITFILE = "manifestVersion: 1.0.0\npackage: {name: t}\nmodel: {path: model.bin}\n"
USER, PASSWORD = "ann", "a-password-of-one-scenario"

pytestmark = [pytest.mark.needs("kserve", "python"), pytest.mark.reference(refs.KSERVE_CSC)]


@pytest.fixture(params=["ours", UPSTREAM])
def candidate(request: pytest.FixtureRequest) -> str:
    """Tell whose image initializes."""
    return str(request.param)


assert candidate.__name__ == CANDIDATE


@pytest.fixture
def container(scenario: Scenario, candidate: str) -> Container:
    """Return what makes a ClusterStorageContainer of the image that is tried; see `Scenario.storage_container`."""

    def make(host: str = "") -> Object:
        document = scenario.storage_container(host=host)
        if candidate == UPSTREAM:
            ours = document["spec"]["container"]
            wanted = ("KIT_UNPACK_FLAGS", "KIT_USER", "KIT_PASSWORD")
            document["spec"]["container"] = {
                "name": INITIALIZER,
                "image": scenario.state.upstream,
                "imagePullPolicy": "IfNotPresent",
                "env": [variable for variable in ours["env"] if variable["name"] in wanted],
                "resources": {
                    "requests": {"cpu": "50m", "memory": "100Mi"},
                    "limits": {"memory": "1Gi"},
                },
                "terminationMessagePolicy": "FallbackToLogsOnError",
            }
        return document

    return make


@pytest.mark.needs("kserve-sklearnserver")
def test_a_kit_is_served(scenario: Scenario, container: Container, expected: dict[str, Any]) -> None:
    """A plain kit of a model becomes Ready, and the predictions are the model's."""
    scenario.begin()
    scenario.apply(container())
    name = scenario.serve(example("deploy/examples/inferenceservice-v1.yaml"), scenario.push(IRIS))
    scenario.wait_ready(name)
    answer = scenario.ask(
        f"services/{name}-predictor:80", f"/v1/models/{name}:predict", expected["v1"]["request"]
    )
    assert answer == expected["v1"]["response"]


@pytest.mark.reference(refs.K8S_INIT)
def test_a_second_run_in_the_same_volume(scenario: Scenario, container: Container) -> None:
    """An initializer that runs again in a volume where it has done its work ends well.

    Kubernetes runs init containers again when a pod's sandbox is made anew, for instance after a node's reboot.
    """
    scenario.begin()
    pod = files_pod("kit", container(), scenario.push(IRIS))
    pod["spec"]["initContainers"].append({**pod["spec"]["initContainers"][0], "name": "again"})
    scenario.apply(pod)
    scenario.wait_pod("kit")
    assert "model.joblib" in scenario.files("pods/kit:8080")


@pytest.mark.needs("ours")
@pytest.mark.reference(refs.K8S_INIT)
def test_a_killed_initializer_is_healed(scenario: Scenario, container: Container) -> None:
    """A container that is killed in the middle of a pull is started again, and then the whole kit is served.

    The kernel does it when memory runs out, a node's drain when time is up; the volume keeps what was written.
    """
    scenario.begin()
    kit = faulty.kit()
    with faulty.registry() as registry:
        uri = faulty.add(registry, scenario, kit)
        slow(registry)
        scenario.apply(container(registry.host))
        name = scenario.serve_files(uri)
        killed = container_id(scenario)
        registry.ledger.wait_for(1, kind="blob")
        kill(scenario.state.name, killed)
        registry.heal()
        scenario.wait_pod(
            str(scenario.cluster.pods(scenario.name)[0]["metadata"]["name"])
        )  # gives up at CrashLoopBackOff
        scenario.wait_healed(name)
        whole(scenario.files(f"services/{name}-predictor:80"), kit)


@pytest.mark.needs("ours")
@pytest.mark.reference(refs.KIT_VERIFIES)
def test_a_tampered_layer_is_not_served(scenario: Scenario, container: Container, tmp_path: Path) -> None:
    """A layer with one flipped bit ends the initializer with a failure.

    One who can write to the registry's storage would otherwise choose the model.
    """
    scenario.begin()
    (tmp_path / "model.bin").write_bytes(scenario.name.encode() * 500)  # nobody else's blob
    (tmp_path / "Kitfile").write_text(KITFILE)
    uri = scenario.push(tmp_path)
    (layer,) = scenario.layers()
    corrupt(scenario.state.registry, layer)
    scenario.apply(container())
    scenario.serve_files(uri)
    ended = scenario.wait_ended()
    assert ended["exitCode"] != 0, "the tampered model was taken for the kit's"


@pytest.mark.needs("ours")
@pytest.mark.reference(refs.KIT_KSERVE)
def test_a_login_over_plain_http(scenario: Scenario, container: Container) -> None:
    """A registry that asks for a user, without TLS as within a cluster, is logged in to with `kit-secret`."""
    scenario.begin()
    scenario.secret("kit-secret", KIT_USER=USER, KIT_PASSWORD=PASSWORD)
    kit = faulty.kit(1000)
    with faulty.registry(Basic({USER: PASSWORD})) as registry:
        uri = faulty.add(registry, scenario, kit)
        scenario.apply(container(registry.host))
        name = scenario.serve_files(uri)
        scenario.wait_ready(name)
        whole(scenario.files(f"services/{name}-predictor:80"), kit)


@pytest.mark.reference(refs.OPENSHIFT_UIDS)
def test_any_user(scenario: Scenario, container: Container) -> None:
    """A user that the image does not know, in group 0, brings the kit: OpenShift gives every namespace its own."""
    scenario.begin()
    scenario.apply(container())
    user = random.randrange(1_000_000_000, 2_000_000_000)  # noqa: S311 - any will do
    name = scenario.serve_files(scenario.push(IRIS), securityContext={"runAsUser": user, "runAsGroup": 0})
    scenario.wait_ready(name)
    assert "model.joblib" in scenario.files(f"services/{name}-predictor:80")


@pytest.mark.reference(refs.K8S_RESTRICTED)
def test_a_read_only_root(scenario: Scenario, container: Container) -> None:
    """With nothing writable but the model's volume the kit is brought."""
    scenario.begin(pod_security="restricted")
    document = container()
    document["spec"]["container"]["securityContext"] = container_security(**pod_security())
    scenario.apply(files_pod("kit", document, scenario.push(IRIS)))
    scenario.wait_pod("kit")
    assert "model.joblib" in scenario.files("pods/kit:8080")


@pytest.mark.needs("kserve>=0.18")
@pytest.mark.reference(refs.KSERVE_URIS)
def test_two_kits_in_one_service(scenario: Scenario, container: Container) -> None:
    """`storageUris` with two kits brings both, for KServe gives all pairs to one initializer."""
    bring_two(scenario, container())


@pytest.mark.reference(refs.K8S_TERMINATION)
def test_a_wrong_tag_is_told(scenario: Scenario, container: Container) -> None:
    """A tag that is not there ends with a failure, and the message names it."""
    scenario.begin()
    scenario.apply(container())
    uri = scenario.push(IRIS).replace(":v1", ":v9")
    scenario.serve_files(uri)
    ended = scenario.wait_ended()
    assert ended["exitCode"] != 0
    assert uri.removeprefix("kit://") in ended["message"]
