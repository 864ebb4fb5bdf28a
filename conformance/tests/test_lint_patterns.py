"""Regexes as Go judges them: a table that Go 1.26's own regexp filled in, and what is said without RE2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conformance.tests.mutants.manifests import GOOD
from kit_conformance.lint import check, parse, patterns
from kit_conformance.lint.patterns import judge

TABLE = json.loads((Path(__file__).parent / "data" / "go_regexp.json").read_text("utf-8"))
# What each pattern of the table was tried on, by regexp.MatchString.
URIS = ("kit://registry.example/models/iris:v1", "KIT://a", "x?u=kit://a+b/1", "kit://a")
SINCE_1_25 = {"^kit://\\p{ASCII}", "^kit://\\p{letter}", "^kit://\\p{Cn}", "^kit://\\p{LC}"}


@pytest.mark.parametrize(("regex", "valid", "matched"), TABLE)
def test_a_regex_is_judged_as_go_judges_it(regex: str, valid: bool, matched: list[bool]) -> None:
    pytest.importorskip("re2", reason="kit-conformance[lint] is not installed")
    found = judge(regex)
    if regex in SINCE_1_25:
        assert valid
        assert "Go 1.25" in found.unjudged
        return
    assert (not found.invalid, found.unjudged) == (valid, "")
    assert [found.matches(uri) for uri in URIS if valid] == matched


def test_without_re2_a_regex_is_not_judged_and_the_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patterns, "re2", None)
    judge.cache_clear()
    try:
        text = GOOD.replace("prefix: kit://", "regex: '^kit://(?!private/)'")
        (found,) = check(parse(text, "m.yaml")).findings
    finally:
        judge.cache_clear()
    assert found.rule.name == "regex-unjudged"
    assert "install kit-conformance[lint]" in found.what


def test_a_regex_beyond_what_go_and_re2_agree_on_is_not_judged() -> None:
    pytest.importorskip("re2", reason="kit-conformance[lint] is not installed")
    assert judge("(" * 1000 + "a" + ")" * 1000).unjudged  # Go: "expression nests too deeply"
    assert judge("\ud800").invalid == judge("\ud800").unjudged == ""
