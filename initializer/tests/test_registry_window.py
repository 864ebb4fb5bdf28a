"""The window over a blob: what is claimed, landed, checked, read and given back, by whom and in which order."""

from __future__ import annotations

import random
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit_initializer.errors import UnreachableError
from kit_initializer.registry.download import SEGMENT_BYTES, segment_bytes
from kit_initializer.registry.window import Window


def test_segments_stay_within_the_budget() -> None:
    assert segment_bytes(1) == segment_bytes(6) == SEGMENT_BYTES
    assert 64 * 1024 <= segment_bytes(64) < SEGMENT_BYTES


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


def test_what_has_landed_is_checked_once_in_order_by_whoever_would_wait() -> None:
    checked: list[tuple[int, int]] = []
    window = Window(
        60, segment=10, slots=4, check=lambda view: checked.append((view[0], threading.get_ident()))
    )
    window.join()
    for index in range(4):
        assert window.claim(1) == (index, index + 1)
        window.buffer(index)[0] = index
    for index in (1, 2, 0):
        window.landed(index)
    assert checked == []
    parts = window.read()
    reader = threading.get_ident()
    assert next(parts)[0] == 0
    assert checked == [(0, reader)]
    claimant = threading.Thread(target=window.claim, args=[1], daemon=True)  # there is no room
    claimant.start()
    for index in (1, 2):
        while len(checked) <= index:
            time.sleep(0.001)
        assert checked[index] == (index, claimant.ident)
    assert next(parts)[0] == 1
    claimant.join(10)
    assert not claimant.is_alive()
    window.landed(3)
    assert [next(parts)[0] for _ in range(2)] == [2, 3]
    assert checked[3:] == [(3, reader)]


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
