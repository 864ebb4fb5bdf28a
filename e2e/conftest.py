"""Fixtures of the scenarios, and which of them can run.

Scenarios attach to a cluster that is up; what they need and is not there is reported as not run, with the reason.

`reference` marks say what a scenario stands on: the record that the report has of it names it.
`needs` marks name it: `kserve`, `kit`, one of KServe's runtimes, or an image of versions.toml. A scenario that is not
run never counts as passed: it is skipped with its reason, listed again at the end, and a run of nothing else fails.
"""

from __future__ import annotations

import fcntl
import hashlib
import inspect
import json
import os
import re
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from e2e.harness import evidence, recorder, report, reporting, up
from e2e.harness import state as states
from e2e.harness.images import ABSENT
from e2e.harness.objects import Cluster
from e2e.harness.recorder import NOT_RUN, TOO_OLD
from e2e.harness.scenario import Scenario
from e2e.harness.versions import IMAGES, ROOT, at_least
from e2e.harness.waiting import NotYetError, wait_until
from kit_conformance import baseline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.harness.state import State


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks of the scenarios, and what reports on them."""
    config.pluginmanager.register(reporting, "e2e-reporting")
    config.addinivalue_line("markers", "plain: a scenario without KServe")
    config.addinivalue_line(
        "markers", "alone: what it does reaches the whole cluster, so nothing runs beside it"
    )
    config.addinivalue_line(
        "markers", "needs(name, ...): kserve, kserve>=V, kit, ours (kind's cluster), a runtime or an image"
    )

    config.addinivalue_line("markers", "reference(url): the page that says that it has to be so")


def _absent(state: State, need: str) -> str:
    """Return why a need is not met, or ""."""
    if need.startswith("kserve>="):
        least = need.removeprefix("kserve>=")
        return (
            ""
            if at_least(state.kserve, least)
            else f"KServe is {state.kserve or 'absent'}, {TOO_OLD} {least} on"
        )
    known = {
        "kserve": (state.kserve, f"KServe is absent: {state.kserve_absent}"),
        "ours": (state.private, "it acts on the machine of a cluster, or on all of it: kind's alone"),
        "kit": (state.kit, "no Kit: give --kit VERSION or PATH, or set KIT"),
        report.UPSTREAM: (state.upstream, "no image to put in the place of ours: --upstream-image IMAGE"),
    }
    if need in known:
        return "" if known[need][0] else known[need][1]
    image = state.runtimes.get(need) or IMAGES.get(need)
    if image is None:
        return f"this KServe has no runtime {need}"
    how = state.images.get(image, f"{ABSENT}not asked for")
    return f"{image} is {how}" if how.startswith(ABSENT) else ""


@pytest.fixture(scope="session")
def state() -> State:
    """Return what was brought up."""
    name = os.environ.get("E2E_CLUSTER", up.NAME)
    found = states.load(name)
    if found is None:
        pytest.fail(f"no cluster {name}: python -m e2e.harness up", pytrace=False)
    return found


@pytest.fixture(scope="session")
def cluster(state: State) -> Iterator[Cluster]:
    """Give the cluster's objects."""
    cluster = Cluster(state.kubeconfig, state.run)
    yield cluster
    cluster.close()


@pytest.fixture(autouse=True)
def _has_what_it_needs(request: pytest.FixtureRequest, state: State) -> None:
    engine = request.node.callspec.params.get("engine") if hasattr(request.node, "callspec") else ""
    needs = [str(need) for mark in request.node.iter_markers("needs") for need in mark.args]
    if engine == "kit":
        needs.append("kit")
    if recorder.candidate_of(request.node) == report.UPSTREAM:
        needs += ["ours", report.UPSTREAM]
    if request.node.get_closest_marker("alone"):
        needs.append("ours")
    if "kserve" in needs and not state.kserve:  # and its images are of no interest then
        needs = [need for need in needs if need in ("kserve", "kit", report.UPSTREAM)]
    reasons = sorted({reason for need in needs if (reason := _absent(state, need))})
    if reasons:
        pytest.skip(NOT_RUN + "; ".join(reasons))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tell the scenarios that want the cluster for themselves last, and let them wait for the others."""
    items.sort(key=lambda item: item.get_closest_marker("alone") is not None)
    for item in items:
        if item.get_closest_marker("alone"):
            item.add_marker(pytest.mark.timeout(900))
        if not item.get_closest_marker("reference"):
            raise pytest.UsageError(f"{item.nodeid} has no mark `reference`: say what it stands on")
    known = _baseline(items)
    for item in items:
        entry = known.get(recorder.of(item))
        if entry and recorder.candidate_of(item) == report.UPSTREAM:
            item.stash[recorder.KNOWN] = entry
            reason = f"{entry.reason} ({entry.url})"
            item.add_marker(pytest.mark.xfail(strict=True, reason=reason, raises=recorder.FINDINGS))


def _baseline(items: list[pytest.Item]) -> dict[str, baseline.Entry]:
    """Return what is known not to hold with the image in our place; every entry has to be about a scenario."""
    modules = {item.path.stem: inspect.getmodule(getattr(item, "function", None)) for item in items}
    names = vars(modules["test_contract"]) if "test_contract" in modules else {}
    scenarios = [recorder.identify("test_contract", name) for name in names if name.startswith("test_")]
    try:
        return baseline.load(reporting.BASELINE, scenarios) if scenarios else {}
    except baseline.BaselineError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.fixture
def _turn(request: pytest.FixtureRequest, state: State, _has_what_it_needs: None) -> Iterator[None]:
    """Let scenarios run side by side, in as many processes as there are, but those marked `alone` by themselves."""
    alone = request.node.get_closest_marker("alone") is not None
    with open(states.folder(state.name) / "turn.lock", "a", encoding="ascii") as file:

        def take() -> None:
            try:
                fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            except OSError:
                raise NotYetError("another scenario has it") from None

        wait_until("the cluster", take, timeout=800)
        yield


@pytest.fixture(params=["native", "kit"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    return str(request.param)


@pytest.fixture
def scenario(
    request: pytest.FixtureRequest, state: State, cluster: Cluster, _turn: None
) -> Iterator[Scenario]:
    """Give a namespace for this test alone; when it fails, what explains it is in the report."""
    # short, because KServe makes one DNS label of service and namespace
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower()).strip("-")[:22]
    unique = hashlib.sha256(uuid.uuid4().bytes).hexdigest()[:6]
    scenario = Scenario(state, cluster, f"e2e-{words.strip('-')}-{unique}")
    try:
        yield scenario
        if failure := request.node.stash.get(reporting.FAILED, ""):
            folder = reporting.results() / "failures" / re.sub(r"[^\w.-]+", "-", request.node.name).strip("-")
            evidence.collect(scenario, folder, failure)
            request.node.user_properties.append((reporting.EVIDENCE, str(folder)))
    finally:
        request.node.user_properties.append((reporting.MARKS, scenario.marks))
        scenario.end()


@pytest.fixture(scope="session")
def expected() -> dict[str, Any]:
    """Return what the sample kit's servers are to answer."""
    found: dict[str, Any] = json.loads(
        (ROOT / "fixtures/modelkits/sklearn-iris/expected.json").read_text(encoding="utf-8")
    )
    return found
