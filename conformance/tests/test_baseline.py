"""Baselines: what can be written in one, and that a run is strict with it both ways."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kit_conformance import baseline
from kit_conformance.catalog import catalog
from kit_conformance.report import CaseRecord, State

if TYPE_CHECKING:
    from pathlib import Path

HOLDS = "contract.pair"
FAILS = "registry.no-login"  # as the subject below has no way to ask for one
NOT_ASKED = "modelkit.raw"  # as it does not claim the feature
SUBJECT = """
name: ours-without-logins
features: [login]
inherit: [PYTHONPATH]
record: .kit-initializer.json
ask:
  plain-http: {environment: {KIT_UNPACK_FLAGS: --plain-http}}
  login: {environment: {NOBODY_READS: "{user}"}}
"""


def record(state: State, message: str = "") -> CaseRecord:
    found = catalog()[HOLDS]
    return CaseRecord(HOLDS, found.title, state, found.level.value, found.profile, message=message)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a]", "not a map"),
        ("{a: [", "not YAML"),
        ("no.such-case: {reason: x}", r"do not exist: no\.such-case"),
        (f"{HOLDS}: broken", "needs a reason"),
        (f"{HOLDS}: {{url: 'https://example.org'}}", "needs a reason"),
        (f"{HOLDS}: {{reason: ' '}}", "needs a reason"),
        (f"{HOLDS}: {{reason: x, url: 'http://example.org'}}", "not one of https"),
        (f"{HOLDS}: {{reason: x, until: 2030}}", "nothing else"),
    ],
)
def test_refused(text: str, said: str) -> None:
    with pytest.raises(baseline.BaselineError, match=said):
        baseline.parse(text, "known.yaml", catalog())


def test_read(tmp_path: Path) -> None:
    path = tmp_path / "known.yaml"
    path.write_text(f"{HOLDS}: {{reason: ' as it is '}}\n", "utf-8")
    assert baseline.load(path, catalog()) == {HOLDS: baseline.Entry("as it is")}
    with pytest.raises(baseline.BaselineError, match=r"is none of .*kit-unpack-1\.7\.0"):
        baseline.load(tmp_path / "none.yaml", catalog())


@pytest.mark.parametrize("name", sorted(baseline.builtin()))
def test_shipped(name: str) -> None:
    """What ships names cases that exist, each with a reason in words, not with what a run has said."""
    entries = baseline.load(name, catalog())
    assert entries
    for identifier, entry in entries.items():
        assert not entry.reason.startswith(("it ended with", "it claims success", "the run failed")), (
            identifier
        )


def test_those_of_kit_are_shipped() -> None:
    assert baseline.builtin().keys() == {"kit-1.7.0", "kit-unpack-1.7.0", "kitops-kserve-1.7.0"}


def test_written() -> None:
    bad = {State.FAIL, State.WARN, State.XFAIL}
    for state in State:
        text = baseline.write([record(state, "what was found\n  and more")], {})
        expected = {HOLDS: {"reason": "what was found"}} if state in bad else {}
        assert yaml.safe_load(text) == expected


def test_reasons_are_kept() -> None:
    old = {HOLDS: baseline.Entry("in our words", "https://example.org/1")}
    text = baseline.write([record(State.XFAIL, "it ended with exit code 1")], old)
    assert baseline.parse(text, "written", catalog()) == old
    assert yaml.safe_load(baseline.write([record(State.XPASS)], old)) == {}


def test_an_entry_for_released_kits_alone() -> None:
    text = f"{HOLDS}: {{reason: r, only-with: released-kit}}"
    found = baseline.parse(text, "b.yaml", catalog())
    assert found == {HOLDS: baseline.Entry("r", only_with="released-kit")}
    assert baseline.parse(baseline.write([record(State.XFAIL)], found), "written", catalog()) == found
    with pytest.raises(baseline.BaselineError, match="only-with is released-kit"):
        baseline.parse(text.replace("released-kit", "tea"), "b.yaml", catalog())


@pytest.mark.parametrize(("version", "result"), [("unknown", "pass"), ("1.7.0", "xpass")])
def test_a_kit_without_a_version_is_not_asked_for_what_releases_do(
    tmp_path: Path, version: str, result: str
) -> None:
    kit = tmp_path / "kit-of-today"
    kit.write_text(f"#!/bin/sh\necho Version: {version}\n", "utf-8")
    kit.chmod(0o755)
    path = tmp_path / "known.yaml"
    path.write_text(f"{HOLDS}: {{reason: r, only-with: released-kit}}\n", "utf-8")
    _, report = run(tmp_path, f"--baseline={path}", f"--kit={kit}", f"--case={HOLDS}")
    assert results(report)[HOLDS] == result
    assert report["subject"]["kit"]["version"] == version


def run(folder: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Run three cases over an initializer that knows no login; return the exit code and the report."""
    config = folder / "subject.yaml"
    config.write_text(SUBJECT, "utf-8")
    cases = [f"--case={each}" for each in (HOLDS, FAILS, NOT_ASKED)]
    subject = [f"--subject=command:{sys.executable} -m kit_initializer", f"--subject-config={config}"]
    words = [*subject, *cases, f"--results={folder / 'results'}", "--jobs=0", *options]
    done = subprocess.run(
        [sys.executable, "-m", "kit_conformance", "run", *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=120,
        check=False,
        capture_output=True,
    )
    path = folder / "results" / "report.json"
    assert path.exists() or done.returncode == 2, done.stdout.decode() + done.stderr.decode()
    return done.returncode, json.loads(path.read_text("utf-8")) if path.exists() else {}


def results(report: dict[str, Any]) -> dict[str, str]:
    return {case["id"]: case["result"] for case in report["cases"]}


def test_strict_both_ways(tmp_path: Path) -> None:
    """A failure counts unless it is listed; what is listed and holds, or is not even asked, counts too."""
    written = tmp_path / "written.yaml"
    code, report = run(tmp_path, f"--write-baseline={written}")
    assert (code, results(report)) == (1, {HOLDS: "pass", FAILS: "fail", NOT_ASKED: "not-supported"})

    code, report = run(tmp_path, f"--baseline={written}")
    assert (code, results(report)) == (0, {HOLDS: "pass", FAILS: "xfail", NOT_ASKED: "not-supported"})
    assert report["result"] == "conformant"

    entries = yaml.safe_load(written.read_text("utf-8"))
    assert entries.keys() == {FAILS}
    holds = tmp_path / "holds.yaml"
    holds.write_text(yaml.safe_dump({**entries, HOLDS: {"reason": "it did not"}}), "utf-8")
    code, report = run(tmp_path, f"--baseline={holds}")
    assert (code, results(report)[HOLDS], report["result"]) == (1, "xpass", "not-conformant")

    stale = tmp_path / "stale.yaml"
    stale.write_text(yaml.safe_dump({**entries, NOT_ASKED: {"reason": "it has none"}}), "utf-8")
    code, report = run(tmp_path, f"--baseline={stale}")
    assert (code, report["stale"], report["result"]) == (1, [NOT_ASKED], "not-conformant")


def test_unknown_case_is_an_error_of_the_suite(tmp_path: Path) -> None:
    path = tmp_path / "known.yaml"
    path.write_text("restart.no-such-case: {reason: x}\n", "utf-8")
    code, report = run(tmp_path, f"--baseline={path}")
    assert (code, report) == (2, {})
