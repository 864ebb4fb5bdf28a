"""Commands as subjects: real processes, in an environment of their own, ended as a container's are."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from kit_conformance import baseline, gate
from kit_conformance.catalog import catalog
from kit_conformance.subject import (
    CannotError,
    ConfigError,
    Invocation,
    Outcome,
    SubjectError,
    builtin,
    connect,
    load,
)
from kit_conformance.subject.base import SOME_UID, version_in
from kit_conformance.subject.command import CommandSubject, Running
from kit_conformance.subject.config import parse


def started(folder: Path, script: str, **wishes: object) -> Running:
    """Start a shell with a script, whose $1 is the model's folder and $MESSAGE the termination message."""
    subject = CommandSubject(f"sh {program(folder, script)}", load("bare"))
    volume = subject.volume(folder / "volume-1")
    run = folder / "run-1"
    run.mkdir()
    environment = {"MESSAGE": str(run / "message")}
    words = (volume.inside,)
    return subject.start(Invocation(words, environment, (volume,), run, **wishes))  # type: ignore[arg-type]


def program(folder: Path, script: str) -> Path:
    path = folder / "script.sh"
    path.write_text(script, "utf-8")
    return path


def ended(folder: Path, script: str, seconds: float = 30.0, **wishes: object) -> Outcome:
    return started(folder, script, **wishes).wait(seconds)


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


def number_in(path: Path) -> int:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if path.exists() and path.read_text("ascii").strip():
            return int(path.read_text("ascii"))
        time.sleep(0.01)
    raise AssertionError(f"nobody wrote {path}")


@pytest.mark.parametrize("code", [0, 1, 7, 137])
def test_exit_code_and_words(tmp_path: Path, code: int) -> None:
    outcome = ended(tmp_path, f"echo said; echo complained >&2; printf why > $MESSAGE; exit {code}")
    assert (outcome.code, outcome.message) == (code, "why")
    assert outcome.output.split() == ["said", "complained"]


def test_environment_is_the_run_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_PASSWORD", "of the person who runs the suite")
    names = {line.partition("=")[0] for line in ended(tmp_path, "env").output.splitlines()}
    assert names <= {"PATH", "MESSAGE", "PWD", "OLDPWD", "SHLVL", "_"}


def test_nothing_to_read(tmp_path: Path) -> None:
    assert ended(tmp_path, "read line; echo $?").output.strip() == "1"


def test_too_slow(tmp_path: Path) -> None:
    outcome = ended(tmp_path, "sleep 60", seconds=0.3)
    assert outcome.code is None
    assert outcome.seconds < 20


def test_what_it_has_started_ends_with_it(tmp_path: Path) -> None:
    ended(tmp_path, f"sleep 60 & echo $! > {tmp_path / 'pid'}; exit 0")
    assert gone(number_in(tmp_path / "pid"))


def test_kill_ends_all_of_it(tmp_path: Path) -> None:
    running = started(tmp_path, f"sleep 60 & echo $! > {tmp_path / 'pid'}; wait")
    child = number_in(tmp_path / "pid")
    assert running.alive()
    running.signal(signal.SIGKILL)
    assert running.wait(10).code == -9
    assert gone(child)


def test_terminate_reaches_the_main_process_alone(tmp_path: Path) -> None:
    """A kubelet signals the container's first process; whether that passes it on is its own affair."""
    script = f"trap 'exit 42' TERM; sleep 60 & echo $! > {tmp_path / 'pid'}; wait"
    running = started(tmp_path, script)
    child = number_in(tmp_path / "pid")
    running.signal(signal.SIGTERM)
    running.process.wait(10)
    os.kill(child, 0)  # lives, until the container ends
    assert running.wait(10).code == 42
    assert gone(child)


def test_peak_of_memory(tmp_path: Path) -> None:
    script = f"exec {sys.executable} -c 'import time; x = b\"x\" * (64 * 1024 * 1024); time.sleep(0.3)'"
    assert ended(tmp_path, script, memory=1).peak > 64 * 1024 * 1024


def test_umask_and_open_files(tmp_path: Path) -> None:
    outcome = ended(tmp_path, "umask; ulimit -n", umask=0o077, open_files=123)
    assert outcome.output.split() == ["0077", "123"]


def confined(folder: Path, script: str, **wishes: object) -> Outcome:
    """Run confined, or fail with what this machine forbids."""
    try:
        return ended(folder, script, 30.0, **wishes)
    except CannotError as error:
        pytest.fail(f"this machine cannot confine: {error}")


def test_another_user(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert confined(tmp_path, "id -u", uid=SOME_UID).output.strip() == str(SOME_UID)


def test_only_volumes_can_be_written(tmp_path: Path) -> None:
    script = f"""
    echo x > {tmp_path}/outside && echo wrote outside
    rm {tmp_path}/script.sh && echo removed
    echo x > $1/inside && echo wrote inside
    printf why > $MESSAGE
    """
    outcome = confined(tmp_path, script, only_volumes=True)
    assert [line for line in outcome.output.splitlines() if line.startswith(("wrote", "removed"))] == [
        "wrote inside"
    ]
    assert outcome.message == "why"
    assert not (tmp_path / "outside").exists()


def test_identity(tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_text("#!/bin/sh\necho it, version v2.5.1-rc1 of today\n", "utf-8")
    path.chmod(0o755)
    config = parse("{name: it, version: [--version]}", "test")
    identity = connect(f"command:{path} run", config).identity
    assert (identity.kind, identity.version) == ("command", "2.5.1-rc1")
    assert identity.digest.startswith("sha256:")
    path.write_text("#!/bin/sh\nexit 3\n", "utf-8")
    changed = connect(f"command:{path}", config).identity
    assert (changed.version, changed.digest == identity.digest) == ("", False)


def test_version() -> None:
    assert version_in("Version: 1.7.0\nCommit: x") == "1.7.0"
    assert version_in("none at all") == ""


@pytest.mark.parametrize(
    "text", ["", "kit", "command:", "jar:x", "command:/no/such/program", "command:'open"]
)
def test_no_subject(text: str) -> None:
    with pytest.raises(SubjectError):
        connect(text, load("bare"))


@pytest.mark.parametrize("name", sorted(builtin()))
def test_shipped_configurations(name: str) -> None:
    assert load(name).name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "not YAML"),
        ("{}", "name is missing"),
        ("{name: x, colour: red}", "unknown keys: colour"),
        ("{name: x, features: [teleport]}", "unknown features teleport"),
        ("{name: x, features: [login]}", "does not say how to ask for login"),
        ("{name: x, ask: {tea: {}}}", "nothing is asked for as 'tea'"),
        ("{name: x, ask: {ca: {environment: {A: '{password}'}}}}", "has password, where"),
        ("{name: x, arguments: ['{uri}']}", "has uri, where"),
        ("{name: x, network: none}", "host or bridge"),
    ],
)
def test_configuration_that_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(text, "subject.yaml")


def test_examples_of_the_documentation_can_be_used() -> None:
    text = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text("utf-8")
    subject, known, policy = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert parse(subject, "docs").features == {"login", "ca"}
    assert baseline.parse(known, "docs", catalog())
    assert gate.policy(policy).profiles == ("contract", "restart", "integrity")


def test_values_are_filled_in() -> None:
    config = parse(
        """
        name: x
        ask:
          login:
            environment: {AUTH: '{{"user": "{user}"}}'}
            arguments: ["--password={password}"]
        """,
        "subject.yaml",
    )
    ask = config.asks("login", {"user": "ann", "password": "a {b}"})
    assert (ask.environment, ask.arguments) == ({"AUTH": '{"user": "ann"}'}, ("--password=a {b}",))
    with pytest.raises(ConfigError, match="does not say how to ask for ca"):
        config.asks("ca", {})
