"""What a run of the scenarios reports: a plugin of pytest that e2e/conftest.py registers.

It strikes secrets out of what pytest shows, keeps a record of each scenario, and at the end lists what was not run and
writes timeline and reports.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from e2e.harness import recorder, report, timeline, up
from e2e.harness import state as states
from e2e.harness.recorder import NOT_RUN
from e2e.harness.versions import ROOT

if TYPE_CHECKING:
    from collections.abc import Generator

    from e2e.harness.state import State

BASELINE = ROOT / "e2e" / "upstream-baseline.yaml"
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


def _properties(terminal: Any, wanted: str) -> list[tuple[str, Any]]:  # noqa: ANN401
    """Return what scenarios left under that name, each with the scenario's id."""
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
            name = (
                told.nodeid.removeprefix("e2e/")
                .removeprefix("test_")
                .replace(".py::test_", ": ")
                .replace("_", " ")
            )
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
