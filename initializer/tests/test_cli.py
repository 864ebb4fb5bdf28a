"""The command as KServe sees it: arguments, exit codes, one line that says why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from initializer.tests.conftest import failed
from initializer.tests.destinations import KIT, KITFILE
from kit_conformance.testbed.kits import Header, Noise, Tar, assemble, pack, single
from kit_conformance.testbed.registry import TLS, Basic, Bearer, Registry, faults, refusing, silent

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command, Trees


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
