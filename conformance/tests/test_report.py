"""Reports: totals that add up, a schema that they keep, and pages that need nothing but themselves."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from kit_conformance.report import BAD, CaseRecord, Report, ReportError, State, load, schema
from kit_conformance.report.files import write
from kit_conformance.report.html import page
from kit_conformance.report.model import parse
from kit_conformance.report.summary import matrix, summary
from kit_conformance.verbs import _columns

if TYPE_CHECKING:
    from pathlib import Path

VOID = {"meta", "input", "br"}


def case(identifier: str, state: State, **more: Any) -> CaseRecord:  # noqa: ANN401
    level = "SHOULD" if state is State.WARN else "MUST"
    ref = "https://example.org/spec"
    return CaseRecord(identifier, "It holds.", state, level, identifier.partition(".")[0], ref=ref, **more)


def report(*cases: CaseRecord, kind: str = "command", **more: Any) -> Report:  # noqa: ANN401
    subject = {"name": "ours", "given": f"{kind}:x", "kind": kind, "version": "1.2.3", "features": []}
    suite = {"name": "kit-conformance", "version": "0.1.0", "python": "3", "platform": "Linux", "kserve": ""}
    values: dict[str, Any] = {"suite": suite, "subject": subject, "configuration": {}, **more}
    return Report(started="2030-06-15T10:00:00Z", seconds=1.0, cases=cases, **values)


EVIL = "<script>alert('&')</script>"
FAILED = case(
    "contract.pair",
    State.FAIL,
    message=f"it ended {EVIL}\n  missing: {EVIL}",
    why=EVIL,
    evidence={
        "runs": [
            {"command": ["x", EVIL], "environment": {"A": EVIL}, "exit": 1, "seconds": 0.5, "log": [EVIL]}
        ],
        "requests": [f"GET /v2/ {EVIL}"],
        "differences": [EVIL],
    },
)
EVERY = tuple(case(f"contract.c-{state.value}", state, message="so", reason="known") for state in State)


class Page(HTMLParser):
    """Notes what a page loads, and that its tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.details: list[dict[str, str | None]] = []
        self.scripts = 0
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.scripts += tag == "script"
        if "src" in given or tag == "link":
            self.loads.append(tag)
        if tag == "details" and given.get("class") == "case":
            self.details.append(given)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([], "error"),
        ([State.SKIPPED, State.NOT_SUPPORTED], "error"),  # nothing was run
        ([State.PASS, State.WARN, State.XFAIL, State.NOT_SUPPORTED, State.SKIPPED], "conformant"),
        ([State.PASS, State.FAIL], "not-conformant"),
        ([State.PASS, State.XPASS], "not-conformant"),
        ([State.FAIL, State.ERROR], "error"),  # who could not look cannot judge
    ],
)
def test_verdict(states: list[State], expected: str) -> None:
    made = report(*(case(f"contract.c{number}", state) for number, state in enumerate(states)))
    assert made.result == expected


def test_stale_entries_and_problems_count() -> None:
    good = report(case("contract.pair", State.PASS))
    assert replace(good, stale=("modelkit.raw",)).result == "not-conformant"
    assert replace(good, problems=("broken off",)).result == "error"


def test_totals_add_up() -> None:
    made = report(*EVERY)
    totals = dict(made.totals)
    assert totals.pop("total") == len(EVERY) == sum(totals.values())
    assert totals == {state.value: 1 for state in State}
    for profile in made.profiles():
        numbers = dict(profile["statistics"])
        assert numbers.pop("total") == sum(numbers.values())


def test_document_keeps_its_schema() -> None:
    for made in (report(), report(*EVERY), report(FAILED)):
        jsonschema.validate(json.loads(made.dump()), schema())


def test_written_and_read_again(tmp_path: Path) -> None:
    made = report(FAILED, *EVERY)
    assert write(made, tmp_path) == tmp_path / "report.html"
    assert load(tmp_path / "report.json").document() == made.document()
    suite = ET.parse(tmp_path / "junit.xml").getroot()
    assert len(suite.findall(".//testcase")) == len(made.cases)
    bad = {each.get("name") for each in suite.findall(".//testcase") if each.find("failure") is not None}
    assert bad == {each.id for each in made.cases if each.result in BAD}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("schema_version", 2, "schema version 1"),
        ("result", "conformant", "its cases make error"),
        ("totals", {}, "its cases make"),
        ("cases", [{}], "not complete"),
    ],
)
def test_report_that_cannot_be_believed(key: str, value: object, said: str) -> None:
    document = json.loads(report(*EVERY).dump())
    with pytest.raises(ReportError, match=said):
        parse({**document, key: value})


def test_case_that_is_reported_twice() -> None:
    with pytest.raises(ReportError, match="twice"):
        parse(json.loads(report(FAILED, FAILED).dump()))


def test_page_of_one_run() -> None:
    text = page([("ours", report(FAILED, *EVERY))])
    found = Page(text)
    assert EVIL not in text
    assert (found.loads, found.scripts) == ([], 1)
    states = [each["data-state"] for each in found.details]
    assert states == ["fail", "fail", "xpass", "error", "warn", "xfail"]
    assert ["open" in each for each in found.details] == [True, True, True, True, False, False]


def test_many_failures_are_collapsed_and_have_an_index() -> None:
    failed = [replace(FAILED, id=f"contract.case-{number}") for number in range(9)]
    text = page([("ours", report(*failed))])
    assert not any("open" in each for each in Page(text).details)
    assert '<a href="#case-contract.case-3">contract.case-3</a>' in text
    assert 'id="case-contract.case-3"' in text


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ([State.PASS], "Everything holds"),
        ([State.PASS, State.SKIPPED, State.NOT_SUPPORTED], "Nothing fails; 2 cases were not run"),
        ([State.SKIPPED], "No case was run"),
    ],
)
def test_everything_holds_only_where_everything_was_run(states: list[State], said: str) -> None:
    cases = [case(f"contract.case-{number}", state) for number, state in enumerate(states)]
    text = page([("ours", report(*cases))])
    assert f"<h2>{said}</h2>" in text
    assert text.count('<td class="seconds">') == len(cases)


def test_page_of_several_runs_has_a_case_once() -> None:
    columns = [("first", report(FAILED)), ("second", report(FAILED)), ("third", report(EVERY[0]))]
    text = page(columns)
    assert len(Page(text).details) == 1
    assert "What does not hold (1 case)" in text
    assert text.count("requests that the registry saw") == 2


def test_debt_to_a_baseline_shows() -> None:
    """A verdict that owes something to a baseline must not look like one that does not."""
    owing, clean = report(EVERY[0], case("contract.pair", State.XFAIL)), report(EVERY[0])
    assert "1 known failures" in page([("x", owing)])
    assert "known failures" not in page([("x", clean)])


def test_kserve_versions_make_a_grid() -> None:
    made = [replace(report(EVERY[0]), suite={"version": "0.1.0", "kserve": each}) for each in ("0.20", "0.9")]
    columns = _columns(made)
    assert [name for name, _ in columns] == [
        "ours 1.2.3, command, KServe 0.20",
        "ours 1.2.3, command, KServe 0.9",
    ]
    text = page(columns)
    assert text.index("<th>KServe 0.9</th>") < text.index("<th>KServe 0.20</th>")


def test_runs_of_one_initializer_are_told_apart() -> None:
    made = [report(EVERY[0], kind="image"), report(EVERY[0], kind="pod")]
    assert [name for name, _ in _columns(made)] == ["ours 1.2.3, image", "ours 1.2.3, pod"]
    assert [name for name, _ in _columns(made[:1])] == ["ours 1.2.3"]


def test_markdown() -> None:
    text = summary(report(FAILED, *EVERY))
    assert "`contract.pair`" in text
    assert "<script>" not in text
    both = matrix([("a", report(FAILED)), ("b", report(EVERY[0]))])
    assert "| `contract.pair` | ❌ |  |" in both
    assert "c-pass" not in both  # what passes wherever it is asked is no news
