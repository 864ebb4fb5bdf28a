"""Runs of the suite as its users start them: exit codes, nothing run, and a plugin that leaves others alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

# Installed, the plugin is loaded by itself; run from its sources it must be named.
PLUGIN = (
    ()
    if any(each.name == "kit-conformance" for each in entry_points(group="pytest11"))
    else (
        "-p",
        "kit_conformance.plugin",
    )
)


OURS = ("--subject-config=kit-initializer",)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return python("-m", "kit_conformance", "run", "--jobs", "0", *words)


def python(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=cwd)


def report(folder: Path) -> Any:  # noqa: ANN401  (JSON)
    return json.loads((folder / "report.json").read_text("utf-8"))


def test_a_subject_that_holds_is_0(honest: str, tmp_path: Path) -> None:
    results = tmp_path / "results"
    done = run("--subject", honest, *OURS, "--case", "contract.pair", "--results", str(results))
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(each["id"], each["result"]) for each in report(results)["cases"]] == [("contract.pair", "pass")]
    assert {path.name for path in results.iterdir()} == {
        *("report.json", "report.html", "junit.xml", "summary.md"),
    }


@pytest.mark.parametrize("jobs", ["0", "2"])
def test_progress_is_told_while_a_case_runs(tmp_path: Path, jobs: str) -> None:
    """The suite knows which cases it has selected and which of them run, with workers too."""
    script = tmp_path / "it"
    script.write_text("#!/bin/sh\nsleep 12\nexit 1\n", "utf-8")
    script.chmod(0o755)
    words = ("--subject", f"command:{script}", "--no-preflight", "--case", "contract.pair")
    command = ("-m", "kit_conformance", "run", "--jobs", jobs, *words, "--results", str(tmp_path / "results"))
    done = python(*command, cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "0/1 cases, " in done.stdout
    assert "; contract.pair for " in done.stdout
    assert "fail: contract.pair: it ended with exit code 1" in done.stdout


@pytest.mark.parametrize("command", ["/bin/true", "/bin/false"])
def test_a_subject_that_does_not_hold_is_1(command: str, tmp_path: Path) -> None:
    words = ("--case", "contract.pair", "--no-preflight", "--keep", "--results", str(tmp_path))
    done = run("--subject", f"command:{command}", *words)
    assert done.returncode == 1, done.stdout + done.stderr
    (case,) = report(tmp_path)["cases"]
    assert (case["result"], case["exit_code"]) == ("fail", int(command == "/bin/false"))
    kept = Path(case["evidence"]["kept"])
    assert {"evidence.json", "volume-1"} <= {path.name for path in kept.iterdir()}
    shutil.rmtree(kept)
    again = (
        f"repeat: kit-conformance run --subject command:{command} --no-preflight --case contract.pair --keep"
    )
    assert again in done.stdout
    assert f"kept: {kept}" in done.stdout


def test_without_an_ordinary_kit_no_case_is_run(tmp_path: Path) -> None:
    script = tmp_path / "it"
    script.write_text("#!/bin/sh\necho I need a flag >&2\nexit 3\n", "utf-8")
    script.chmod(0o755)
    done = run("--subject", f"command:{script}", "--results", str(tmp_path / "results"))
    assert done.returncode == 2, done.stdout
    assert "no case was run" in done.stderr
    assert "exit code: 3" in done.stderr
    assert "  | I need a flag" in done.stderr
    assert "kit-conformance init --subject" in done.stderr
    assert not (tmp_path / "results").exists()


def test_results_are_kept_without_being_asked_for(tmp_path: Path) -> None:
    words = ("--subject", "command:/bin/true", "--profile", "manifest", "--manifest", str(tmp_path))
    (tmp_path / "m.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", "utf-8")
    done = python("-m", "kit_conformance", "run", "--jobs", "0", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "results" / "report.html").exists()
    assert "subject: command:/bin/true as true" in done.stdout


def test_a_should_that_does_not_hold_warns(honest: str, tmp_path: Path) -> None:
    (tmp_path / "subject.yaml").write_text(
        "name: one-by-one\nrecord: .kit-initializer.json\nenvironment: {KIT_CONCURRENCY: '1'}\n"
        "ask: {plain-http: {environment: {KIT_UNPACK_FLAGS: --plain-http}}}\n",
        "utf-8",
    )
    given = ("--subject-config", str(tmp_path / "subject.yaml"), "--results", str(tmp_path))
    done = run("--subject", honest, *given, "--case", "contract.pair", "--case", "registry.layers-at-once")
    assert {each["id"]: each["result"] for each in report(tmp_path)["cases"]} == {
        "contract.pair": "pass",
        "registry.layers-at-once": "warn",
    }, done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "needs --subject"),
        (("--subject", "command:/no/such/command"), "there is no command"),
        (("--subject", "telepathy:x"), "telepathy:x"),
        (("--subject", "command:/bin/true", "--subject-config", "no-such"), "no-such"),
        (
            ("--subject", "command:/bin/true", "--registry", "127.0.0.1:1"),
            "no registry answers at 127.0.0.1:1",
        ),
        (("--subject", "command:/bin/true", "--registry", "http://r:1"), "without a scheme"),
        (("--subject", "command:/bin/true", "--profile", "no-such"), "there is no profile"),
        (("--subject", "command:/bin/true", "--profile", "kit"), "needs --kit"),
        (("--subject", "command:/bin/true", "--case", "contract.pairz"), "did you mean contract.pair?"),
        (("--subject", "command:/bin/true", "--case", "contract.no-such*"), "no case is selected"),
        (("--subject", "command:/bin/true", "--slow", "0"), "--slow must be more than 0"),
        (("--subject", "command:/bin/true", "--as-of", "yesterday"), "no version of the suite"),
    ],
)
def test_what_cannot_be_run_is_2(words: tuple[str, ...], said: str) -> None:
    done = run(*words)
    assert done.returncode == 2, done.stdout
    assert said in done.stdout + done.stderr


def test_nothing_run_is_2_and_not_a_success(honest: str, tmp_path: Path) -> None:
    words = ("--case", "contract.pair", "--skip", "contract.*", "--results", str(tmp_path))
    done = run("--subject", honest, *OURS, *words)
    assert done.returncode == 2, done.stdout
    assert [each["result"] for each in report(tmp_path)["cases"]] == ["skipped"]


def test_a_folder_that_cannot_be_written_is_2(honest: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("--subject", honest, *OURS, "--case", "contract.pair", "--results", str(tmp_path / "file"))
    assert done.returncode == 2, done.stdout


def test_plain_pytest_is_the_same_run(honest: str, tmp_path: Path) -> None:
    words = ("--pyargs", "kit_conformance.cases", "--kc-case=contract.pair*", f"--subject={honest}", *OURS)
    done = python("-m", "pytest", *PLUGIN, *words, f"--kc-results={tmp_path / 'r'}", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {each["result"] for each in report(tmp_path / "r")["cases"]} == {"pass"}


def test_without_a_subject_no_case_is_run(tmp_path: Path) -> None:
    done = python("-m", "pytest", *PLUGIN, "--pyargs", "kit_conformance.cases", cwd=tmp_path)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout
    assert "the cases need a subject" in done.stdout + done.stderr


def test_the_plugin_leaves_others_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test_of_somebody.py").write_text(
        "import sys\n"
        "def test_it(pytestconfig, request):\n"
        "    assert not pytestconfig.pluginmanager.has_plugin('kit-conformance-session')\n"
        "    loaded = {name for name in sys.modules if name.startswith('kit_conformance')}\n"
        "    assert not loaded & {'kit_conformance.session', 'kit_conformance.cases', 'kit_conformance.lab'}\n"
        "    assert [item.name for item in request.session.items] == ['test_it']\n",
        "utf-8",
    )
    monkeypatch.setenv("KIT_CONFORMANCE_PROFILE", "contract")
    monkeypatch.setenv("KIT_CONFORMANCE_RESULTS", str(tmp_path / "results"))
    done = python("-m", "pytest", *PLUGIN, "-q", "-p", "no:cacheprovider", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert not (tmp_path / "results").exists()
