"""Stories attach to a cluster that is up; what they need and is not there is reported as not run, with the reason.

`reference` marks say what a story stands on: the record that the report has of it names it.
`needs` marks name it: `kserve`, `kit`, one of KServe's runtimes, or an image of versions.toml. A story that is not
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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from e2e.harness import evidence, recorder, report, timeline, up
from e2e.harness import state as states
from e2e.harness.images import ABSENT
from e2e.harness.objects import Cluster
from e2e.harness.recorder import NOT_RUN, TOO_OLD
from e2e.harness.story import Story
from e2e.harness.versions import IMAGES, ROOT, at_least
from e2e.harness.waiting import NotYetError, wait_until
from kit_conformance import baseline

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from e2e.harness.state import State

BASELINE = Path(__file__).with_name("upstream-baseline.yaml")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks of the stories."""
    config.addinivalue_line("markers", "plain: a story without KServe")
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
    """Tell the stories that want the cluster for themselves last, and let them wait for the others."""
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
    """Return what is known not to hold with the image in our place; every entry has to be about a story."""
    modules = {item.path.stem: inspect.getmodule(getattr(item, "function", None)) for item in items}
    names = vars(modules["test_contract"]) if "test_contract" in modules else {}
    stories = [recorder.identify("test_contract", name) for name in names if name.startswith("test_")]
    try:
        return baseline.load(BASELINE, stories) if stories else {}
    except baseline.BaselineError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.fixture
def _turn(request: pytest.FixtureRequest, state: State, _has_what_it_needs: None) -> Iterator[None]:
    """Let stories run side by side, in as many processes as there are, but those marked `alone` by themselves."""
    alone = request.node.get_closest_marker("alone") is not None
    with open(states.folder(state.name) / "turn.lock", "a", encoding="ascii") as file:

        def take() -> None:
            try:
                fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            except OSError:
                raise NotYetError("another story has it") from None

        wait_until("the cluster", take, timeout=800)
        yield


@pytest.fixture(params=["native", "kit"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    return str(request.param)


@pytest.fixture
def story(request: pytest.FixtureRequest, state: State, cluster: Cluster, _turn: None) -> Iterator[Story]:
    """Give a namespace for this test alone; when it fails, what explains it is in the report."""
    # short, because KServe makes one DNS label of service and namespace
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower()).strip("-")[:22]
    unique = hashlib.sha256(uuid.uuid4().bytes).hexdigest()[:6]
    story = Story(state, cluster, f"e2e-{words.strip('-')}-{unique}")
    try:
        yield story
        if failure := request.node.stash.get(FAILED, ""):
            folder = results() / "failures" / re.sub(r"[^\w.-]+", "-", request.node.name).strip("-")
            evidence.collect(story, folder, failure)
            request.node.user_properties.append((EVIDENCE, str(folder)))
    finally:
        request.node.user_properties.append((MARKS, story.marks))
        story.end()


FAILED = pytest.StashKey[str]()
EVIDENCE, MARKS = "evidence", "marks"


def results() -> Path:
    """Return the folder of reports."""
    return Path(os.environ.get("RESULTS") or ROOT / "results").absolute() / "e2e"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures know that their test has failed, and the report what became of it."""
    told = yield
    recorder.hide_secrets(item, told)
    if told.when == "call" and told.failed:
        item.stash[FAILED] = f"{item.nodeid}\n\n{told.longreprtext}"
    recorder.keep(item, call, told)
    return told


@pytest.fixture(scope="session")
def expected() -> dict[str, Any]:
    """Return what the sample kit's servers are to answer."""
    found: dict[str, Any] = json.loads(
        (ROOT / "fixtures/modelkits/sklearn-iris/expected.json").read_text(encoding="utf-8")
    )
    return found


def _properties(terminal: Any, wanted: str) -> list[tuple[str, Any]]:  # noqa: ANN401
    """Return what stories left under that name, each with the story's id."""
    reports = [
        r for reports in terminal.stats.values() for r in reports if getattr(r, "when", "") == "teardown"
    ]
    return [(r.nodeid, value) for r in reports for name, value in r.user_properties if name == wanted]


def _spans(terminal: Any, made: State) -> list[timeline.Span]:  # noqa: ANN401
    marks = dict(_properties(terminal, MARKS))
    spans = {}
    for outcome, result in (
        ("passed", "passed"),
        ("skipped", "not run"),
        ("xfailed", "known"),
        ("failed", "failed"),
        ("error", "failed"),
    ):
        for told in terminal.getreports(outcome):
            at = [(name, when - made.began) for name, when in marks.get(told.nodeid, [])]
            start, stop = (round(moment - made.began, 2) for moment in (told.start, told.stop))
            name = told.nodeid.removeprefix("e2e/").removeprefix("test_").replace(".py::test_", " ")
            spans[told.nodeid] = timeline.Span(name, result, start, stop, at)
    return list(spans.values())


def _not_run(terminal: Any) -> list[str]:  # noqa: ANN401 - pytest's terminal reporter has no public type
    lines = []
    for told in terminal.getreports("skipped"):
        reason = str(told.longrepr[2] if isinstance(told.longrepr, tuple) else told.longrepr)
        if NOT_RUN in reason:
            lines.append(f"{told.nodeid}: {reason.partition(NOT_RUN)[2]}")
    return sorted(lines)


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:  # noqa: ANN401
    """List what was not run, what everything was run on, and last where each failure is explained."""
    del exitstatus
    lines = _not_run(terminalreporter)
    if lines:
        terminalreporter.section(f"not run: {len(lines)}")
        for line in lines:
            terminalreporter.line(line)
    found = states.load(os.environ.get("E2E_CLUSTER", up.NAME))
    if found:
        terminalreporter.section("run on")
        terminalreporter.line(up.describe(found))
        page = timeline.write(results(), found, _spans(terminalreporter, found))
        terminalreporter.line(f"timeline     {page}")
        known = sorted(yaml.safe_load(BASELINE.read_text(encoding="utf-8")) or {})
        for page in report.write(results(), found, terminalreporter, config.invocation_params.args, known):
            terminalreporter.line(f"report       {page}")
    folders = [value for _, value in _properties(terminalreporter, EVIDENCE)]
    if folders:
        terminalreporter.section("failures are explained in")
        for folder in folders:
            terminalreporter.line(f"{folder}/what-happened.txt")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Do not call it success when nothing has run."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == 0 and terminal and not terminal.stats.get("passed"):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
