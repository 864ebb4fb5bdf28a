"""JUnit XML, for whatever a CI shows tests with: one suite a profile, the case's id as the name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape, quoteattr

from kit_conformance.report.model import CaseRecord, Report, State, count

if TYPE_CHECKING:
    from collections.abc import Iterator

_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SKIPPED: Final = frozenset({State.SKIPPED, State.NOT_SUPPORTED, State.XFAIL})
_FAILED: Final = frozenset({State.FAIL, State.XPASS})


def junit(report: Report) -> str:
    """Return the report as JUnit XML."""
    return "\n".join(['<?xml version="1.0" encoding="utf-8"?>', *_suites(report), ""])


def _suites(report: Report) -> Iterator[str]:
    totals = report.totals
    yield f'<testsuites name="kit-conformance" {_counts(totals)} time="{report.seconds:.3f}">'
    for profile in report.profiles():
        cases = [case for case in report.cases if case.profile == profile["name"]]
        seconds = sum(case.seconds for case in cases)
        yield (
            f'  <testsuite name={quoteattr(profile["name"])} {_counts(count(cases))} time="{seconds:.3f}"'
            f' timestamp={quoteattr(report.started.rstrip("Z"))} hostname="localhost">'
        )
        for case in cases:
            yield from _case(case)
        yield "  </testsuite>"
    yield "</testsuites>"


def _counts(totals: dict[str, int]) -> str:
    failed = sum(totals[state.value] for state in _FAILED)
    skipped = sum(totals[state.value] for state in _SKIPPED)
    return f'tests="{totals["total"]}" failures="{failed}" errors="{totals["error"]}" skipped="{skipped}"'


def _case(case: CaseRecord) -> Iterator[str]:
    name = f"name={quoteattr(case.id)} classname={quoteattr(f'kit-conformance.{case.profile}')}"
    inside = list(_inside(case))
    if not inside:
        yield f'    <testcase {name} time="{case.seconds:.3f}"/>'
        return
    yield f'    <testcase {name} time="{case.seconds:.3f}">'
    yield from inside
    yield "    </testcase>"


def _inside(case: CaseRecord) -> Iterator[str]:
    message = quoteattr(_clean(case.message.splitlines()[0] if case.message else case.reason))
    text = escape(_clean(case.message))
    if case.result in _FAILED:
        yield f'      <failure type="{case.result.value}" message={message}>{text}</failure>'
    elif case.result is State.ERROR:
        yield f'      <error type="error" message={message}>{text}</error>'
    elif case.result in _SKIPPED:
        why = quoteattr(_clean(f"{case.result.value}: {case.reason}"))
        yield f"      <skipped message={why}/>"
    elif case.result is State.WARN:
        yield f"      <system-out>{escape(_clean(f'warn: {case.message}'))}</system-out>"


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
