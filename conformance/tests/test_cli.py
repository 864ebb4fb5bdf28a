"""The command line as people meet it: help, suggestions, JSON, completion, progress and what is said at the end."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kit_conformance import cli, closing
from kit_conformance.catalog import PROFILES, catalog
from kit_conformance.lint import RULES
from kit_conformance.progress import clock, earlier, line
from kit_conformance.report import CaseRecord, Report, State
from kit_conformance.report.files import write
from kit_conformance.selection import OPTIONS, Options


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(words) == 0
    return capsys.readouterr().out


def test_the_help_of_run_names_profiles_and_variables_and_no_constant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["run", "--help"])
    text = capsys.readouterr().out
    for profile in PROFILES.values():
        assert profile.title in text
    for option in OPTIONS[1:]:
        assert option.variable in text
    assert "KC_" not in text
    assert "kc_" not in text


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["run", "--basline", "x"], "--baseline"),
        (["lint", "--stict", "x"], "--strict"),
        (["lst"], "list"),
        (["list", "--profile", "restrat"], "restart"),
    ],
)
def test_what_was_meant(words: list[str], near: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    assert f"did you mean {near}?" in capsys.readouterr().err


def test_what_was_meant_by_an_id(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "restart.secondrun"]) == 2
    assert "did you mean restart.second-run?" in capsys.readouterr().err
    assert cli.main(["explain", "qqq"]) == 2
    assert "did you mean" not in capsys.readouterr().err


def test_lists_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    profiles = json.loads(said(capsys, "list", "-o", "json"))["profiles"]
    assert [each["name"] for each in profiles] == list(PROFILES)
    assert [case["id"] for each in profiles for case in each["cases"]] == list(catalog())
    (one,) = json.loads(said(capsys, "list", "-o", "json", "--profile", "restart"))["profiles"]
    assert {case["profile"] for case in one["cases"]} == {"restart"}
    assert "login" in json.loads(said(capsys, "list", "--features", "-o", "json"))["features"]


def test_explanations_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    case = json.loads(said(capsys, "explain", "contract.pair", "-o", "json"))
    assert (case["id"], case["level"], case["features"]) == ("contract.pair", "MUST", [])
    rule = json.loads(said(capsys, "explain", "moving-tag", "--output", "json"))
    assert rule["remedy"] == RULES["moving-tag"].remedy


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    script = said(capsys, "completion", shell)
    assert "kit-conformance" in script
    if binary := shutil.which(shell):
        subprocess.run([binary, "-n"], input=script.encode(), check=True, timeout=20)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("kit-conformance explain restart.second-run-d", "restart.second-run-downloads-nothing"),
        ("kit-conformance run --case contract.pairs-o", "contract.pairs-one-f"),
        ("kit-conformance run --subject-config kitop", "kitops-kserve"),
        ("kit-conformance run --no-pre", "--no-preflight"),
    ],
)
def test_what_a_shell_is_told(line: str, word: str, tmp_path: Path) -> None:
    """Ask as the script of `completion` asks: by variables, for an answer on a file."""
    answer = tmp_path / "answer"
    environment = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "IFS": "\n",
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": ":".join(sys.path),
    }
    command = [sys.executable, "-m", "kit_conformance"]
    subprocess.run(command, env=environment, check=True, timeout=60, capture_output=True)
    assert word in answer.read_text("utf-8")


def record(identifier: str, state: State, message: str, seconds: float = 1.0) -> CaseRecord:
    return CaseRecord(
        identifier, f"Title of {identifier}", state, "MUST", "contract", message=message, seconds=seconds
    )


def report(*cases: CaseRecord) -> Report:
    return Report(
        suite={"name": "kit-conformance", "version": "0"},
        started="2026-01-31T12:00:00Z",
        seconds=1.0,
        subject={"name": "it", "given": "command:it", "kind": "command", "features": []},
        configuration={},
        cases=cases,
    )


def test_failures_are_grouped_by_their_cause_with_the_command_that_repeats_one() -> None:
    made = report(
        record("contract.pair", State.FAIL, "it ended with exit code 1 after 12 s\n  more"),
        record("contract.pairs", State.FAIL, "it ended with exit code 7 after 3 s"),
        record("contract.umask", State.FAIL, "the destination is not what was packed"),
        record("contract.readable", State.PASS, ""),
    )
    options = Options(
        {
            "--subject": "command:it --with 'a space'",
            "--profile": ["contract"],
            "--manifest": ["a", "b"],
            "--no-preflight": True,
            "--results": "results",
        }
    )
    lines = list(closing.lines(made, options, Path("results/report.html")))
    assert [each for each in lines if each.startswith("fail")] == [
        "fail: it ended with exit code 1 after 12 s (2 cases)",
        "fail: the destination is not what was packed",
    ]
    assert [each.split()[0] for each in lines if re.match(r"  contract\.", each)] == [
        "contract.pair",
        "contract.pairs",
        "contract.umask",
    ]
    assert (
        "  repeat: kit-conformance run --subject 'command:it --with '\"'\"'a space'\"'\"'' --no-preflight "
        "--manifest a --manifest b --case contract.umask --keep --results results/repeat"
    ) in lines
    assert lines[-2:] == ["it: not-conformant (1 pass, 3 fail of 4)", "report: results/report.html"]


def test_the_line_tells_what_is_done_and_what_is_left() -> None:
    text = line("abcd", {"a": 2.0}, {"b": 10.0}, {"b": 40.0, "c": 10.0}, 15.0)
    assert text == "1/4 cases, 0:15 elapsed, about 0:42 left; b for 10 s"
    assert line("ab", {}, {"a": 1.0, "b": 3.0}, {}, 3.0) == "0/2 cases, 0:03 elapsed; b for 3 s and 1 more"


def test_clock() -> None:
    assert (clock(0), clock(65.4), clock(3600)) == ("0:00", "1:05", "60:00")


def test_an_earlier_run_tells_how_long_cases_take(tmp_path: Path) -> None:
    assert earlier(tmp_path) == {}
    write(report(record("contract.pair", State.PASS, "", 12.5)), tmp_path)
    assert earlier(tmp_path) == {"contract.pair": 12.5}
