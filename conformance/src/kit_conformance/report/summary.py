"""The report in Markdown, as a pull request or a CI job shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kit_conformance.report.model import STATES, CaseRecord, Report, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MARKS: Final = {
    State.PASS: "✅",
    State.FAIL: "❌",
    State.WARN: "⚠️",
    State.XFAIL: "🔸",
    State.XPASS: "❗",
    State.NOT_SUPPORTED: "▫️",
    State.SKIPPED: "⏭️",
    State.ERROR: "💥",
}
_WORDS: Final = {
    "conformant": "✅ conformant",
    "not-conformant": "❌ not conformant",
    "error": "💥 no verdict: the suite itself failed",
}


def summary(report: Report) -> str:
    """Return one run as Markdown: verdict, a table of profiles, then what does not hold."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    totals = report.totals
    yield f"## {_cell(report.label)}: {_WORDS[report.result]}"
    yield ""
    yield f"`{_cell(str(report.subject['given']))}`, kit-conformance {report.suite['version']}, {report.seconds:.0f} s"
    yield ""
    used = [state for state in STATES if totals[state.value]]
    yield from _table(
        ["profile", *(f"{_MARKS[state]} {state.value}" for state in used), "cases"],
        [
            [
                profile["name"],
                *(str(profile["statistics"][state.value] or "") for state in used),
                str(profile["statistics"]["total"]),
            ]
            for profile in report.profiles()
        ]
        + [["**all**", *(f"**{totals[state.value]}**" for state in used), f"**{totals['total']}**"]],
    )
    for problem in report.problems:
        yield f"- 💥 {problem}"
    for identifier in report.stale:
        yield f"- ❗ `{identifier}` is in the baseline and not supported: remove it there"
    for title, states in (
        ("Does not hold", (State.FAIL, State.XPASS, State.ERROR)),
        ("Should hold", (State.WARN,)),
        ("Known not to hold", (State.XFAIL,)),
    ):
        found = [case for case in report.cases if case.result in states]
        if found:
            yield f"\n### {title}\n"
            yield from _cases(found)


def _cases(cases: Iterable[CaseRecord]) -> Iterator[str]:
    rows = []
    for case in cases:
        words = case.reason if case.result is State.XFAIL else (case.message.splitlines() or [""])[0]
        link = case.url or case.ref
        what = f"[{_cell(case.title)}]({link})" if link.startswith("https://") else _cell(case.title)
        rows.append([_MARKS[case.result], f"`{case.id}`", what, _cell(words)])
    yield from _table(["", "case", "what must hold", "what was found"], rows)


def matrix(columns: Iterable[tuple[str, Report]]) -> str:
    """Return several runs as one table: a row a profile, a column a run; then a row each case that differs."""
    runs = list(columns)
    heads = [name for name, _ in runs]
    lines = ["## Conformance\n"]
    profiles = list(dict.fromkeys(each["name"] for _, report in runs for each in report.profiles()))
    rows = [["**verdict**", *(_WORDS[report.result] for _, report in runs)]]
    rows += [[name, *(_profile(report, name) for _, report in runs)] for name in profiles]
    lines += _table(["", *map(_cell, heads)], rows)
    identifiers = list(dict.fromkeys(case.id for _, report in runs for case in report.cases))
    rows = []
    for identifier in identifiers:
        found = [next((case for case in report.cases if case.id == identifier), None) for _, report in runs]
        if any(case is not None and case.result is not State.PASS for case in found):
            rows.append([f"`{identifier}`", *(_MARKS[case.result] if case else "" for case in found)])
    if rows:
        lines += ["\n### Cases that do not pass everywhere\n", *_table(["case", *map(_cell, heads)], rows)]
    legend = " · ".join(f"{mark} {state.value}" for state, mark in _MARKS.items())
    return "\n".join([*lines, "", legend, ""])


def _profile(report: Report, name: str) -> str:
    found = next((each for each in report.profiles() if each["name"] == name), None)
    if found is None:
        return ""
    numbers = found["statistics"]
    mark = {"success": "✅", "partial": "🔸", "failure": "❌"}[found["result"]]
    return f"{mark} {numbers['pass']}/{numbers['total']}"


def _table(head: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
