"""The report as one page that needs nothing but itself: a matrix, what does not hold first, then everything."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from kit_conformance.report.model import STATES, CaseRecord, Report, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Column = tuple[str, Report]

_SIGNS: Final = {
    State.PASS: "✓",
    State.FAIL: "✕",
    State.WARN: "!",
    State.XFAIL: "✕",
    State.XPASS: "?",
    State.NOT_SUPPORTED: "·",
    State.SKIPPED: "»",
    State.ERROR: "E",
}
_MEANINGS: Final = {
    State.PASS: "holds",
    State.FAIL: "a MUST does not hold",
    State.WARN: "a SHOULD does not hold",
    State.XFAIL: "does not hold, as its baseline says",
    State.XPASS: "holds, though its baseline says otherwise",
    State.NOT_SUPPORTED: "asks for a feature that is not claimed",
    State.SKIPPED: "was left out",
    State.ERROR: "the suite or the machine failed",
}
_VERDICTS: Final = {"conformant": "conformant", "not-conformant": "not conformant", "error": "no verdict"}
_OPENED: Final = 6  # failures that are shown opened; of more there is an index
_FIRST: Final = (State.FAIL, State.XPASS, State.ERROR, State.WARN, State.XFAIL)


def page(columns: Sequence[Column]) -> str:
    """Return the page for one run, or for several side by side."""
    assets = files("kit_conformance.report")
    style = (assets / "page.css").read_text("utf-8")
    script = (assets / "page.js").read_text("utf-8")
    title = columns[0][0] if len(columns) == 1 else f"{len(columns)} runs"
    body = "\n".join(_body(columns))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Conformance: {escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"{body}\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _body(columns: Sequence[Column]) -> Iterator[str]:
    yield '<header><p class="suite">kit-conformance</p>'
    if len(columns) == 1:
        yield from _heading(*columns[0])
    else:
        yield f"<h1>{len(columns)} runs side by side</h1>"
    yield "</header><main>"
    if len(columns) > 1:
        yield from _grid(columns)
    yield from _profiles(columns)
    yield from _legend(columns)
    yield _tools(several=len(columns) > 1)
    yield from _failures(columns)
    yield from _cases(columns)
    yield from _about(columns)
    yield "</main>"


def _heading(name: str, report: Report) -> Iterator[str]:
    totals = report.totals
    yield f"<h1>{escape(name)} {_verdict(report)}</h1>"
    counted = ", ".join(f"{totals[state.value]} {state.value}" for state in STATES if totals[state.value])
    yield f"<p>{totals['total']} cases: {counted}; {report.seconds:.0f} s, {escape(report.started)}</p>"
    yield _bar(totals)
    for problem in report.problems:
        yield f'<p class="problem">{escape(problem)}</p>'
    for entry in report.stale:
        yield f'<p class="problem">{escape(entry)} is in the baseline and not supported: remove it there</p>'


def _bar(totals: dict[str, int]) -> str:
    parts = "".join(
        f'<span class="{name}" style="flex-grow:{totals[name]}" title="{totals[name]} {name}"></span>'
        for name in map(str, STATES)
        if totals[name]
    )
    return f'<div class="bar">{parts}</div>'


def _grid(columns: Sequence[Column]) -> Iterator[str]:
    """Yield Kit versions against KServe versions, where the reports name both."""
    cells: dict[tuple[str, str], list[Column]] = {}
    for column in columns:
        kserve = str(column[1].suite.get("kserve") or "")
        if kserve:
            cells.setdefault((column[1].label, kserve), []).append(column)
    if not cells:
        return
    versions = sorted({kserve for _, kserve in cells}, key=_natural)
    yield '<section><h2>By KServe version</h2><div class="wide"><table class="grid"><thead><tr><th>Kit</th>'
    yield from (f"<th>KServe {escape(each)}</th>" for each in versions)
    yield "</tr></thead><tbody>"
    for label in dict.fromkeys(label for label, _ in cells):
        yield f"<tr><th>{escape(label)}</th>"
        for version in versions:
            found = cells.get((label, version))
            yield f"<td>{_verdict(found[-1][1])}</td>" if found else '<td class="none">not run</td>'
        yield "</tr>"
    yield "</tbody></table></div></section>"


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdigit() else 0, part) for part in text.lstrip("v").split(".")]


def _verdict(report: Report) -> str:
    """Return the verdict; one that owes something to its baseline must not look like one that does not."""
    known = report.totals[State.XFAIL.value]
    if report.result == "conformant" and known:
        return f'<span class="verdict known">{known} known failures</span>'
    return f'<span class="verdict {report.result}">{_VERDICTS[report.result]}</span>'


def _profiles(columns: Sequence[Column]) -> Iterator[str]:
    several = len(columns) > 1
    names = list(dict.fromkeys(each["name"] for _, report in columns for each in report.profiles()))
    yield '<section><h2>Profiles</h2><div class="wide"><table class="grid"><thead><tr><th>profile</th>'
    yield from (f"<th>{escape(name if several else 'cases that hold')}</th>" for name, _ in columns)
    yield "</tr></thead><tbody>"
    if several:
        yield (
            "<tr><th>verdict</th>"
            + "".join(f"<td>{_verdict(report)}</td>" for _, report in columns)
            + "</tr>"
        )
    for name in names:
        yield f"<tr><th>{escape(name)}</th>"
        for _, report in columns:
            found = next((each for each in report.profiles() if each["name"] == name), None)
            yield _profile(found) if found else '<td class="none">not run</td>'
        yield "</tr>"
    yield "</tbody></table></div></section>"


def _profile(found: dict[str, Any]) -> str:
    numbers = found["statistics"]
    asked = numbers["total"] - numbers[State.NOT_SUPPORTED.value]
    return f'<td class="{found["result"]}"><b>{numbers["pass"]}</b> of {asked}{_bar(numbers)}</td>'


def _legend(columns: Sequence[Column]) -> Iterator[str]:
    used = {case.result for _, report in columns for case in report.cases}
    yield '<p class="legend">'
    for state in STATES:
        if state in used:
            yield f"<span>{_sign(state)} {escape(state.value)}: {escape(_MEANINGS[state])}</span>"
    yield "</p>"


def _sign(state: State) -> str:
    return f'<span class="sign {state.value}" title="{state.value}">{_SIGNS[state]}</span>'


def _failures(columns: Sequence[Column]) -> Iterator[str]:
    """Yield what does not hold, the worst first; a case that several runs fail comes once, with all of them."""
    found: dict[str, list[tuple[str, CaseRecord]]] = {}
    for state in _FIRST:
        for name, report in columns:
            for case in report.cases:
                if case.result is state:
                    found.setdefault(case.id, []).append((name, case))
    if not found:
        yield f"<section><h2>{_nothing_fails(columns)}</h2></section>"
        return
    several = len(columns) > 1
    yield f"<section><h2>What does not hold ({len(found)} {'case' if len(found) == 1 else 'cases'})</h2>"
    if len(found) > _OPENED:
        links = (f'<li><a href="#case-{escape(name)}">{escape(name)}</a></li>' for name in found)
        yield f'<ul class="index">{"".join(links)}</ul>'
    for cases in found.values():
        yield from _several(cases) if several else _single(cases[0][1], opened=len(found) <= _OPENED)
    yield "</section>"


def _nothing_fails(columns: Sequence[Column]) -> str:
    """Return what may be said where no case fails: that everything holds only where every case was run."""
    states = [case.result for _, report in columns for case in report.cases]
    left = sum(state in {State.SKIPPED, State.NOT_SUPPORTED} for state in states)
    if not states or left == len(states):
        return "No case was run"
    return f"Nothing fails; {left} cases were not run" if left else "Everything holds"


def _tools(*, several: bool) -> str:
    differ = '<label><input id="differ" type="checkbox"> only those that differ</label>' if several else ""
    field = '<input id="filter" type="search" placeholder="filter by id or words" aria-label="filter by id or words">'
    return f'<p class="tools">{field}{differ}</p>'


def _single(case: CaseRecord, *, opened: bool) -> Iterator[str]:
    shown = " open" if opened and case.result in {State.FAIL, State.ERROR, State.XPASS} else ""
    yield f'<details class="case" id="case-{escape(case.id)}" data-state="{case.result.value}"{shown}>'
    yield _summary(case, "")
    yield f'<p class="found">{escape((case.message or case.reason).partition(chr(10))[0])}</p>'
    yield from _evidence(case)
    yield f"{_why(case)}</details>"


def _several(cases: Sequence[tuple[str, CaseRecord]]) -> Iterator[str]:
    chips = "".join(
        f'<span class="column {case.result.value}" title="{case.result.value}">{escape(name)}</span>'
        for name, case in cases
    )
    worst = cases[0][1]
    yield f'<details class="case" id="case-{escape(worst.id)}" data-state="{worst.result.value}">'
    yield f"{_summary(worst, chips)}{_why(worst)}"
    for name, case in cases:
        first = (case.message.splitlines() or [case.reason])[0]
        yield f"<details><summary>{_sign(case.result)} <b>{escape(name)}</b> {escape(first)}</summary>"
        yield from _evidence(case)
        yield "</details>"
    yield "</details>"


def _summary(case: CaseRecord, chips: str) -> str:
    return (
        f"<summary>{_sign(case.result)}<code>{escape(case.id)}</code>"
        f'<span class="title">{escape(case.title)}</span><span class="columns">{chips}</span></summary>'
    )


def _why(case: CaseRecord) -> str:
    url = escape(case.ref)
    ref = f'<a href="{url}">{url}</a>' if case.ref.startswith("https://") else url
    return f'<p class="why">{escape(case.why)}<br>{case.level}: {ref}</p>'


def _evidence(case: CaseRecord) -> Iterator[str]:
    rest = case.message.splitlines()[1:]
    if case.reason and case.message:
        link = f' <a href="{escape(case.url)}">reference</a>' if case.url.startswith("https://") else ""
        yield f'<p class="known">known: {escape(case.reason)}{link}</p>'
    differences = case.evidence.get("differences") or rest
    if differences:
        yield f"<h4>What differs</h4><pre>{escape(chr(10).join(map(str.strip, map(str, differences))))}</pre>"
    for run in case.evidence.get("runs", ()):
        yield from _run(run)
    requests = case.evidence.get("requests") or ()
    if requests:
        yield f"<details><summary>{len(requests)} requests that the registry saw</summary>"
        yield f"<pre>{escape(chr(10).join(requests))}</pre></details>"


def _run(run: dict[str, Any]) -> Iterator[str]:
    environment = " ".join(
        f"{name}={json.dumps(value)}" for name, value in run.get("environment", {}).items()
    )
    command = " ".join(run.get("command", ()))
    ended = run.get("exit", "not ended")
    yield f"<h4>Run: exit {escape(str(ended))}, {run.get('seconds', 0):.2f} s</h4>"
    yield f'<pre><span class="dim">{escape(environment)}</span>\n{escape(command)}</pre>'
    log = run.get("log") or ()
    if log:
        yield f"<details><summary>log, {len(log)} lines</summary><pre>{escape(chr(10).join(log))}</pre></details>"


def _cases(columns: Sequence[Column]) -> Iterator[str]:
    several = len(columns) > 1
    single = "" if several else " single"
    yield f'<section><h2>All cases</h2><div class="wide"><table class="cases{single}"><thead><tr><th>case</th>'
    yield from (f'<th class="run">{escape(name) if several else "result"}</th>' for name, _ in columns)
    if not several:
        yield "<th>seconds</th>"
    yield "<th>what must hold</th></tr></thead><tbody>"
    by_column = [{case.id: case for case in report.cases} for _, report in columns]
    identifiers = list(dict.fromkeys(case.id for _, report in columns for case in report.cases))
    profile = ""
    for identifier in identifiers:
        found = [cases.get(identifier) for cases in by_column]
        known = next(case for case in found if case)
        if known.profile != profile:
            profile = known.profile
            yield f'<tr class="profile"><th colspan="{len(columns) + 3 - several}">{escape(profile)}</th></tr>'
        states = {case.result if case else None for case in found}
        differs = "true" if len(states) > 1 else "false"
        yield f'<tr data-differs="{differs}"><td><code>{escape(identifier)}</code></td>'
        yield from (f"<td>{_sign(case.result) if case else ''}</td>" for case in found)
        if not several:
            yield f'<td class="seconds">{known.seconds:.1f}</td>'
        yield f'<td>{escape(known.title)} <span class="dim">{known.level}</span></td></tr>'
    yield "</tbody></table></div></section>"


def _about(columns: Sequence[Column]) -> Iterator[str]:
    yield "<section><h2>What was tested</h2>"
    for name, report in columns:
        subject = report.subject
        rows = {
            "subject": subject.get("given"),
            "digest": subject.get("digest"),
            "version": subject.get("version"),
            "Kit": " ".join(filter(None, map(str, (subject.get("kit") or {}).values()))),
            "features": ", ".join(subject.get("features", ())),
            "suite": ", ".join(str(report.suite.get(key) or "") for key in ("version", "python", "platform")),
            "configuration": json.dumps(report.configuration.get("options", {}), ensure_ascii=False),
        }
        yield f"<details><summary>{escape(name)}</summary><dl>"
        for key, value in rows.items():
            if value:
                yield f"<dt>{key}</dt><dd>{escape(str(value))}</dd>"
        yield "</dl></details>"
    yield "</section>"
