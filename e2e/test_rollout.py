"""A new tag under a client in the cluster: old answers until the new pod is Ready, then new ones, and none is lost."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING

import pytest

from e2e.harness.versions import IMAGES
from e2e.harness.waiting import NotYetError, wait_until
from kit_conformance import refs

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.harness.objects import Object
    from e2e.harness.scenario import Scenario

KITFILE = "manifestVersion: 1.0.0\npackage: {name: t}\nmodel: {path: model.bin}\n"
CLIENT = """
import sys, time, urllib.request
last = None
while True:
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=5) as answer:
            body = answer.read().decode()
            seen = next((word for word in sys.argv[2:] if word in body), "strange")
    except OSError as error:
        seen = f"failed {error}"
    if seen != last:
        print(time.time(), seen, flush=True)
    last = seen
    time.sleep(0.05)
"""

pytestmark = [pytest.mark.needs("kserve", "python"), pytest.mark.reference(refs.K8S_LIFECYCLE)]


def client(url: str, *words: str) -> Object:
    """Return a pod that asks all the time, and prints when which of the words came to be in the answers."""
    container = {
        "name": "client",
        "image": IMAGES["python"],
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", CLIENT, url, *words],
        "resources": {"requests": {"cpu": "10m", "memory": "24Mi"}},
    }
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}, "spec": spec}


def test_a_new_tag_under_a_client(scenario: Scenario, tmp_path: Path) -> None:
    scenario.begin()
    scenario.apply(scenario.storage_container())
    (tmp_path / "Kitfile").write_text(KITFILE)
    uris, words = [], []
    for tag in ("v1", "v2"):
        content = f"{scenario.name} {tag}".encode()
        (tmp_path / "model.bin").write_bytes(content)
        uris.append(scenario.push(tmp_path, tag=tag))
        words.append(hashlib.sha256(content).hexdigest())
    name = scenario.serve_files(uris[0])
    scenario.wait_ready(name)
    scenario.apply(client(f"http://{name}-predictor/", *words))

    def seen() -> list[tuple[float, str]]:
        lines = scenario.cluster.logs(scenario.name, "client", "client").split("\n")[:-1]
        return [(float(when), word) for when, _, word in (line.partition(" ") for line in lines)]

    def until(word: str) -> None:
        def look() -> None:
            if [last for _, last in seen()[-1:]] != [word]:
                raise NotYetError(f"{seen()[-3:]}; " + "; ".join(scenario.pod_states()))

        wait_until("the client", look, timeout=100)

    until(words[0])
    before = len(seen())  # cluster DNS may need a moment for a Service that is new
    scenario.serve_files(uris[1])
    until(words[1])
    scenario.wait_gone(2)
    until(words[1])
    answers = seen()[before - 1 :]
    # while both are Ready, either one answers; what counts is that nothing else ever was an answer
    assert {word for _, word in answers} == set(words)
    first_new = next(when for when, word in answers if word == words[1])
    assert first_new >= ready_since(scenario, name) - 1  # Kubernetes tells whole seconds


def ready_since(scenario: Scenario, service: str) -> float:
    """Return when the one pod of a service that is left became Ready, in seconds since 1970."""
    (pod,) = scenario.cluster.pods(scenario.name, f"serving.kserve.io/inferenceservice={service}")
    (when,) = [c["lastTransitionTime"] for c in pod["status"]["conditions"] if c["type"] == "Ready"]
    return dt.datetime.fromisoformat(when).timestamp()
