"""The window over a blob: what is claimed, landed, checked, read and given back, by whom and in which order."""

from __future__ import annotations

import random
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit_initializer.errors import UnreachableError
from kit_initializer.registry.download import room, segment_bytes
from kit_initializer.registry.window import Window
from kit_initializer.tuning import RUN, SEGMENT_BYTES


def test_segments_stay_within_the_budget() -> None:
    assert segment_bytes(1) == segment_bytes(8) == SEGMENT_BYTES
    assert 64 * 1024 <= segment_bytes(64) < SEGMENT_BYTES


@pytest.mark.parametrize("limit", [1, 3, 8, 16, 64])
def test_what_all_connections_may_hold_stays_within_the_budget(limit: int) -> None:
    """Whether there are as many as there may be, or one: which gets more, but not all."""
    segment = segment_bytes(limit)
    held = [segment * room(segment, connections) * connections for connections in range(1, limit + 1)]
    assert max(held) <= 24 * SEGMENT_BYTES
    assert held[0] == 8 * SEGMENT_BYTES
    assert room(segment, limit) >= RUN


def test_a_claim_that_nobody_else_would_take_is_not_taken_back() -> None:
    window = Window(100, segment=10, slots=4, check=bytes)
    window.join()
    assert window.claim(4) == (0, 4)
    assert not window.give_back(0, 4)
    window.join()
    assert window.give_back(1, 4)
    assert window.claim(1) == (1, 2)
    assert window.claim(4) == (2, 4)


def test_connections_leave_when_they_are_told_to_but_for_the_last() -> None:
    window = Window(100, segment=10, slots=10, check=bytes)
    for _ in range(3):
        window.join()
    window.dismiss()
    assert (window.leaving, window.alone) == (1, False)
    assert window.claim(1) is None
    assert (window.leaving, window.alone) == (0, False)
    assert window.claim(1) == (0, 1)
    for _ in range(3):
        window.dismiss()
    assert window.leaving == 1
    assert window.claim(1) is None
    assert (window.leaving, window.alone) == (0, True)
    assert window.claim(1) == (1, 2)


def test_who_joins_does_not_pay_for_a_leave_that_somebody_else_took() -> None:
    window = Window(100, segment=10, slots=10, check=bytes)
    for _ in range(2):
        window.join()
    assert window.claim(1) == (0, 1)
    window.dismiss()
    assert window.give_back(0, 1)  # one has gone by itself
    window.join()
    assert window.claim(1) == (0, 1)
    assert window.claim(1) == (1, 2)


class Checks:
    """Which segments were checked, by their first byte, and by which thread."""

    def __init__(self) -> None:
        self.by: dict[int, int] = {}

    def __call__(self, view: memoryview) -> None:
        """Take note of a segment, which nobody has checked before."""
        assert view[0] not in self.by
        self.by[view[0]] = threading.get_ident()


def _land(window: Window, *indices: int) -> None:
    for index in indices:
        window.buffer(index)[0] = index
        window.landed(index)


def _watched(*, connections: int) -> tuple[Window, Checks]:
    checks = Checks()
    window = Window(60, segment=10, slots=4, check=checks)
    for _ in range(connections):
        window.join()
    return window, checks


def test_the_reader_checks_all_that_has_landed_in_order_before_it_reads() -> None:
    window, checks = _watched(connections=1)
    for index in range(4):
        assert window.claim(1) == (index, index + 1)
    _land(window, 1, 2, 0)
    assert not checks.by
    parts = window.read()
    assert next(parts)[0] == 0
    assert list(checks.by) == [0, 1, 2]
    _land(window, 3)
    assert [next(parts)[0] for _ in range(3)] == [1, 2, 3]
    assert list(checks.by) == [0, 1, 2, 3]


def test_a_connection_that_streams_alone_checks_what_has_landed_before_it_claims_more() -> None:
    window, checks = _watched(connections=1)
    for index in range(2):
        assert window.claim(1) == (index, index + 1)
        assert list(checks.by) == list(range(index))
        _land(window, index)
    assert window.claim(1) == (2, 3)
    assert list(checks.by) == [0, 1]


def test_several_connections_check_only_where_there_is_no_room() -> None:
    window, checks = _watched(connections=2)
    for first in (0, 2):
        assert window.claim(2) == (first, first + 2)
        _land(window, first, first + 1)
    assert not checks.by
    claimant = threading.Thread(target=window.claim, args=[2], daemon=True)
    claimant.start()
    deadline = time.monotonic() + 10
    while len(checks.by) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert set(checks.by.values()) == {claimant.ident}
    parts = window.read()
    assert [next(parts)[0] for _ in range(3)] == [0, 1, 2]
    claimant.join(10)
    assert not claimant.is_alive()


def test_a_window_that_is_made_smaller_hands_out_less_until_it_has_been_read() -> None:
    window = Window(100, segment=10, slots=6, check=bytes)
    for _ in range(2):
        window.join()
    for first in (0, 3):
        assert window.claim(3) == (first, first + 3)
        _land(window, *range(first, first + 3))
    window.resize(2)
    claims: list[tuple[int, int] | None] = []
    claimant = threading.Thread(target=lambda: claims.append(window.claim(3)), daemon=True)
    claimant.start()
    parts = window.read()
    assert [next(parts)[0] for _ in range(6)] == list(range(6))
    claimant.join(0.1)
    assert not claims  # five were given back, the sixth is being read
    threading.Timer(0.1, window.fail, [UnreachableError("over")]).start()
    with pytest.raises(UnreachableError, match="over"):
        next(parts)
    claimant.join(10)
    assert claims == [(6, 8)]


def test_what_is_being_checked_is_waited_for() -> None:
    begun, go = threading.Event(), threading.Event()

    def check(_: memoryview) -> None:
        begun.set()
        assert go.wait(10)

    window = Window(20, segment=10, slots=1, check=check)
    window.join()
    window.claim(1)
    window.buffer(0)
    window.landed(0)
    claimant = threading.Thread(target=window.claim, args=[1], daemon=True)
    claimant.start()
    assert begun.wait(10)
    read: list[int] = []
    reader = threading.Thread(target=lambda: read.append(len(next(window.read()))))
    reader.start()
    reader.join(0.1)
    assert not read
    go.set()
    reader.join(10)
    assert read == [10]
    window.fail(UnreachableError("over"))
    claimant.join(10)


def test_a_check_that_fails_leaves_nothing_held() -> None:
    window = Window(20, segment=10, slots=2, check=lambda view: 1 // (len(view) - 10))
    window.join()
    assert window.claim(1) == (0, 1)
    window.buffer(0)
    window.landed(0)
    with pytest.raises(ZeroDivisionError):
        next(window.read())
    assert window.unclaimed() == 1  # no lock, and no turn, is left behind
    with pytest.raises(ZeroDivisionError):
        next(window.read())


def test_a_failure_ends_reader_and_claimants() -> None:
    window = Window(100, segment=10, slots=1, check=bytes)
    window.join()
    assert window.claim(1) == (0, 1)
    problem = UnreachableError("down")
    threading.Timer(0.05, window.fail, [problem]).start()
    with pytest.raises(UnreachableError) as caught:
        next(window.read())
    assert caught.value is problem
    window.fail(UnreachableError("later"))
    assert window.claim(1) is None
    with pytest.raises(UnreachableError, match="down"):
        next(window.read())


def _fetch(window: Window, blob: bytes, run: int, unwilling: bool) -> None:
    while (claim := window.claim(run)) is not None:
        first, last = claim
        if unwilling and window.give_back(first, last):
            return
        for index in range(first, last):
            at = index * window.segment
            window.buffer(index)[:] = blob[at : at + window.length(index)]
            window.landed(index)


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(0, 2000),
    segment=st.integers(1, 200),
    slots=st.integers(4, 8),
    runs=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    gives_back=st.booleans(),
    dismissed=st.integers(0, 4),
)
def test_what_lands_in_any_order_leaves_in_order(
    *, size: int, segment: int, slots: int, runs: list[int], gives_back: bool, dismissed: int
) -> None:
    """Several connections fill runs of segments, some give theirs back or leave; all is checked once, and then read."""
    blob = random.Random(size).randbytes(size)
    checked, seen = bytearray(), bytearray()
    window = Window(size, segment=segment, slots=slots, check=checked.extend)

    def read() -> None:
        for number, part in enumerate(window.read()):
            if number < dismissed:
                window.dismiss()
            seen.extend(part)
            assert checked.startswith(seen)

    threads = [threading.Thread(target=read)]
    for number, run in enumerate(runs):
        window.join()
        threads.append(threading.Thread(target=_fetch, args=(window, blob, run, gives_back and number > 0)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert blob == checked == seen
    assert (window.received, window.unclaimed()) == (size, 0)
