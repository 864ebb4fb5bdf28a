"""What became of each scenario, as a record of the conformance suite: profile `cluster`, one record a scenario.

An id is `cluster.<module>.<function>`, with what the scenario was told with behind it: `cluster.kits.a-filter.kit`. A
record is made where a scenario ends and travels with pytest's report of it, to whichever process writes the report.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import pytest

from e2e.harness.waiting import GaveUpError
from kit_conformance.baseline import Entry
from kit_conformance.evidence import Redactor
from kit_conformance.report import CaseRecord, State

if TYPE_CHECKING:
    from collections.abc import Iterator

PROFILE = "cluster"
NOT_RUN = "not run: "
TOO_OLD = "and this is seen from"  # part of the reason when a version lacks what a scenario is about
CANDIDATE = "candidate"  # the parameter that says whose image initializes
FINDINGS = (AssertionError, GaveUpError, pytest.fail.Exception)
_ATTRIBUTE = "scenario_record"
KNOWN = pytest.StashKey[Entry]()  # the baseline's entry of a scenario that it is about
_STATE = pytest.StashKey[tuple[State, str, float]]()


def words(text: str) -> str:
    """Return text as a part of an id."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")


def identify(module: str, function: str, *told_with: str) -> str:
    """Return the id of a scenario."""
    theme = module.rpartition(".")[2].removeprefix("test_")
    return ".".join([PROFILE, *filter(None, map(words, (theme, function.removeprefix("test_"), *told_with)))])


def of(item: pytest.Item) -> str:
    """Return the id of pytest's item; whose image it is that initializes has no part in it."""
    function = getattr(item, "originalname", None) or item.name
    told_with = item.name.removeprefix(function).strip("[]")
    candidate = candidate_of(item)
    return identify(item.path.stem, function, "" if told_with == candidate else told_with)


def candidate_of(item: pytest.Item) -> str:
    """Return whose image initializes: "ours", which is so in most scenarios, or "upstream"."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get(CANDIDATE, "ours")) if callspec else "ours"


def keep(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Note what one phase of a scenario came to, and in the last one give the report its record."""
    before = item.stash.get(_STATE, None)
    told = _phase(item, call, report)
    if told and (before is None or told[0] is State.ERROR):
        item.stash[_STATE] = told
    if call.when == "teardown":
        state, message, seconds = item.stash.get(_STATE, (State.ERROR, "it came to no end", 0.0))
        vars(report)[_ATTRIBUTE] = {
            "candidate": candidate_of(item),
            "id": of(item),
            "result": state.value,
            "message": message,
            "seconds": round(seconds, 3),
            **_about(item),
        }


def hide_secrets(item: pytest.Item, report: pytest.TestReport) -> None:
    """Strike a scenario's secrets out of what pytest itself shows and writes: tracebacks have arguments and source."""
    scenario = getattr(item, "funcargs", {}).get("scenario")
    if scenario is None or not report.failed:
        return
    text = report.longreprtext
    hidden = scenario.redactor.text(text)
    if hidden != text:
        crash = getattr(report.longrepr, "reprcrash", None)
        first = scenario.redactor.text(crash.message.partition("\n")[0]) if crash else ""
        report.longrepr = f"{first}\n\n{hidden}".lstrip()
    report.sections = [(title, scenario.redactor.text(content)) for title, content in report.sections]


def _phase(
    item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
) -> tuple[State, str, float] | None:
    if call.excinfo is not None and call.excinfo.errisinstance(pytest.skip.Exception):
        reason = str(call.excinfo.value).removeprefix(NOT_RUN)
        return (State.NOT_SUPPORTED if TOO_OLD in reason else State.SKIPPED), reason, 0.0
    if call.excinfo is None:
        if call.when != "call":
            return None
        if report.failed:  # it holds, and its baseline says otherwise
            return State.XPASS, "it holds, and the baseline says that it does not", call.duration
        return State.PASS, "", call.duration
    scenario = getattr(item, "funcargs", {}).get("scenario")
    finding = call.when == "call" and call.excinfo.errisinstance(FINDINGS)
    words_of_it = str(call.excinfo.value) if finding else call.excinfo.exconly()
    message = (scenario.redactor if scenario else Redactor()).text(words_of_it.strip())
    if not finding:
        return State.ERROR, message, call.duration
    return (State.XFAIL if report.skipped else State.FAIL), message, call.duration


def _about(item: pytest.Item) -> dict[str, str]:
    """Return what a scenario is about: its own words, or its name and its module's first line."""
    function = getattr(item, "function", None)
    title, _, why = inspect.cleandoc(getattr(function, "__doc__", None) or "").partition("\n")
    module = inspect.getmodule(function)
    theme = inspect.cleandoc((module and module.__doc__) or "").partition("\n")[0]
    mark = item.get_closest_marker("reference")
    known = item.stash.get(KNOWN, Entry(""))
    name = (getattr(item, "originalname", None) or item.name).removeprefix("test_").replace("_", " ")
    return {
        "title": title or name[:1].upper() + name[1:],
        "why": " ".join(why.split()) or theme,
        "ref": str(mark.args[0]) if mark else "",
        "reason": known.reason,
        "url": known.url,
    }


def records(terminal: Any) -> Iterator[tuple[str, CaseRecord]]:  # noqa: ANN401 - pytest has no public type
    """Yield every scenario's record, and whose image it was about, from what pytest's terminal has been told."""
    for reports in terminal.stats.values():
        for report in reports:
            given = getattr(report, _ATTRIBUTE, None)
            if given:
                yield given["candidate"], _record(given)


def crashed(terminal: Any) -> list[str]:  # noqa: ANN401 - as above
    """Return the scenarios whose process died, so that nobody has told what became of them."""
    ended = {r.nodeid for r in terminal.stats.get("failed", []) if getattr(r, "when", "") == "???"}
    return sorted(ended)


def _record(given: dict[str, Any]) -> CaseRecord:
    state = State(given["result"])
    left_out = state in (State.SKIPPED, State.NOT_SUPPORTED)
    return CaseRecord(
        id=given["id"],
        title=given["title"],
        result=state,
        level="MUST",
        profile=PROFILE,
        ref=given["ref"],
        why=given["why"],
        seconds=given["seconds"],
        message="" if left_out else given["message"],
        reason=given["message"] if left_out else given["reason"],
        url=given["url"],
    )
