"""One run of the suite inside pytest: which cases run, what becomes of each, and the report."""

from __future__ import annotations

import datetime as dt
import json
import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from kit_conformance import baseline, closing, kit, lab, preflight
from kit_conformance.catalog import FEATURES, Case, CatalogError, Level, case_of, catalog
from kit_conformance.evidence import Redactor
from kit_conformance.report import CaseRecord, Report, State, stamp, suite
from kit_conformance.report.files import put, write
from kit_conformance.result import Finding
from kit_conformance.selection import OptionError, configuration
from kit_conformance.subject import (
    CannotError,
    ConfigError,
    SubjectError,
    UnavailableError,
    connect,
)
from kit_conformance.testbed.kits import PushError, reach

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from kit_conformance.selection import Options
    from kit_conformance.subject import Subject
    from kit_conformance.subject.base import Identity

_EVIDENCE: Final = pytest.StashKey[dict[str, Any]]()
_VERDICT: Final = pytest.StashKey[tuple[State, str]]()
_SECONDS: Final = pytest.StashKey[float]()
_BAD_LETTERS: Final = {
    State.WARN: ("warn", "w", "WARN"),
    State.ERROR: ("error", "E", "ERROR"),
    State.NOT_SUPPORTED: ("not-supported", "-", "NOT-SUPPORTED"),
    State.XPASS: ("xpassed", "X", "XPASS"),
}


class Session:
    """The plugin of a run. With xdist every worker has one that runs cases, and the controller one that counts."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self.config = config
        self.options = options
        self.worker = hasattr(config, "workerinput")
        try:
            self.subject_config = configuration(options)
            self.cases = {each.id: each for each in options.cases(self.subject_config)}
            self.kit = kit.given(options)
            self.subject: Subject = connect(
                options.subject,
                self.subject_config,
                kit=self.kit,
                context=options.text("--kube-context"),
                address=options.text("--address"),
                helper=options.text("--helper-image"),
            )
            self.baseline = self._baseline(options.text("--baseline"))
            self.settings = lab.Settings(
                factor=options.slow,
                registry=options.text("--registry"),
                kit=self.kit,
                mlserver=options.text("--mlserver"),
                manifests=options.many("--manifest"),
                keep=options.on("--keep"),
            )
        except (ConfigError, OptionError, CatalogError, SubjectError, baseline.BaselineError) as error:
            raise pytest.UsageError(str(error)) from error
        self.started = dt.datetime.now(dt.UTC)
        self.began = time.monotonic()
        self.records: dict[str, CaseRecord] = {}
        self.expected: set[str] = set()
        self.problems: list[str] = []
        self.identity: Identity | None = None
        self.report: Report | None = None
        self.written: Path | None = None

    def _baseline(self, path: str) -> dict[str, baseline.Entry]:
        """Return the entries that apply: some speak of released Kits alone."""
        found = baseline.load(path, catalog()) if path else {}
        if not any(entry.only_with for entry in found.values()):
            return found
        if self.kit:
            version = kit.identity(self.kit)["version"]
        else:
            version = self.subject.identity.version if self.subject_config.name == "kit-unpack" else "0"
        released = kit.released(version)
        return {each: entry for each, entry in found.items() if released or not entry.only_with}

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Find out what is tested, before anything is: an image that does not start is no failure of a case."""
        if self.worker:
            return
        try:
            if self.settings.registry:
                reach(self.settings.registry)
            self.identity = self.subject.identity
            preflight.check(self.subject, self.settings, self.cases.values(), self.options)
        except (PushError, SubjectError) as error:
            self.subject.close()
            raise pytest.UsageError(str(error)) from error

    # which cases run

    def pytest_report_header(self) -> list[str]:
        """Say what is tested."""
        identity = self.identity
        if identity is None:
            return []
        return [
            f"subject: {identity.given} as {self.subject_config.name} {identity.version}".rstrip(),
            f"cases: {len(self.cases)} of {', '.join(dict.fromkeys(each.profile for each in self.cases.values()))}",
        ]

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out the cases that are not selected; tests that are no cases are none of our business."""
        out = [item for item in items if (found := _case(item)) and found.id not in self.cases]
        if out:
            config.hook.pytest_deselected(items=out)
            items[:] = [item for item in items if item not in out]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note what will run: every one of these gets a record."""
        self.expected |= {found.id for item in session.items if (found := _case(item))}

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: Iterable[str]) -> None:
        """Note what the workers will run."""
        del node
        self.expected |= {found.id for each in ids if (found := self.at(each))}

    def at(self, node: str) -> Case | None:
        """Return the case of a pytest node id."""
        return next((each for each in catalog().values() if f"/{node}".endswith(f"/{each.node}")), None)

    # what becomes of each

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Leave out what was asked to be left out, and what the subject does not claim."""
        found = _case(item)
        if found is None:
            return
        verdict = self._before(found)
        if verdict is not None:
            item.stash[_VERDICT] = verdict
            pytest.skip(verdict[1])

    def _before(self, found: Case) -> tuple[State, str] | None:
        for pattern in self.options.many("--skip"):
            if fnmatchcase(found.id, pattern):
                return State.SKIPPED, f"left out by --skip {pattern}"
        missing = sorted(found.features - self.subject_config.features)
        if missing:
            return State.NOT_SUPPORTED, "; ".join(f"{name}: {FEATURES[name]}" for name in missing)
        if self.settings.registry and not found.any_registry:
            return State.SKIPPED, "needs the testbed's own registry, and --registry names another"
        return None

    def lab(self, request: pytest.FixtureRequest) -> Generator[lab.Lab]:
        """Give a case its lab, and keep what a report wants of it."""
        with lab.new(self.subject, self.settings) as made:
            yield made
            evidence: dict[str, Any] = made.redactor.value(made.evidence())
            if self.settings.keep:
                evidence["kept"] = str(made.folder)
                put(made.folder / "evidence.json", json.dumps(evidence, indent=1))
            request.node.stash[_EVIDENCE] = evidence

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Turn what happened into a state, and that into what pytest shows."""
        report = yield
        found = _case(item)
        if found is None:
            return report
        item.stash[_SECONDS] = item.stash.get(_SECONDS, 0.0) + call.duration
        state, message = item.stash.get(_VERDICT, (None, ""))
        if call.when == "call" or (
            call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception)
        ):
            before = state
            state, message = self._judge(found, call)
            if before is not None and call.when == "teardown" and before is not State.PASS:
                state = State.ERROR if before is State.ERROR else before
            item.stash[_VERDICT] = (state, message)
            self._show(report, state, message, self.baseline.get(found.id))
        elif state is not None and call.when == "setup":
            vars(report)["kc_state"] = state.value
        if call.when == "teardown":
            state, message = item.stash[_VERDICT]
            vars(report)["kc_record"] = self._record(found, state, message, item)
        return report

    def _judge(self, found: Case, call: pytest.CallInfo[None]) -> tuple[State, str]:
        known = self.baseline.get(found.id)
        error = call.excinfo.value if call.excinfo is not None else None
        if error is None:
            return (
                (State.XPASS, f"it holds, and the baseline says: {known.reason}")
                if known
                else (State.PASS, "")
            )
        if isinstance(error, (lab.NotSupportedError, UnavailableError)):
            return State.NOT_SUPPORTED, str(error)
        if call.when != "call" or not isinstance(error, AssertionError):
            kind = "" if isinstance(error, CannotError) else f"{type(error).__name__}: "
            return State.ERROR, f"{kind}{error}"
        if known:
            return State.XFAIL, str(error)
        return (State.WARN if found.level is Level.SHOULD else State.FAIL), str(error)

    def _show(
        self, report: pytest.TestReport, state: State, message: str, known: baseline.Entry | None
    ) -> None:
        vars(report)["kc_state"] = state.value
        if state is State.XFAIL:
            report.outcome = "skipped"
            report.wasxfail = known.reason if known else ""
        elif state is State.NOT_SUPPORTED:
            report.outcome = "skipped"
            report.longrepr = ("", 0, f"Skipped: {message}")
        elif state is State.WARN:
            report.outcome = "passed"
        elif state is State.XPASS:
            report.outcome = "failed"
            report.longrepr = message
        elif state is State.FAIL:
            report.longrepr = message  # the case's own words; its code is of no interest here

    def _record(self, found: Case, state: State, message: str, item: pytest.Item) -> dict[str, Any]:
        quiet = {State.PASS, State.XPASS, State.NOT_SUPPORTED, State.SKIPPED}
        kept: dict[str, Any] = item.stash.get(_EVIDENCE, {})
        evidence = {} if state in quiet else dict(kept)
        lines = message.split("\n  ")[1:]
        if evidence and lines:
            evidence["differences"] = lines
        runs = reversed(evidence.get("runs", ()))  # of several the last one is what the case is about
        known = self.baseline.get(found.id)
        left_out = state in {State.NOT_SUPPORTED, State.SKIPPED}
        redact = Redactor()
        return {
            "id": found.id,
            "state": state.value,
            "message": "" if left_out else redact.text(message),
            "reason": message if left_out else known.reason if known else "",
            "url": known.url if known else "",
            "seconds": round(float(item.stash.get(_SECONDS, 0.0)), 3),
            "evidence": evidence,
            "exit_code": next((run["exit"] for run in runs if isinstance(run.get("exit"), int)), None),
        }

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Show the states that pytest does not have."""
        state = getattr(report, "kc_state", None)
        shown = _BAD_LETTERS.get(State(state)) if state else None
        if shown is None or (report.when == "setup" and report.passed) or report.when == "teardown":
            return None
        return shown

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the records, in the process that writes the report."""
        if self.worker:
            return
        given = getattr(report, "kc_record", None)
        if given is not None:
            self.records[given["id"]] = _complete(catalog()[given["id"]], given)
        elif report.when not in {"setup", "call", "teardown"} and (found := self.at(report.nodeid)):
            message = "the process that ran this case has crashed"
            self.records[found.id] = _complete(found, {"state": "error", "message": message})

    # the report

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the report, whatever has happened, and let the exit code say what is in it."""
        if self.worker or self.identity is None:
            self.subject.close()
            return
        for identifier in sorted(self.expected - self.records.keys()):
            given = {"state": "error", "message": "it was selected and did not come to run"}
            self.records[identifier] = _complete(catalog()[identifier], given)
        if exitstatus in {2, 3, 4}:
            self.problems.append(f"the run was broken off (pytest's exit code {int(exitstatus)})")
        self.report = self._report(self.identity)
        try:
            self._write(self.report)
        except OSError as error:
            self.problems.append(f"the report could not be written: {error}")
            self.report = self._report(self.identity)
        self.subject.close()
        code = {"conformant": 0, "not-conformant": 1, "error": 2}[self.report.result]
        others = code == 0 and exitstatus == 1  # tests that are no cases have failed
        session.exitstatus = 1 if others else code

    def _write(self, report: Report) -> None:
        if results := self.options.text("--results"):
            self.written = write(report, Path(results))
        if path := self.options.text("--write-baseline"):
            put(Path(path), baseline.write(report.cases, self.baseline))

    def _report(self, identity: Identity) -> Report:
        redactor = Redactor()
        cases = tuple(self.records[each] for each in catalog() if each in self.records)
        return Report(
            suite=suite(self.options.text("--kserve")),
            started=stamp(self.started),
            seconds=time.monotonic() - self.began,
            subject={
                "name": self.subject_config.name,
                "given": redactor.text(identity.given),
                "kind": identity.kind,
                "digest": identity.digest,
                "version": identity.version,
                "features": sorted(self.subject_config.features),
                "details": redactor.value(dict(identity.details)),
                **({"kit": kit.identity(self.kit)} if self.kit else {}),
            },
            configuration={
                "options": {
                    name: redactor.value(value)
                    for name, value in self.options.values.items()
                    if value and name != "--subject"
                },
                "environment": redactor.environment(self.subject_config.environment.items()),
                "arguments": list(self.subject_config.arguments),
                "baseline": sorted(self.baseline),
            },
            cases=cases,
            stale=tuple(self._stale(cases)),
            problems=tuple(self.problems),
        )

    def _stale(self, cases: Iterable[CaseRecord]) -> Iterable[str]:
        """Yield the entries of the baseline for cases that this subject is not even asked."""
        for record in cases:
            if record.id in self.baseline and record.result is State.NOT_SUPPORTED:
                yield record.id

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what came of it, and where to read more."""
        report = self.report
        if report is None:
            return
        terminalreporter.section("conformance")
        for line in closing.lines(report, self.options, self.written):
            terminalreporter.write_line(line)


def session_of(config: pytest.Config) -> Session:
    """Return the run that pytest is in. Raises UsageError when it is in none."""
    found = config.pluginmanager.get_plugin("kit-conformance-session")
    if not isinstance(found, Session):
        raise pytest.UsageError("the cases need a subject: --subject command:…, image:… or pod:…")
    return found


def _case(item: pytest.Item) -> Case | None:
    return case_of(getattr(item, "function", None))


def _complete(found: Case, given: dict[str, Any]) -> CaseRecord:
    return CaseRecord(
        id=found.id,
        title=found.title,
        result=State(given["state"]),
        level=found.level.value,
        profile=found.profile,
        features=tuple(sorted(found.features)),
        ref=found.ref,
        why=found.why,
        seconds=given.get("seconds", 0.0),
        message=given.get("message", ""),
        reason=given.get("reason", ""),
        url=given.get("url", ""),
        evidence=given.get("evidence", {}),
        exit_code=given.get("exit_code"),
    )


__all__ = ["Finding", "Session", "session_of"]
