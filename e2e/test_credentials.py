"""Logins: a registry with TLS of a private authority and one user, asked for by each way a cluster can name them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from e2e.harness.files import files_pod
from e2e.harness.registry import PASSWORD, USER
from e2e.harness.versions import ROOT
from e2e.harness.waiting import GaveUpError
from kit_conformance import refs

if TYPE_CHECKING:
    from e2e.harness.objects import Object
    from e2e.harness.scenario import Scenario

KIT = ROOT / "fixtures/modelkits/sklearn-iris"
WRONG = "not-the-password-of-e2e"

pytestmark = [pytest.mark.needs("ours", "python"), pytest.mark.reference(refs.INITIALIZER_CREDENTIALS)]


def begin(scenario: Scenario, engine: str = "native", **environ: str) -> tuple[Object, str]:
    """Return a ClusterStorageContainer for the private registry, and a kit in it."""
    assert scenario.state.private is not None
    scenario.begin(pod_security="restricted")
    scenario.trust_private()
    return scenario.storage_container(
        engine, host=scenario.state.private.host, **environ
    ), scenario.push_private(KIT)


def tells_no_secret(scenario: Scenario) -> None:
    """Look for the password in logs, events and states."""
    seen = scenario.evidence()
    assert PASSWORD not in seen
    assert WRONG not in seen


@pytest.mark.plain
@pytest.mark.reference(refs.KIT_KSERVE)
def test_kit_secret(scenario: Scenario, engine: str) -> None:
    container, uri = begin(scenario, engine)
    scenario.secret("kit-secret", KIT_USER=USER, KIT_PASSWORD=PASSWORD + "\n")
    scenario.apply(files_pod("kit", container, uri))
    scenario.wait_pod("kit")
    assert "model.joblib" in scenario.files("pods/kit:8080")
    tells_no_secret(scenario)


@pytest.mark.plain
@pytest.mark.parametrize(
    ("values", "code", "says"),
    [
        pytest.param({}, 4, "denied: ", id="absent"),
        pytest.param({"KIT_USER": USER}, 2, "usage: KIT_USER is set but KIT_PASSWORD is not", id="half"),
        pytest.param({"KIT_USER": USER, "KIT_PASSWORD": WRONG}, 4, "denied: ", id="wrong"),
    ],
)
def test_kit_secret_that_does_not_do(
    scenario: Scenario, values: dict[str, str], code: int, says: str
) -> None:
    container, uri = begin(scenario)
    if values:
        scenario.secret("kit-secret", **values)
    scenario.apply(files_pod("kit", container, uri))
    ended = scenario.wait_ended()
    assert ended["exitCode"] == code
    assert ended["message"].startswith(says)
    tells_no_secret(scenario)


@pytest.mark.plain
@pytest.mark.reference(refs.K8S_SECRET)
def test_a_secret_that_is_not_optional_and_absent(scenario: Scenario) -> None:
    """The pod waits for it for ever, and Kubernetes says for what."""
    container, uri = begin(scenario)
    for variable in container["spec"]["container"]["env"]:
        if variable["name"].startswith(("KIT_USER", "KIT_PASSWORD")):
            variable["valueFrom"]["secretKeyRef"]["optional"] = False
    scenario.apply(files_pod("kit", container, uri))
    with pytest.raises(GaveUpError, match=r'CreateContainerConfigError: secret "kit-secret" not found'):
        scenario.wait_ended()


@pytest.mark.plain
def test_docker_config_from_a_secret(scenario: Scenario, engine: str) -> None:
    container, uri = begin(scenario, engine)
    assert scenario.state.private is not None
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    config = json.dumps({"auths": {scenario.state.private.host: {"auth": login}}})
    scenario.secret("kit-docker-config", **{".dockerconfigjson": config})
    scenario.apply(files_pod("kit", container, uri))
    scenario.wait_pod("kit")
    assert "model.joblib" in scenario.files("pods/kit:8080")
    tells_no_secret(scenario)


@pytest.mark.plain
@pytest.mark.reference(refs.INITIALIZER_CODES)
def test_an_authority_that_nobody_named(scenario: Scenario) -> None:
    container, uri = begin(scenario)
    scenario.cluster.delete(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kit-ca"}}, scenario.name
    )
    scenario.apply(files_pod("kit", container, uri))
    ended = scenario.wait_ended()
    assert ended["exitCode"] == 6
    assert "CA bundle" in ended["message"]


@pytest.mark.needs("kserve", "kserve>=0.20")
def test_storage_config_of_one_service(scenario: Scenario) -> None:
    """Two services of one namespace, each with its own key of `storage-config`: one may pull, the other may not.

    Not before KServe 0.20: it mixed up `value` and `valueFrom` when it merged our variables, and no pod was made.
    """
    container, uri = begin(scenario)
    scenario.apply(container)
    login = {
        "type": "kit",
        "registry": scenario.state.private.host if scenario.state.private else "",
        "username": USER,
    }
    keys = {name: json.dumps({**login, "password": word}) for name, word in (("a", PASSWORD), ("b", WRONG))}
    scenario.secret("storage-config", **keys)
    for key in ("a", "b"):
        scenario.serve_files(uri, f"team-{key}", storage={"key": key, "parameters": {"type": "kit"}})
    info = scenario.wait_failed("team-b")
    assert info["exitCode"] == 4
    assert "STORAGE_CONFIG" in info["message"]
    scenario.wait_ready("team-a")
    assert "model.joblib" in scenario.files("services/team-a-predictor:80")
    tells_no_secret(scenario)
