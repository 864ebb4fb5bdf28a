"""Registries and proxies that take few requests at a time: connections of ours step down, and the run goes on."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from kit_conformance.testbed.kits import Noise, pack
from kit_conformance.testbed.registry import faults
from kit_initializer.deadline import Deadline
from kit_initializer.errors import UnreachableError
from kit_initializer.http import StoppedError, unreachable
from kit_initializer.registry.turns import Turns

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command, Trees
    from kit_conformance.testbed.kits import ModelKit
    from kit_conformance.testbed.registry import Registry

# no transfer is done within it, so that a connection which only waits would end the run
QUICK = {"KIT_PROGRESS_TIMEOUT": "2"}
KITS = {
    "one layer": pack(
        {"m": Noise(16_000_000)}, {"manifestVersion": "1.0.0", "package": {}, "model": {"path": "m"}}
    ),
    "several layers": pack(
        {f"d{number}": Noise(4_000_000, seed=number) for number in range(4)},
        {
            "manifestVersion": "1.0.0",
            "package": {},
            "datasets": [{"name": f"d{number}", "path": f"d{number}"} for number in range(4)],
        },
    ),
    "small layers": pack(
        {f"d{number}": Noise(200_000, seed=number) for number in range(40)},
        {
            "manifestVersion": "1.0.0",
            "package": {},
            "datasets": [{"name": f"d{number}", "path": f"d{number}"} for number in range(40)],
        },
    ),
}
TOO_MANY = unreachable("r.example", "503")


@pytest.mark.parametrize("kit", KITS.values(), ids=KITS)
@pytest.mark.parametrize(("most", "status"), [(1, 503), (2, 429)])
def test_a_registry_that_takes_few_requests_at_a_time(
    *,
    most: int,
    status: int,
    kit: ModelKit,
    registry: Registry,
    initialize: Command,
    destination: Path,
    trees: Trees,
) -> None:
    crowded = faults.Crowded(most, status)
    registry.inject(crowded, kind="blob")
    registry.inject(faults.Bandwidth(2_000_000), kind="blob")
    run = initialize(registry.add(kit, "k", "v1"), destination, env=QUICK, timeout=60)
    assert run.code == 0, run.lines
    assert 0 < crowded.refused <= 60, "it goes on asking"
    trees.check(destination, kit)


def test_what_is_refused_to_one_request_alone_is_not_waited_for_longer(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    kit = KITS["several layers"]
    registry.inject(faults.Status(503), kind="blob")
    run = initialize(registry.add(kit, "k", "v1"), destination, env=QUICK)
    assert (run.code, "503" in run.last) == (5, True), run.lines


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def turns(stop: threading.Event) -> Turns:
    return Turns(stop, Deadline(), print)


def test_as_many_go_on_as_were_not_refused(turns: Turns) -> None:
    for _ in range(3):
        assert turns.take(wait=False)
    assert turns.refused(TOO_MANY)
    assert turns.most == 2
    assert not turns.take(wait=False)
    turns.give_back()
    assert turns.take(wait=False)


def test_the_last_one_is_not_made_to_wait_for_others(turns: Turns) -> None:
    assert turns.take(wait=False)
    assert not turns.refused(TOO_MANY)
    assert turns.most == float("inf")


def test_a_turn_is_waited_for(turns: Turns) -> None:
    assert turns.take(wait=True)
    assert turns.take(wait=True)
    assert turns.refused(TOO_MANY)
    waiting = threading.Thread(target=turns.take, kwargs={"wait": True}, daemon=True)
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive()
    turns.give_back()
    waiting.join(10)
    assert not waiting.is_alive()


def test_more_are_tried_after_a_while(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    for _ in range(3):
        assert turns.take(wait=False)
    assert turns.refused(TOO_MANY)
    monkeypatch.setattr("time.monotonic", lambda: now + 60)
    assert turns.most == 4


def test_a_server_says_how_long_it_wants_to_be_left_alone(
    turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    for _ in range(2):
        assert turns.take(wait=False)
    assert turns.refused(unreachable("r.example", "503", retry_after_s=90))
    monkeypatch.setattr("time.monotonic", lambda: now + 60)
    assert turns.most == 1


def test_who_is_refused_waits_as_long_as_the_server_wants(turns: Turns) -> None:
    assert turns.take(wait=False)
    assert turns.take(wait=False)
    failure = unreachable("r.example", "503", retry_after_s=0.5)
    assert turns.refused(failure)
    turns.give_back()
    began = time.monotonic()
    assert not turns.take(wait=False, after=failure)
    assert turns.take(wait=True, after=failure)
    assert time.monotonic() - began >= 0.5


def test_waiting_for_a_turn_ends_with_the_run(turns: Turns, stop: threading.Event) -> None:
    assert turns.take(wait=True)
    assert turns.take(wait=True)
    assert turns.refused(TOO_MANY)
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(StoppedError):
        turns.take(wait=True)
    late = Turns(threading.Event(), Deadline(0.1), print)
    assert late.take(wait=True)
    assert late.take(wait=True)
    assert late.refused(TOO_MANY)
    with pytest.raises(UnreachableError, match="another download"):
        late.take(wait=True)
