"""What the command says: help, its log, the termination message."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from initializer.tests.conftest import failed
from initializer.tests.destinations import KIT, KITFILE
from kit_conformance.testbed.kits import Noise, pack
from kit_conformance.testbed.registry import faults

if TYPE_CHECKING:
    from initializer.tests.conftest import Command
    from kit_conformance.testbed.registry import Registry


def printed(*arguments: str, **environ: str) -> str:
    """Return what goes to standard output, when nothing goes anywhere else."""
    command = [sys.executable, "-m", "kit_initializer", *arguments]
    done = subprocess.run(command, env={**os.environ, **environ}, capture_output=True, timeout=30, check=True)
    assert done.stderr == b""
    return done.stdout.decode()


def test_help_and_version_go_to_standard_output() -> None:
    assert printed("-h") == printed("--help") == printed("-h", LC_ALL="C", PYTHONUTF8="0")
    lines = printed("-h").splitlines()
    assert lines[0].startswith("usage: kit-initializer SRC DEST")
    assert all(len(line) <= 100 for line in lines)
    for words in (
        "KIT_UNPACK_FLAGS ",
        "KIT_PASSWORD ",
        " 0 ",
        " 7 ",
        " 143 ",
        "kit://localhost:5000/iris:v1",
    ):
        assert any(words in line for line in lines), words
    assert printed("--version").startswith("kit-initializer 0.")


def test_help_for_nobody() -> None:
    command = f"{sys.executable} -m kit_initializer --help >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_flag_as_an_argument_is_explained(initialize: Command, destination: Path) -> None:
    for arguments in (
        ["--plain-http", "kit://r.example/m:v1", destination],
        ["kit://r.example/m:v1", "--filter=model"],
    ):
        run = initialize(*arguments)
        flag = "--plain-http" if "--plain-http" in arguments else "--filter"
        failed(run, 2, "usage", f"{flag} is an argument", f"KIT_UNPACK_FLAGS to {flag}")
    run = initialize("--proxy=http://ann:grey-otter@p.example", "kit://r.example/m:v1", destination)
    assert "grey-otter" not in run.last


def test_progress_can_be_turned_off(registry: Registry, initialize: Command, destination: Path) -> None:
    """The download takes longer than the five seconds after which there would be a line."""
    uri = registry.add(pack({"model/w": Noise(1_000_000)}, KITFILE), "k", "v1")
    registry.inject(faults.Bandwidth(160_000), kind="blob")
    run = initialize(uri, destination, KIT_UNPACK_FLAGS="--plain-http --progress=none")
    assert (run.code, len(run.lines)) == (0, 1), run.lines
    assert run.seconds > 5


def test_json_lines(registry: Registry, initialize: Command, destination: Path) -> None:
    uri = registry.add(KIT, "iris", "v1")
    done = [json.loads(line) for line in initialize(uri, destination, KIT_LOG_FORMAT="json").lines]
    assert [(line["level"], line["uri"], line["digest"], line["files"]) for line in done] == [
        ("info", uri, KIT.digest, 3)
    ]
    run = initialize(f"{uri}x", destination, KIT_LOG_FORMAT="json")
    (line,) = (json.loads(line) for line in run.lines)
    assert (line["level"], line["cause"], line["exit_code"]) == ("error", "not-found", 3)
    assert line["message"] == run.message
    assert line["time"].endswith("Z")


def test_a_level_holds_back_what_is_below_it(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    assert initialize(uri, destination, KIT_LOG_LEVEL="warn").lines == []


def test_a_bundle_that_is_missing_is_a_warning(
    registry: Registry, initialize: Command, destination: Path, tmp_path: Path
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    run = initialize(
        uri, destination, CA_BUNDLE_CONFIGMAP_NAME="x", CA_BUNDLE_VOLUME_MOUNT_POINT=str(tmp_path)
    )
    assert run.code == 0
    assert run.lines[0].startswith(f"warn: the CA bundle {tmp_path}/cabundle.crt is not used: ")


def test_a_reference_without_a_tag_is_a_warning(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    registry.add(KIT, "iris", "latest")
    run = initialize(f"kit://{registry.host}/iris", destination)
    assert run.code == 0
    assert run.lines[0].startswith("warn: ")
    assert "latest" in run.lines[0]


def test_the_message_goes_nowhere_but_where_it_may(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    """Without a variable the file of Kubernetes is used if it exists, and never made."""
    before = Path("/dev/termination-log").exists()
    uri = registry.add(KIT, "iris", "v1")
    assert initialize(uri, destination, KIT_TERMINATION_LOG="").code == 0
    assert initialize(uri, destination, KIT_TERMINATION_LOG=str(destination)).code == 0
    assert Path("/dev/termination-log").exists() == before


def test_a_message_has_at_most_1024_bytes(initialize: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    folder = (
        tmp_path / "file" / ("ü" * 100 + "/") / ("ö" * 120 + "/") / ("ä" * 120 + "/") / ("ß" * 120) / "xx"
    )
    run = initialize("kit://127.0.0.1:1/iris:v1", f"{folder}/{'ü' * 127}")
    assert run.code == 10
    assert len(run.last.encode()) > 1024
    assert 1020 <= len(run.message.encode()) <= 1024
    assert run.last.startswith(run.message)


def test_a_folder_whose_name_is_no_text(initialize: Command) -> None:
    run = initialize("kit://127.0.0.1:1/iris:v1", os.fsdecode(b"/proc/\xff\n/d"))
    assert (run.code, len(run.lines)) == (10, 1)
    assert run.message.startswith("destination: /proc/")


def test_nobody_reads_the_log(registry: Registry, initialize: Command, destination: Path) -> None:
    uri = registry.add(KIT, "iris", "v1")
    environ = initialize.environ({})
    process = subprocess.Popen(
        [sys.executable, "-m", "kit_initializer", uri, str(destination)], env=environ, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    process.stderr.close()
    assert process.wait(30) == 0
    assert (destination / "model" / "config.json").exists()
