"""The command as KServe sees it: arguments, exit codes, one line that says why, the termination message, signals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kit_conformance.testbed.kits import Header, Noise, Source, Tar, assemble, pack, single
from kit_conformance.testbed.registry import TLS, Basic, Bearer, Registry, faults, refusing, silent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initializer.tests.conftest import Command, Run, Trees

KITFILE = {"manifestVersion": "1.0.0", "package": {"name": "k"}, "model": {"path": "model"}}
FILES: dict[str, Source | None] = {"model/weights.bin": Noise(300_000), "model/config.json": b"{}\n"}
KIT = pack(FILES, KITFILE)


def failed(run: Run, code: int, slug: str, *words: str) -> None:
    """Assert that a run failed with this code and said why, in its last line and in the termination message."""
    assert (run.code, run.last.partition(":")[0]) == (code, slug), run.lines
    assert len([line for line in run.lines if line.startswith(f"{slug}: ")]) == 1, run.lines
    assert run.message == run.last
    for word in words:
        assert word in run.last


def test_a_kit_is_in_place(registry: Registry, initialize: Command, destination: Path, trees: Trees) -> None:
    uri = registry.add(KIT, "iris", "v1")
    run = initialize(uri, destination)
    assert run.code == 0, run.lines
    trees.check(destination, KIT)
    (line,) = run.lines
    assert line.startswith(f"{uri} is in place ({KIT.digest}): 3 files, ")
    assert line.endswith(", engine native")


def test_the_message_of_success_is_json(registry: Registry, initialize: Command, destination: Path) -> None:
    uri = registry.add(KIT, "iris", "v1")
    message = json.loads(initialize(uri, destination).message)
    (kit,) = message["kits"]
    size = sum(fact.size for fact in KIT.files.values()) + (destination / "Kitfile").stat().st_size
    assert kit.pop("seconds") >= 0
    assert kit == {"uri": uri, "digest": KIT.digest, "files": 3, "bytes": size}
    assert message["more"] == 0


@pytest.mark.parametrize("size", [300_000, 3_000_000])
def test_a_flipped_byte_is_7_and_leaves_nothing(
    registry: Registry, initialize: Command, destination: Path, trees: Trees, size: int
) -> None:
    uri = registry.add(pack({"model/weights.bin": Noise(size)}, KITFILE), "iris", "v1")
    registry.inject(faults.Tamper(offset=size // 2), kind="blob")
    run = initialize(uri, destination)
    failed(run, 7, "integrity", "layer sha256:", f"of {uri}", "does not match its digest")
    trees.nothing_in(destination)
    assert len(run.lines) == 1


def test_a_missing_tag_is_3(registry: Registry, initialize: Command, destination: Path, trees: Trees) -> None:
    registry.add(KIT, "iris", "v1")
    failed(initialize(f"kit://{registry.host}/iris:v2", destination), 3, "not-found", "iris:v2")
    trees.nothing_in(destination)


def test_a_missing_repository_is_3(registry: Registry, initialize: Command, destination: Path) -> None:
    failed(initialize(f"kit://{registry.host}/nobody/knows:v2", destination), 3, "not-found", "nobody/knows")


def test_a_missing_layer_is_3(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    registry.inject(faults.Status(404), kind="blob")
    failed(initialize(uri, destination), 3, "not-found", KIT.layers[0].digest)
    trees.nothing_in(destination)


@pytest.mark.parametrize("auth", [Basic({"ann": "pw"}), Bearer({"ann": "pw"})], ids=["basic", "bearer"])
@pytest.mark.parametrize("login", [{}, {"KIT_USER": "ann", "KIT_PASSWORD": "otter"}], ids=["none", "wrong"])
def test_no_or_wrong_credentials_are_4(
    auth: Basic | Bearer, login: dict[str, str], initialize: Command, destination: Path, trees: Trees
) -> None:
    with Registry(auth=auth) as registry:
        run = initialize(registry.add(KIT, "iris", "v1"), destination, env=login)
    failed(run, 4, "denied", "KIT_USER")
    assert "otter" not in "".join(run.lines)
    trees.nothing_in(destination)


def test_no_right_to_pull_is_4(registry: Registry, initialize: Command, destination: Path) -> None:
    uri = registry.add(KIT, "iris", "v1")
    registry.inject(faults.Status(403))
    failed(initialize(uri, destination), 4, "denied")


def test_a_dead_registry_is_5(initialize: Command, destination: Path, trees: Trees) -> None:
    with refusing() as host:
        run = initialize(f"kit://{host}/iris:v1", destination, KIT_RETRIES="1")
    failed(run, 5, "unreachable", host, "refused")
    trees.nothing_in(destination)


def test_a_silent_registry_is_5(initialize: Command, destination: Path) -> None:
    with silent() as host:
        run = initialize(f"kit://{host}/iris:v1", destination, KIT_RETRIES="0", KIT_FIRST_BYTE_TIMEOUT="0.2")
    failed(run, 5, "unreachable", host, "timed out")
    assert run.seconds < 10


def test_a_registry_that_fails_is_5(registry: Registry, initialize: Command, destination: Path) -> None:
    uri = registry.add(KIT, "iris", "v1")
    registry.inject(faults.Status(503, message="in\nmaintenance"))
    failed(initialize(uri, destination, KIT_RETRIES="1"), 5, "unreachable", "503", "in maintenance")


def test_an_unknown_authority_is_6(initialize: Command, destination: Path, trees: Trees) -> None:
    with Registry(tls=TLS()) as registry:
        run = initialize(registry.add(KIT, "iris", "v1"), destination, KIT_UNPACK_FLAGS="")
        assert not registry.ledger.requests()
    failed(run, 6, "tls", registry.host, "not trusted", "KIT_CA_CERT")
    trees.nothing_in(destination)


def test_plain_http_where_tls_is_expected_is_6(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    run = initialize(registry.add(KIT, "iris", "v1"), destination, KIT_UNPACK_FLAGS="")
    failed(run, 6, "tls", "--plain-http")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("kit://127.0.0.1:1/iris:v1",),
        ("kit://127.0.0.1:1/iris:v1", "d", "kit://127.0.0.1:1/iris:v1"),
        ("iris:v1", "d"),
        ("s3://bucket/iris", "d"),
        ("kit://127.0.0.1:1/iris:v1", ""),
        ("kit://127.0.0.1:1/iris:v1", "d", "hf://org/model", "e"),
        ("kit://ann:otter@127.0.0.1:1/iris:v1", "d"),
    ],
)
def test_arguments_that_make_no_sense_are_2(
    arguments: tuple[str, ...], initialize: Command, tmp_path: Path
) -> None:
    run = initialize(*(tmp_path / each if each in {"d", "e"} else each for each in arguments))
    failed(run, 2, "usage")
    assert "otter" not in run.last
    assert len(run.lines) == 1
    assert not (tmp_path / "d").exists()


def test_a_setting_that_makes_no_sense_is_2(initialize: Command, destination: Path) -> None:
    failed(
        initialize("kit://127.0.0.1:1/iris:v1", destination, KIT_CONCURRENCY="none"),
        2,
        "usage",
        "KIT_CONCURRENCY",
    )
    assert not destination.exists()


def test_a_symlink_is_8(registry: Registry, initialize: Command, destination: Path, trees: Trees) -> None:
    tar = Tar().file("model/a", b"a").add(Header(b"model/b", kind=b"2", link=b"/etc/passwd"))
    uri = registry.add(single(bytes(tar)), "iris", "v1")
    failed(initialize(uri, destination), 8, "unsafe", "a symbolic link", "model/b")
    trees.nothing_in(destination)


def test_a_tampered_and_unsafe_layer_is_7(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    tar = bytes(
        Tar().add(Header(b"model/b", kind=b"2", link=b"/etc/passwd")).file("model/a", bytes(2_000_000))
    )
    uri = registry.add(single(tar), "iris", "v1")
    registry.inject(faults.Tamper(offset=-1), kind="blob")
    failed(initialize(uri, destination), 7, "integrity")
    trees.nothing_in(destination)


def test_an_image_is_9(registry: Registry, initialize: Command, destination: Path, trees: Trees) -> None:
    uri = registry.add(KIT, "iris", "v1")
    body = json.dumps(
        {"schemaVersion": 2, "config": {"mediaType": "application/vnd.oci.image.config.v1+json"}}
    )
    registry.inject(faults.Replace(body.encode()), kind="manifest")
    registry.inject(faults.no_digest_header(), kind="manifest")
    failed(initialize(uri, destination), 9, "not-a-modelkit", uri)
    trees.nothing_in(destination)


def test_a_destination_that_cannot_be_made_is_10(
    registry: Registry, initialize: Command, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    uri = registry.add(KIT, "iris", "v1")
    failed(initialize(uri, tmp_path / "file" / "d"), 10, "destination", str(tmp_path / "file" / "d"))
    failed(initialize(uri, tmp_path / "file"), 10, "destination", str(tmp_path / "file"))
    assert not registry.ledger.requests(kind="blob")


def test_a_kit_without_files_is_11(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    uri = registry.add(assemble({"manifestVersion": "1.0.0", "package": {}}, []), "none", "v1")
    failed(initialize(uri, destination), 11, "empty", uri)
    trees.nothing_in(destination)


@pytest.mark.parametrize("tar", [Tar(), Tar().directory("model")], ids=["nothing", "a folder"])
def test_a_layer_without_files_is_11(
    tar: Tar, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    uri = registry.add(single(bytes(tar)), "none", "v1")
    failed(initialize(uri, destination), 11, "empty", uri)
    trees.nothing_in(destination)


def test_a_filter_without_a_match_is_11(registry: Registry, initialize: Command, destination: Path) -> None:
    uri = registry.add(KIT, "iris", "v1")
    flags = "--plain-http --filter=docs"
    failed(initialize(uri, destination, KIT_UNPACK_FLAGS=flags), 11, "empty", "docs")


def test_patterns_without_a_match_are_11(registry: Registry, initialize: Command, destination: Path) -> None:
    uri = registry.add(KIT, "iris", "v1")
    failed(initialize(uri, destination, STORAGE_ALLOW_PATTERNS="*.safetensors"), 11, "empty", "patterns")


def test_what_nobody_has_thought_of_is_70(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    run = initialize(registry.add(KIT, "iris", "v1"), destination, doom="mkdir:1:BUG", timeout=20)
    failed(run, 70, "bug", "RuntimeError at doom.py:", "please report this")
    trees.nothing_in(destination)


def test_an_unsafe_layer_is_8_however_large_it_is(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    """The rest of it is read, because a wrong digest would be the better reason."""
    tar = bytes(
        Tar().add(Header(b"model/b", kind=b"1", link=b"/etc/passwd")).file("model/a", bytes(2_000_000))
    )
    uri = registry.add(single(tar), "iris", "v1")
    failed(initialize(uri, destination), 8, "unsafe", "a hard link", uri)
    trees.nothing_in(destination)
    assert registry.ledger.settle()
    assert sum(entry.sent for entry in registry.ledger.requests(kind="blob")) >= len(tar)


def test_a_kitfile_in_a_layer_is_8(registry: Registry, initialize: Command, destination: Path) -> None:
    uri = registry.add(single(bytes(Tar().file("Kitfile").file("a"))), "iris", "v1")
    failed(initialize(uri, destination), 8, "unsafe", uri, "Kitfile")


# what is said


def test_help_and_version_need_nothing(initialize: Command) -> None:
    for argument in ("-h", "--help"):
        run = initialize(argument)
        assert (run.code, run.message) == (0, "")
        assert "usage: kit-initializer SRC DEST" in run.last
    assert initialize("--version").last.startswith("kit-initializer 0.")


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


# signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("at", ["manifest", "blob"])
def test_a_signal_ends_the_run_within_a_second(
    *,
    number: signal.Signals,
    at: str,
    registry: Registry,
    initialize: Command,
    destination: Path,
    trees: Trees,
) -> None:
    kit = pack({"model/weights.bin": Noise(3_000_000)}, KITFILE)
    uri = registry.add(kit, "iris", "v1")
    registry.inject(faults.Stall(after=2_000_000) if at == "blob" else faults.Hang(), kind=at, times=1)
    process = initialize.start(uri, destination)
    assert registry.ledger.wait_for(1, kind=at)
    time.sleep(0.1)
    began = time.monotonic()
    process.send_signal(number)
    run = process.end()
    assert time.monotonic() - began < 1
    assert run.code == 128 + number
    assert run.last == run.message
    assert run.last.startswith(f"stopped by {number.name} before everything was in place")
    registry.heal()
    assert initialize(uri, destination).code == 0
    trees.check(destination, kit)


@contextlib.contextmanager
def full() -> Iterator[str]:
    """Give `host:port` to which no connection comes about: the queue of those that wait is full (listen(2))."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(listener.getsockname())
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_registry_that_no_connection_reaches_is_5(initialize: Command, destination: Path) -> None:
    with full() as host:
        run = initialize(f"kit://{host}/iris:v1", destination, KIT_RETRIES="0", KIT_CONNECT_TIMEOUT="0.2")
    failed(run, 5, "unreachable", host, "timed out")
    assert run.seconds < 10


def test_a_signal_while_connecting_ends_the_run_within_a_second(
    initialize: Command, registry: Registry, destination: Path
) -> None:
    """A thread that waits for a connection is not waited for."""
    kit = pack({"model/weights.bin": Noise(3_000_000)}, KITFILE)
    uri = registry.add(kit, "iris", "v1")
    with full() as host:
        registry.inject(faults.RedirectTo(f"http://{host}/blob"), kind="blob")
        process = initialize.start(uri, destination)
        assert registry.ledger.wait_for(1, kind="blob")
        time.sleep(0.1)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.end().code == 143
        assert time.monotonic() - began < 1


def test_nothing_is_written_after_a_signal(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    uri = registry.add(pack({"model/weights.bin": Noise(20_000_000)}, KITFILE), "iris", "v1")
    registry.inject(faults.Bandwidth(2_000_000), kind="blob")
    process = initialize.start(uri, destination)
    deadline = time.monotonic() + 10
    while not list(destination.rglob("weights.bin")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.end().code == 143
    left = {path: path.lstat().st_mtime_ns for path in destination.rglob("*")}
    time.sleep(0.2)
    assert {path: path.lstat().st_mtime_ns for path in destination.rglob("*")} == left
