"""Networks as they are: every fault of the testbed ends in the kit's tree, or in a coded failure and the older tree."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from initializer.tests.destinations import KITFILE
from kit_conformance.testbed.kits import Noise, pack
from kit_conformance.testbed.registry import faults

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command, Trees
    from kit_conformance.testbed.kits import ModelKit
    from kit_conformance.testbed.registry import Fault, Registry

OLDER = pack({"model/older.bin": b"older"}, KITFILE)
SMALL = pack({"model/weights.bin": Noise(100_000), "model/config.json": b"{}"}, KITFILE)
LARGE = pack({"model/weights.bin": Noise(3_000_000), "model/config.json": b"{}"}, KITFILE)
SIZE = LARGE.layers[0].size
QUICK = {
    "KIT_RETRIES": "1",
    "KIT_CONNECT_TIMEOUT": "2",
    "KIT_FIRST_BYTE_TIMEOUT": "0.3",
    "KIT_STALL_TIMEOUT": "0.3",
    "KIT_PROGRESS_TIMEOUT": "1",
}

# for what heals: machines that run these tests may be busy
PATIENT = QUICK | {"KIT_RETRIES": "5", "KIT_PROGRESS_TIMEOUT": "20"}

HEALS: dict[str, Fault] = {
    "cut": faults.Cut(after=40_000),
    "cut at once": faults.Cut(after=0),
    "reset": faults.Reset(after=40_000),
    "stall": faults.Stall(after=40_000),
    "hang": faults.Hang(),
    "drop": faults.Drop(),
    "drop by reset": faults.Drop(reset=True),
    "garbage": faults.Garbage(),
    "408": faults.Status(408),
    "429": faults.Status(429, retry_after="0"),
    "500": faults.Status(500),
    "502": faults.Status(502),
    "503": faults.Status(503, retry_after="0"),
    "504": faults.Status(504, retry_after=formatdate(time.time() - 10, usegmt=True)),
    "odd Retry-After": faults.Status(503, retry_after="soon"),
    "a redirect to nowhere": faults.RedirectTo(""),
}
HARMLESS: dict[str, Fault] = {
    "late": faults.Latency(0.1),
    "slices": faults.Slices(9_973),
    "no range": faults.NoRange(),
    "no digest": faults.no_digest_header(),
    "no head": faults.NoHead(),
    "chunked": faults.Chunked(),
    "closing": faults.Header("Connection", "close"),
    "elsewhere": faults.Redirect(),
    "same origin": faults.Redirect(same=True),
    "relative": faults.Redirect(same=True, relative=True),
    "303": faults.Redirect(status=303),
}
FATAL: dict[str, tuple[int, Fault]] = {
    "cut": (5, faults.Cut()),
    "stall": (5, faults.Stall()),
    "hang": (5, faults.Hang()),
    "drop": (5, faults.Drop()),
    "garbage": (5, faults.Garbage()),
    "503": (5, faults.Status(503)),
    "418": (5, faults.Status(418)),
    "a long Retry-After": (5, faults.Status(503, retry_after="3600")),
    "a far date": (5, faults.Status(503, retry_after=formatdate(time.time() + 9999, usegmt=True))),
    "a loop": (5, faults.RedirectLoop()),
    "a redirect to what is no address": (5, faults.RedirectTo("http://[::1")),
    "a redirect to another scheme": (5, faults.RedirectTo("ftp://127.0.0.1/blob")),
    "a redirect with a space": (5, faults.RedirectTo("http://127.0.0.1/a b")),
    "a redirect to letters": (5, faults.RedirectTo("http://127.0.0.1/\u00e9")),
    "404": (3, faults.Status(404)),
    "410": (3, faults.Status(410)),
    "401": (4, faults.Status(401)),
    "403": (4, faults.Status(403)),
    "tampered": (7, faults.Tamper(offset=7)),
    "tampered at its end": (7, faults.Tamper(offset=-1)),
}


@pytest.mark.parametrize("kit", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("name", HEALS)
def test_a_layer_that_fails_once_is_tried_again(
    *, name: str, kit: ModelKit, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    fault = registry.inject(HEALS[name], kind="blob", times=1)
    run = initialize(registry.add(kit, "k", "v1"), destination, env=PATIENT)
    assert run.code == 0, run.lines
    assert fault.hits == 1
    trees.check(destination, kit)


@pytest.mark.parametrize("kind", ["manifest", "config"])
@pytest.mark.parametrize("name", ["a body that is too short", *HEALS])
def test_a_manifest_or_config_that_fails_once_is_tried_again(
    *, name: str, kind: str, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    fault = registry.inject(HEALS.get(name, faults.WrongLength(by=10)), kind=kind, times=1)
    run = initialize(registry.add(SMALL, "k", "v1"), destination, env=PATIENT)
    assert run.code == 0, run.lines
    assert fault.hits == 1
    trees.check(destination, SMALL)


@pytest.mark.parametrize("name", HARMLESS)
def test_a_registry_with_its_own_ways(
    *, name: str, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    uri = registry.add(LARGE, "k", "v1")
    fault = registry.inject(HARMLESS[name])
    run = initialize(uri, destination)
    assert (run.code, len(run.lines)) == (0, 1), run.lines
    assert fault.hits > 0 or name == "no head"
    trees.check(destination, LARGE)


@pytest.mark.parametrize("kind", ["manifest", "blob"])
@pytest.mark.parametrize("name", FATAL)
def test_what_does_not_heal_ends_with_its_code_and_the_older_tree(
    *, name: str, kind: str, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    code, fault = FATAL[name]
    uri = registry.add(OLDER, "k", "v1")
    assert initialize(uri, destination).code == 0
    registry.add(LARGE, "k", "v1")
    registry.inject(fault, kind=kind)
    run = initialize(uri, destination, env=QUICK)
    assert run.code == code, run.lines
    assert run.last == run.message
    assert run.lines[-1].partition(":")[0] in {"not-found", "denied", "unreachable", "integrity"}
    trees.check(destination, OLDER)


@pytest.mark.parametrize(
    ("code", "fault", "kind"),
    [
        (7, faults.WrongLength(by=1_000), "blob"),
        (7, faults.WrongLength(by=-1_000), "blob"),
        (7, faults.wrong_digest_header(), "manifest"),
        (9, faults.Replace(b"<html></html>"), "manifest"),
        (7, faults.Replace(b"{}"), "config"),
        (5, faults.Replace(bytes(5_000_000)), "manifest"),
    ],
)
def test_what_a_registry_gets_wrong(
    *,
    code: int,
    fault: Fault,
    kind: str,
    registry: Registry,
    initialize: Command,
    destination: Path,
    trees: Trees,
) -> None:
    uri = registry.add(LARGE, "k", "v1")
    registry.inject(fault, kind=kind)
    if not isinstance(fault, faults.Header):
        registry.inject(faults.no_digest_header(), kind="manifest")
    run = initialize(uri, destination, env=QUICK)
    assert run.code == code, run.lines
    trees.nothing_in(destination)


# resuming


@pytest.mark.parametrize("name", ["cut", "stall"])
@pytest.mark.parametrize("kit", [SMALL, LARGE], ids=["small", "large"])
def test_a_body_goes_on_from_its_last_byte(
    *, name: str, kit: ModelKit, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    registry.inject(HEALS[name], kind="blob", times=2)
    run = initialize(registry.add(kit, "k", "v1"), destination, env=PATIENT, KIT_CONCURRENCY="1")
    assert run.code == 0, run.lines
    asked = registry.ledger.requests(kind="blob")
    size = kit.layers[0].size
    assert [entry.range for entry in asked] == ["", f"bytes=40000-{size - 1}", f"bytes=80000-{size - 1}"]
    assert sum(entry.sent for entry in asked) == size
    trees.check(destination, kit)


def test_a_server_without_ranges_starts_over(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    registry.inject(faults.NoRange())
    registry.inject(faults.Cut(after=2_000_000), kind="blob", times=1)
    run = initialize(registry.add(LARGE, "k", "v1"), destination, env=PATIENT, KIT_CONCURRENCY="1")
    assert run.code == 0, run.lines
    asked = registry.ledger.requests(kind="blob")
    assert [(entry.range, entry.status) for entry in asked] == [("", 200), (f"bytes=2000000-{SIZE - 1}", 200)]
    assert sum(entry.sent for entry in asked) == 2_000_000 + SIZE
    trees.check(destination, LARGE)


RANGES: dict[str, tuple[Fault, list[int]]] = {
    "refused without an end": (faults.RefuseRange(416, without_end=True), [200, 206]),
    "refused by 416": (faults.RefuseRange(416), [200, 416, 200]),
    "refused by 400": (faults.RefuseRange(400), [200, 400, 200]),
    "refused by 501": (faults.RefuseRange(501), [200, 501, 200]),
    "from an earlier block": (faults.EarlierRange(), [200, 206]),
    "without Content-Range": (faults.Header("Content-Range", None), [200, 206, 200]),
    "in multipart": (faults.Multipart(), [200, 206, 200]),
    "of later bytes": (faults.WrongContentRange(by=1), [200, 206, 200]),
    "called another one": (faults.WrongContentRange(by=1, lie=True), [200, 206, 200]),
}


@pytest.mark.parametrize("connections", ["1", "4"])
@pytest.mark.parametrize("name", RANGES)
def test_a_server_with_its_own_idea_of_ranges(
    *, name: str, connections: str, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    fault, statuses = RANGES[name]
    registry.inject(faults.Cut(after=2_000_000), kind="blob", times=1)
    registry.inject(faults.Bandwidth(8_000_000), kind="blob")
    registry.inject(fault, kind="blob")
    run = initialize(registry.add(LARGE, "k", "v1"), destination, env=PATIENT, KIT_CONCURRENCY=connections)
    assert run.code == 0, run.lines
    if connections == "1":
        assert [entry.status for entry in registry.ledger.requests(kind="blob")] == statuses
    trees.check(destination, LARGE)


def test_a_slow_link_gets_more_connections(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    kit = pack({"model/weights.bin": Noise(8_000_000)}, KITFILE)
    registry.inject(faults.Bandwidth(4_000_000), kind="blob")
    assert initialize(registry.add(kit, "k", "v1"), destination).code == 0
    asked = registry.ledger.requests(kind="blob")
    assert len({entry.connection for entry in asked}) > 2
    trees.check(destination, kit)


def test_no_more_connections_than_allowed(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    kit = pack({"model/weights.bin": Noise(4_000_000)}, KITFILE)
    registry.inject(faults.Bandwidth(4_000_000), kind="blob")
    assert initialize(registry.add(kit, "k", "v1"), destination, KIT_CONCURRENCY="2").code == 0
    assert len({entry.connection for entry in registry.ledger.requests(kind="blob")}) <= 2
    trees.check(destination, kit)


# waiting


def test_a_retry_after_is_waited_for(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    registry.inject(faults.Status(429, retry_after="1"), kind="blob", times=1)
    run = initialize(registry.add(SMALL, "k", "v1"), destination)
    assert run.code == 0
    first, second = registry.ledger.requests(kind="blob")
    assert second.seconds - first.seconds >= 1
    trees.check(destination, SMALL)


def test_a_cache_that_is_slow_to_begin_names_the_variable(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    """A pull-through cache fetches a layer first: 75 s were seen, where the limit is 30."""
    registry.inject(faults.Latency(0.75), kind="blob")
    run = initialize(registry.add(SMALL, "k", "v1"), destination, env=QUICK)
    assert run.code == 5, run.lines
    assert registry.host in run.last
    assert "raise KIT_FIRST_BYTE_TIMEOUT (now 0.3 s), for example to 0.6" in run.last
    patient = QUICK | {"KIT_FIRST_BYTE_TIMEOUT": "10", "KIT_PROGRESS_TIMEOUT": "20"}
    assert initialize(f"kit://{registry.host}/k:v1", destination, env=patient).code == 0


def test_the_whole_run_has_a_limit(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    registry.inject(faults.Bandwidth(100_000), kind="blob")
    run = initialize(
        registry.add(LARGE, "k", "v1"), destination, KIT_TOTAL_TIMEOUT="0.5", KIT_CONCURRENCY="1"
    )
    assert (run.code, "KIT_TOTAL_TIMEOUT" in run.last) == (5, True), run.lines
    trees.nothing_in(destination)


def test_a_trickle_is_not_a_stall(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    registry.inject(faults.Slices(10_000, pause=0.2), kind="blob")
    environ = {"KIT_STALL_TIMEOUT": "1", "KIT_PROGRESS_TIMEOUT": "1"}
    assert initialize(registry.add(SMALL, "k", "v1"), destination, env=environ).code == 0
    trees.check(destination, SMALL)


@pytest.mark.parametrize("kind", ["manifest", "config", "blob"])
@pytest.mark.parametrize("fault", [faults.Slices(1, pause=0.1), faults.Cut(after=1), faults.Cut(after=200)])
def test_a_byte_now_and_then_is_no_progress(
    *, fault: Fault, kind: str, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    registry.inject(fault, kind=kind)
    run = initialize(registry.add(SMALL, "k", "v1"), destination, env=QUICK)
    assert run.code == 5, run.lines
    trees.nothing_in(destination)


def test_progress_is_said(registry: Registry, initialize: Command, destination: Path) -> None:
    registry.inject(faults.Bandwidth(500_000), kind="blob")
    run = initialize(registry.add(LARGE, "k", "v1"), destination, KIT_CONCURRENCY="1", KIT_LOG_FORMAT="json")
    assert run.code == 0
    first, *_, last = (json.loads(line) for line in run.lines)
    assert first["total"] == SIZE
    assert 0 < first["done"] < SIZE
    assert f"of {first['total'] / 1e6:.1f} MB" in first["message"]
    assert last["uri"].endswith("/k:v1")


def test_a_registry_that_is_restarted(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    uri = registry.add(LARGE, "k", "v1")
    registry.inject(faults.Bandwidth(3_000_000), kind="blob")
    process = initialize.start(uri, destination)
    assert registry.ledger.wait_for(1, kind="blob")
    time.sleep(0.2)
    registry.stop()
    time.sleep(0.5)
    registry.start()
    run = process.end()
    assert run.code == 0, run.lines
    trees.check(destination, LARGE)
