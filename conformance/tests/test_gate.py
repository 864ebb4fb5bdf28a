"""The gate: each rule of a policy, alone, over reports that break it and that do not."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kit_conformance import cli, gate
from kit_conformance.report import CaseRecord, Report, State

if TYPE_CHECKING:
    from pathlib import Path

NOW = dt.datetime(2030, 6, 15, 12, tzinfo=dt.UTC)
DIGEST = "sha256:" + "a" * 64
RULES = gate.Policy(profiles=("contract", "restart"))


def case(identifier: str, state: State = State.PASS, message: str = "") -> CaseRecord:
    level = "SHOULD" if state is State.WARN else "MUST"
    return CaseRecord(identifier, "It holds.", state, level, identifier.partition(".")[0], message=message)


def report(*cases: CaseRecord, started: str = "2030-06-15T10:00:00Z", **more: Any) -> Report:  # noqa: ANN401
    subject = {"name": "ours", "given": "command:x", "digest": DIGEST, "features": ["ca", "login"]}
    values: dict[str, Any] = {"configuration": {"options": {}}, "subject": subject, **more}
    return Report(suite={"version": "0.1.0"}, started=started, seconds=1.0, cases=cases, **values)


GOOD = report(case("contract.pair"), case("restart.second-run"))


def reasons(rules: gate.Policy, *reports: Report) -> list[str]:
    return gate.judge(reports, rules, NOW)


def test_passes() -> None:
    assert reasons(RULES, GOOD) == []


def test_no_report_is_no_word() -> None:
    assert reasons(RULES) == ["there is no report"]


@pytest.mark.parametrize("state", [State.WARN, State.NOT_SUPPORTED])
def test_these_do_not_count(state: State) -> None:
    more = replace(GOOD, cases=(*GOOD.cases, case("contract.umask", state)))
    assert reasons(RULES, more) == []


@pytest.mark.parametrize("state", [State.FAIL, State.XPASS, State.ERROR, State.SKIPPED])
def test_these_do(state: State) -> None:
    bad = replace(GOOD, cases=(*GOOD.cases, case("contract.umask", state, "as found\n  and more")))
    assert reasons(RULES, bad) == [f"contract.umask: {state.value}: as found"]
    assert reasons(gate.Policy(profiles=("restart",)), bad) == []  # of a profile that nobody has asked for


@pytest.mark.parametrize("left", [State.SKIPPED, State.NOT_SUPPORTED])
def test_profile_without_a_run(left: State) -> None:
    found = reasons(RULES, report(case("contract.pair")))
    assert found == ["restart: no case of it was run"]
    none_ran = reasons(RULES, report(case("contract.pair"), case("restart.second-run", left)))
    assert "restart: no case of it was run" in none_ran


def test_profiles_may_come_from_several_reports() -> None:
    assert reasons(RULES, report(case("contract.pair")), report(case("restart.second-run"))) == []


def test_part_of_a_profile_is_not_the_profile() -> None:
    part = replace(GOOD, configuration={"options": {"--case": ["*.pair", "*.second-run"]}})
    expected = [f"{name}: only a part of it was run, chosen by --case" for name in RULES.profiles]
    assert reasons(RULES, part) == expected
    assert reasons(RULES, GOOD, part) == []


def test_skipped_here_and_shown_there() -> None:
    """A run on another registry leaves out what needs faults; that is no gap where another run has them."""
    elsewhere = report(case("contract.pair"), case("restart.second-run", State.SKIPPED, "needs faults"))
    assert reasons(RULES, elsewhere, GOOD) == []
    other = replace(GOOD, subject={**GOOD.subject, "digest": "sha256:" + "b" * 64})
    assert reasons(RULES, elsewhere, other) == ["restart.second-run: skipped: needs faults"]


def test_baselines_excuse_what_the_policy_names() -> None:
    excused = replace(GOOD, cases=(*GOOD.cases, case("restart.killed-run", State.XFAIL)))
    expected = ["restart.killed-run: excused by a baseline, and the policy does not allow that"]
    assert reasons(RULES, excused) == expected
    assert reasons(replace(RULES, known_failures=frozenset({"restart.killed-run"})), excused) == []


def test_age() -> None:
    rules = replace(RULES, max_age=dt.timedelta(days=14))
    label = GOOD.label
    for started, expected in (
        ("2030-06-01T12:00:00Z", []),
        ("2030-06-01T11:59:59Z", ["it is 14 days old"]),
        ("2030-06-15T12:09:00Z", []),  # clocks differ
        ("2030-06-15T12:11:00Z", ["it was made in the future"]),
        ("yesterday", ["it does not say when it was made"]),
        ("2030-06-15T10:00:00", ["it does not say when it was made"]),  # where?
    ):
        found = reasons(rules, replace(GOOD, started=started))
        assert found == [f"{label} of {started}: {each}" for each in expected]
    assert reasons(RULES, replace(GOOD, started="2001-01-01T00:00:00Z")) == []


def test_digest() -> None:
    assert reasons(replace(RULES, digest=DIGEST), GOOD) == []
    other = "sha256:" + "b" * 64
    assert reasons(replace(RULES, digest=other), GOOD) == [
        f"{GOOD.label} of {GOOD.started}: it speaks of {DIGEST}, not of {other}"
    ]
    nothing = replace(GOOD, subject={**GOOD.subject, "digest": ""})
    assert "it speaks of no digest" in reasons(replace(RULES, digest=other), nothing)[0]


def test_features() -> None:
    assert reasons(replace(RULES, features=frozenset({"ca"})), GOOD) == []
    found = reasons(replace(RULES, features=frozenset({"ca", "zstd", "raw"})), GOOD)
    assert found == [f"{GOOD.label} of {GOOD.started}: the subject does not claim raw, zstd"]


@pytest.mark.parametrize(
    ("version", "good"), [("0.1.0", True), ("0.2.0", True), ("0.0.9", False), ("", False)]
)
def test_suite(version: str, good: bool) -> None:
    found = reasons(replace(RULES, suite=(0, 1, 0)), replace(GOOD, suite={"version": version}))
    assert found == (
        [] if good else [f"{GOOD.label} of {GOOD.started}: made by suite {version}, which is too old"]
    )


def test_trouble_of_the_suite_and_stale_entries() -> None:
    name = f"{GOOD.label} of {GOOD.started}"
    assert reasons(RULES, replace(GOOD, problems=("the run was broken off",))) == [
        f"{name}: the run was broken off"
    ]
    assert reasons(RULES, replace(GOOD, stale=("modelkit.raw",))) == [
        f"{name}: modelkit.raw is in the baseline without need"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{a: [", "not YAML"),
        ("", "no profiles"),
        ("profiles: []", "no profiles"),
        ("[contract]", "no profiles"),
        ("profiles: contract", "not a list"),
        ("profiles: [contracts]", "there is no contracts"),
        ("{profiles: [contract], features: [teleport]}", "there is no teleport"),
        ("{profiles: [contract], max-age-days: 0}", "more than 0"),
        ("{profiles: [contract], max-age-days: true}", "more than 0"),
        ("{profiles: [contract], max_age: 3}", "unknown keys: max_age"),
        ("{profiles: [contract], known-failures: [no.such-case]}", r"there is no no\.such-case"),
    ],
)
def test_policies_that_are_refused(text: str, said: str) -> None:
    with pytest.raises(gate.PolicyError, match=said):
        gate.policy(text)


def test_policy_is_read() -> None:
    found = gate.policy(
        f"""
        profiles: [contract]
        known-failures: [contract.umask]
        features: [login]
        max-age-days: 1.5
        digest: {DIGEST}
        suite: 0.1.0
        """
    )
    assert found == gate.Policy(
        profiles=("contract",),
        known_failures=frozenset({"contract.umask"}),
        features=frozenset({"login"}),
        max_age=dt.timedelta(hours=36),
        digest=DIGEST,
        suite=(0, 1, 0),
    )


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("profiles: [contract]", 0, "1 reports: released"),
        ("profiles: [contract, integrity]", 1, "integrity: no case of it was run\n1 reports: not released"),
        ("profiles: [no-such]", 2, "there is no no-such"),
    ],
)
def test_command(tmp_path: Path, text: str, code: int, said: str) -> None:
    (tmp_path / "report.json").write_text(GOOD.dump(), "utf-8")
    (tmp_path / "policy.yaml").write_text(text, "utf-8")
    words = ["gate", f"--policy={tmp_path / 'policy.yaml'}", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "kit_conformance", *words],
        timeout=60,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, said in done.stdout + done.stderr) == (code, True), done.stdout + done.stderr


@pytest.mark.parametrize(("profile", "code"), [("contract", 0), ("integrity", 1)])
def test_verdict_as_json(tmp_path: Path, profile: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "report.json").write_text(GOOD.dump(), "utf-8")
    (tmp_path / "policy.yaml").write_text(f"profiles: [{profile}]", "utf-8")
    words = ["gate", "--policy", str(tmp_path / "policy.yaml"), str(tmp_path), "-o", "json"]
    assert cli.main(words) == code
    said = json.loads(capsys.readouterr().out)
    assert (said["released"], bool(said["reasons"]), said["reports"]) == (not code, bool(code), [GOOD.label])


def test_report_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    text = GOOD.dump().replace('"result": "conformant"', '"result": "error"', 1)
    (tmp_path / "report.json").write_text(text, "utf-8")
    (tmp_path / "policy.yaml").write_text("profiles: [contract]", "utf-8")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "kit_conformance",
            "gate",
            f"--policy={tmp_path / 'policy.yaml'}",
            str(tmp_path),
        ],
        timeout=60,
        check=False,
        capture_output=True,
    )
    assert done.returncode == 2
