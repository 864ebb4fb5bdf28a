"""What is said at the end of a run: failures by cause, and the command that repeats each."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

from kit_conformance.report import State
from kit_conformance.selection import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kit_conformance.report import CaseRecord, Report
    from kit_conformance.selection import Options

_SHOWN: Final = (State.ERROR, State.FAIL, State.XPASS, State.WARN)
_VARYING: Final = re.compile(r"sha\d+:[0-9a-f]+|(?<=[\s'\"(])/\S+|\d+(?:\.\d+)?")
_CASES: Final = 10  # of one cause that are listed
# What a run of one case is not to be given again.
_OTHERS: Final = frozenset(
    {"--profile", "--case", "--skip", "--as-of", "--results", "--write-baseline", "--keep"}
)


def lines(report: Report, options: Options, written: Path | None) -> Iterator[str]:
    """Yield the lines for the terminal: each cause with its cases, then the verdict and where to read more."""
    for (state, _), cases in _causes(report).items():
        yield from _cause(state, cases, options)
    for identifier in report.stale:
        yield f"stale: {identifier} is in the baseline, and this subject is not asked for it"
    for problem in report.problems:
        yield f"error: {problem}"
    totals = ", ".join(
        f"{number} {name}" for name, number in report.totals.items() if number and name != "total"
    )
    yield f"{report.label}: {report.result} ({totals} of {report.totals['total']})"
    if written is not None:
        yield f"report: {written}"


def _causes(report: Report) -> dict[tuple[State, str], list[CaseRecord]]:
    found: dict[tuple[State, str], list[CaseRecord]] = {}
    for state in _SHOWN:
        for record in report.cases:
            if record.result is state:
                found.setdefault((state, _VARYING.sub("…", _first(record))), []).append(record)
    return found


def _first(record: CaseRecord) -> str:
    return (record.message.splitlines() or [""])[0]


def _cause(state: State, cases: list[CaseRecord], options: Options) -> Iterator[str]:
    several = f" ({len(cases)} cases)" if len(cases) > 1 else ""
    yield f"{state.value}: {_first(cases[0])}{several}"
    for record in cases[:_CASES]:
        yield f"  {record.id:<44} {record.title}"
        if kept := record.evidence.get("kept"):
            yield f"    kept: {kept}"
    if len(cases) > _CASES:
        yield f"  … and {len(cases) - _CASES} more"
    yield f"  repeat: {repeat(cases[0].id, options)}"
    yield ""


def repeat(identifier: str, options: Options) -> str:
    """Return the command that runs one case again, and keeps what it leaves."""
    words = ["kit-conformance", "run"]
    for option in OPTIONS:
        value = options.values.get(option.name)
        if not value or option.name in _OTHERS:
            continue
        if option.switch:
            words.append(option.name)
            continue
        for each in value if option.many else [value]:
            words += [option.name, str(each)]
    words += ["--case", identifier, "--keep"]
    if results := options.text("--results"):
        words += ["--results", f"{results.rstrip('/')}/repeat"]
    return shlex.join(words)
