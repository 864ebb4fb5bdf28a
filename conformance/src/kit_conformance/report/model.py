"""The report as values. `report.v1.json` beside this module is its published schema."""

from __future__ import annotations

import json
import platform
from collections import Counter
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from kit_conformance import __version__

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping
    from pathlib import Path

VERSION: Final = 1


class State(StrEnum):
    """What became of a case. None of them ever stands for another."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"  # a MUST does not hold
    WARN = "warn"  # a SHOULD does not hold
    XFAIL = "xfail"  # does not hold, as the baseline says
    XPASS = "xpass"  # holds, though the baseline says that it does not: the entry has to go
    NOT_SUPPORTED = "not-supported"  # asks for a feature that the subject does not claim
    SKIPPED = "skipped"  # left out because somebody asked for that
    ERROR = "error"  # the suite or the machine failed: nothing is known of the subject


STATES: Final = tuple(State)
BAD: Final = frozenset({State.FAIL, State.XPASS})
_RAN: Final = frozenset({State.PASS, State.FAIL, State.WARN, State.XFAIL, State.XPASS})


def suite(kserve: str) -> dict[str, str]:
    """Return what a report says of the suite that made it; `kserve` is the version that it is about, or ""."""
    return {
        "name": "kit-conformance",
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "kserve": kserve,
    }


def stamp(moment: dt.datetime) -> str:
    """Return a moment (UTC) as reports have it: 2026-01-31T12:00:00Z."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


class ReportError(Exception):
    """A document that is no report, or one that contradicts itself."""


@dataclass(frozen=True)
class CaseRecord:
    """One case of one run. `evidence` has runs, requests and differences for those that did not pass."""

    id: str
    title: str
    result: State
    level: str
    profile: str
    features: tuple[str, ...] = ()
    ref: str = ""
    why: str = ""
    seconds: float = 0.0
    message: str = ""
    reason: str = ""
    url: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    exit_code: int | None = None  # of the subject's last run, where the case did not pass


@dataclass(frozen=True)
class Report:
    """A run of the suite. `cases` has a record for every case that was selected, whatever became of it."""

    suite: Mapping[str, Any]
    started: str
    seconds: float
    subject: Mapping[str, Any]
    configuration: Mapping[str, Any]
    cases: tuple[CaseRecord, ...]
    stale: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def totals(self) -> dict[str, int]:
        """Return how many cases have each state; they add up to the number of cases."""
        return count(self.cases)

    @property
    def result(self) -> str:
        """Return "conformant", "not-conformant" or "error"."""
        return result_of(self.cases, stale=self.stale, problems=self.problems)

    @property
    def label(self) -> str:
        """Return what the subject is called in tables: name and versions."""
        version = self.subject.get("version") or ""
        kit = (self.subject.get("kit") or {}).get("version", "")
        kit = f" on Kit {kit}" if kit and self.subject.get("name") != "kit-unpack" else ""
        return f"{self.subject['name']} {version}".strip() + kit

    def profiles(self) -> list[dict[str, Any]]:
        """Return each profile's result and statistics, with the features that were claimed or not."""
        claimed = set(self.subject.get("features", ()))
        found = []
        for name in dict.fromkeys(case.profile for case in self.cases):
            cases = [case for case in self.cases if case.profile == name]
            asked = {feature for case in cases for feature in case.features}
            found.append(
                {
                    "name": name,
                    "result": _profile_result(cases),
                    "statistics": count(cases),
                    "supportedFeatures": sorted(asked & claimed),
                    "unsupportedFeatures": sorted(asked - claimed),
                    "failed": [case.id for case in cases if case.result in BAD],
                    "skipped": [case.id for case in cases if case.result is State.SKIPPED],
                }
            )
        return found

    def document(self) -> dict[str, Any]:
        """Return the report as JSON values, in the shape of the schema."""
        return {
            "schema_version": VERSION,
            "suite": dict(self.suite),
            "started": self.started,
            "seconds": round(self.seconds, 3),
            "subject": dict(self.subject),
            "configuration": dict(self.configuration),
            "result": self.result,
            "totals": self.totals,
            "profiles": self.profiles(),
            "cases": [asdict(case) for case in self.cases],
            "stale": list(self.stale),
            "problems": list(self.problems),
        }

    def dump(self) -> str:
        """Return the document as text."""
        return json.dumps(self.document(), indent=1, ensure_ascii=False) + "\n"


def count(cases: Iterable[CaseRecord]) -> dict[str, int]:
    """Return how often each state occurs, zeros included, and the total."""
    counted = Counter(case.result for case in cases)
    return {**{state.value: counted[state] for state in STATES}, "total": counted.total()}


def result_of(cases: Iterable[CaseRecord], *, stale: Iterable[str] = (), problems: Iterable[str] = ()) -> str:
    """Judge a run: an error of the suite comes before a failure of the subject, and nothing run is an error."""
    states = {case.result for case in cases}
    if tuple(problems) or State.ERROR in states or not states & _RAN:
        return "error"
    return "not-conformant" if states & BAD or tuple(stale) else "conformant"


def _profile_result(cases: Iterable[CaseRecord]) -> str:
    """Return "failure", "partial" (some MUST was skipped or not run) or "success", as Gateway API's reports do."""
    states = {case.result for case in cases}
    if states & BAD:
        return "failure"
    if states & {State.SKIPPED, State.ERROR, State.XFAIL}:
        return "partial"
    return "success" if states & _RAN else "partial"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the report."""
    text = (files("kit_conformance.report") / "report.v1.json").read_text("utf-8")
    return json.loads(text)  # type: ignore[no-any-return]


def load(path: Path | str) -> Report:
    """Read a report and check that it does not contradict itself. Raises ReportError."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError) as error:
        raise ReportError(f"{path} cannot be read: {error}") from error
    try:
        return parse(document)
    except ReportError as error:
        raise ReportError(f"{path}: {error}") from error


def parse(document: object) -> Report:
    """Make a report of JSON values. Raises ReportError."""
    if not isinstance(document, dict) or document.get("schema_version") != VERSION:
        raise ReportError(f"this is no report of schema version {VERSION}")
    try:
        cases = tuple(_case(each) for each in document["cases"])
        report = Report(
            suite=_map(document["suite"]),
            started=str(document["started"]),
            seconds=float(document["seconds"]),
            subject=_map(document["subject"]),
            configuration=_map(document["configuration"]),
            cases=cases,
            stale=tuple(map(str, document["stale"])),
            problems=tuple(map(str, document["problems"])),
        )
        claims = (document["result"], document["totals"])
        str(report.subject["name"])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ReportError(f"the report is not complete: {error!r}") from error
    if len({case.id for case in cases}) != len(cases):
        raise ReportError("a case is reported twice")
    if claims != (report.result, report.totals):
        raise ReportError(f"it says {claims[0]} with {claims[1]}, and its cases make {report.result}")
    return report


def _case(value: Mapping[str, Any]) -> CaseRecord:
    return CaseRecord(
        id=str(value["id"]),
        title=str(value["title"]),
        result=State(value["result"]),
        level=str(value["level"]),
        profile=str(value["profile"]),
        features=tuple(map(str, value["features"])),
        ref=str(value["ref"]),
        why=str(value["why"]),
        seconds=float(value["seconds"]),
        message=str(value["message"]),
        reason=str(value["reason"]),
        url=str(value["url"]),
        evidence=_map(value["evidence"]),
        exit_code=None if value.get("exit_code") is None else int(value["exit_code"]),
    )


def _map(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is not a map")
    return value
