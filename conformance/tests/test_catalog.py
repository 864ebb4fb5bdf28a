"""The catalogue: what is declared is complete, and what exists is covered."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conformance.tests import coverage
from conformance.tests.mutants import manifests
from conformance.tests.mutants.every import EVERY, FAILED
from conformance.tests.mutants.manifests_settings import BROKEN_SETTINGS
from kit_conformance import catalog, page
from kit_conformance.cases import test_modelkit_hostile as hostile_cases
from kit_conformance.catalog import FEATURES, MUST, PROFILES, CatalogError, case
from kit_conformance.testbed.kits import hostile

ROOT = Path(__file__).parents[2]
CASES = catalog.catalog()
# What the lab itself asks of subjects that claim it; no case is left out for want of it.
OF_THE_LAB = {"patience", "termination-log"}


def test_every_profile_has_cases() -> None:
    assert {each.profile for each in CASES.values()} == set(PROFILES)


def test_a_must_of_others_cites_them_and_ours_cite_our_pages() -> None:
    for each in CASES.values():
        if each.profile == "kit-initializer" or (each.profile == "manifest" and each.ref.startswith("docs/")):
            assert (ROOT / each.ref).exists(), each.id
        else:
            assert each.ref.startswith("https://"), each.id


def test_every_feature_is_asked_for_by_a_case() -> None:
    asked = {feature for each in CASES.values() for feature in each.features}
    assert asked | OF_THE_LAB == set(FEATURES)


@pytest.mark.parametrize("name", coverage.FAULTS)
def test_every_fault_of_the_testbed_has_a_case(name: str) -> None:
    assert coverage.cases_by_fault()[name], f"no case uses faults.{name}"


def test_the_faults_of_a_case_are_found_where_it_uses_them_by_others() -> None:
    used = coverage.cases_by_fault()
    assert "restart.killed-run" in used["Stall"], "by a step of all cases"
    assert "integrity.layer-digest" in used["Tamper"], "as an argument"
    assert "contract.pair" not in {case for cases in used.values() for case in cases}


def test_every_hostile_kit_is_tried_by_one_case() -> None:
    tried = coverage.kits_by_case()
    assert sorted(name for names in tried.values() for name in names) == sorted(hostile.BY_NAME)
    assert all(tried.values()), "a family without kits"
    for identifier in tried:
        found = CASES[identifier]
        assert hostile_cases.__name__ == found.module, identifier
        code = getattr(hostile_cases, found.function).__code__
        assert identifier.partition(".")[2] in code.co_consts, "it tries another family"


def test_the_tables_of_coverage_are_what_the_code_says() -> None:
    written = coverage.PAGE.read_text("utf-8")
    assert written == coverage.page(written), "python -m conformance.tests.coverage"


def test_every_case_is_proven_able_to_fail() -> None:
    found = {name for name, each in EVERY.items() for name in (name, *each.kin)}
    found |= FAILED | {f"manifest.{rule}" for rule in {**manifests.BROKEN, **BROKEN_SETTINGS}}
    assert sorted(CASES.keys() - found) == [], "a case without a mutant"
    assert sorted(found - CASES.keys()) == [], "a mutant without a case"


@pytest.mark.parametrize("name", sorted(EVERY))
def test_a_mutant_says_what_it_breaks_and_has_few_kin_of_its_own_profile(name: str) -> None:
    mutant = EVERY[name]
    assert mutant.what.endswith(".")
    assert len(mutant.kin) <= 3
    assert name not in mutant.kin
    assert {each.partition(".")[0] for each in (name, *mutant.kin)} == {name.partition(".")[0]}


def test_the_pages_are_linked() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    for name in ("cases.md", "coverage.md", "writing-a-case.md", "validate-a-kit-version.md"):
        assert f"({name})" in index, name


def test_every_line_of_coverage_names_a_case_or_gives_a_reason() -> None:
    rows = [line for line in coverage.PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert len(cells) > 80
    for row in cells:
        assert len(row) == 2, row
        assert (
            "`" in row[1]
            or row[1] in {"tried by", "used by", "kits"}
            or row[1].startswith(("none: ", "none for ", "every case"))
            or row[0].startswith("`modelkit.")
        ), row


def test_the_page_of_cases_is_what_the_code_says() -> None:
    written = (ROOT / "docs" / "cases.md").read_text("utf-8")
    assert written == page.catalogue(), "kit-conformance list --markdown > docs/cases.md"


@pytest.mark.parametrize("name", ["coverage.md", "writing-a-case.md", "validate-a-kit-version.md"])
def test_pages_name_only_cases_that_exist(name: str) -> None:
    text = (ROOT / "docs" / name).read_text("utf-8")
    named = {
        found
        for found in re.findall(r"`([a-z]+\.[a-z0-9][a-z0-9.-]*)`", text)
        if found.split(".")[0] in PROFILES
    }
    assert named, "no case is named"
    assert {each for each in named if each not in CASES} == set(), "renamed, or mistyped"


def test_the_example_of_writing_a_case_is_still_to_be_written() -> None:
    text = (ROOT / "docs" / "writing-a-case.md").read_text("utf-8")
    (example,) = re.findall(r'@case\("([^"]+)"', text)
    assert example not in CASES
    assert text.count(example) > 5


def declare(
    identifier: str = "contract.some-thing", doc: str = "It works.\n\nOr else.", **values: object
) -> None:
    def test() -> None: ...

    test.__doc__ = doc
    given: dict[str, object] = {"level": MUST, "since": "0.1", "ref": "https://example.org/", **values}
    case(identifier, **given)(test)  # type: ignore[arg-type]


def test_a_case_can_be_declared() -> None:
    declare()


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"identifier": "nothing.some-thing"}, "is no id"),
        ({"identifier": "contract"}, "is no id"),
        ({"identifier": "contract.some thing"}, "is no id"),
        ({"doc": "Only a title."}, "needs a title"),
        ({"features": {"telepathy"}}, "unknown features telepathy"),
        ({"ref": "facts"}, "needs the reference"),
    ],
)
def test_a_case_that_is_declared_wrongly_is_refused(values: dict[str, object], complaint: str) -> None:
    with pytest.raises(CatalogError, match=complaint):
        declare(**values)  # type: ignore[arg-type]


def test_a_later_suite_asks_no_more_than_the_older_one_did() -> None:
    every = list(CASES.values())
    assert catalog.select(every, profiles=PROFILES, as_of="0.0.9") == []
    assert len(catalog.select(every, profiles=PROFILES, as_of="0.1")) == len(every)
    with pytest.raises(CatalogError):
        catalog.select(every, profiles=PROFILES, as_of="latest")


def test_cases_are_selected_by_profile_and_pattern() -> None:
    found = catalog.select(
        CASES.values(), profiles=["restart", "kit-initializer"], patterns=["*.kill*", "kit-initializer.tls"]
    )
    assert {each.id for each in found} == {
        "restart.killed-anywhere",
        "restart.killed-run",
        "restart.killed-run-keep",
        "restart.killed-run-leaves-nothing",
        "kit-initializer.tls",
    }
