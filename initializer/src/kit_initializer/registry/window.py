"""The bytes of one blob between the network and who reads them: landing in any order, checked and leaving in order.

A window of a few segments moves over the blob. Connections claim runs of segments in it and fill them; the reader and a
connection that streams alone check what has landed before they go on, several connections only where they would have
to wait for room, lest the network wait; the reader sees what is checked, in order, and gives it back, which moves the
window. What is held in memory is the window, however large the blob is, and no connection is ever ahead by more than
that.
"""

from __future__ import annotations

import time
from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Window:
    """`slots` segments of `segment` bytes over a blob of `size` bytes.

    `check` is called with every segment once, in order, by one thread at a time: a connection's or the reader's. It
    takes longest, so it comes first (docs/performance.md, "Why these numbers").
    `free` holds buffers of that size which windows hand on to each other, so that each is made, and zeroed by the
    kernel, once a run.
    """

    def __init__(
        self,
        size: int,
        *,
        segment: int,
        slots: int,
        check: Callable[[memoryview], object],
        free: list[memoryview] | None = None,
    ) -> None:
        self.size = size
        self.segment = segment
        self.count = -(-size // segment)
        self.slots = slots
        self._check = check
        self._buffers: dict[int, memoryview] = {}
        self._free: list[memoryview] = [] if free is None else free
        self._landed: set[int] = set()
        self._checked = 0
        self._checking = False
        self._read = 0
        self._next = 0
        self._returned: list[tuple[int, int]] = []
        self._claimants = 0
        self._leaving = 0
        self._starved_since = 0.0
        self._starved_s = 0.0
        self._error: BaseException | None = None
        self._changed = Condition()
        self.received = 0

    def length(self, index: int) -> int:
        """Return the bytes of a segment: all but the last are full."""
        return min(self.segment, self.size - index * self.segment)

    def join(self) -> None:
        """Count one more connection that will claim segments until it is told that nothing is left."""
        with self._changed:
            self._leaving = min(self._leaving, max(self._claimants - 1, 0))
            self._claimants += 1

    def leave(self) -> None:
        """Count one connection less, which has claimed nothing."""
        with self._changed:
            self._claimants -= 1

    def dismiss(self) -> None:
        """Let one connection have nothing more to claim, the last one excepted."""
        with self._changed:
            self._leaving = min(self._leaving + 1, max(self._claimants - 1, 0))
            self._changed.notify_all()

    @property
    def leaving(self) -> int:
        """How many connections are to end at their next claim."""
        return self._leaving

    @property
    def alone(self) -> bool:
        """Whether a single connection is left."""
        return self._claimants <= 1

    def claim(self, run: int) -> tuple[int, int] | None:
        """Return the next segments to fill, [first, last), at most `run` of them, as soon as there is room for them.

        None when nothing is left to fetch, or not by this connection. Fewer are handed out only at the blob's end, and
        of what was given back.
        """
        while True:
            with self._changed:
                if self._leaving and self._claimants > 1:
                    self._leaving -= 1
                    self._claimants -= 1
                    return None
                if self._returned and self._error is None:
                    return self._hand_on(run)
                if self._next >= self.count or self._error is not None:
                    self._claimants -= 1
                    return None
                first = self._next
                last = min(first + min(run, self.slots), self.count)
                room = last <= self._read + self.slots
                to_check = self._begin_check() if self.alone or not room else None
                if to_check is None and room:
                    self._next = last
                    return first, last
                if to_check is None:
                    self._changed.wait()
            if to_check is not None:
                self._check_segment(to_check)

    def _hand_on(self, run: int) -> tuple[int, int]:
        self._returned.sort(reverse=True)
        first, last = self._returned.pop()
        if first + run < last:
            self._returned.append((first + run, last))
        return first, min(first + run, last)

    def give_back(self, first: int, last: int) -> bool:
        """Return a claim that cannot be filled, and claim no more; another connection will be handed it.

        False, and nothing is returned, when there is no other connection.
        """
        with self._changed:
            if self._claimants <= 1:
                return False
            self._claimants -= 1
            self._returned.append((first, last))
            self._changed.notify_all()
            return True

    def buffer(self, index: int) -> memoryview:
        """Return where the bytes of a claimed segment go."""
        with self._changed:
            buffer = self._buffers.get(index)
            if buffer is None:
                try:
                    buffer = self._free.pop()
                except IndexError:  # another window may have taken the last one
                    buffer = memoryview(bytearray(self.segment))
                self._buffers[index] = buffer
        return buffer[: self.length(index)]

    def landed(self, index: int) -> None:
        """Take a filled segment."""
        with self._changed:
            self._landed.add(index)
            self.received += self.length(index)
            self._changed.notify_all()

    def read(self) -> Iterator[memoryview]:
        """Yield all segments in order. A segment is valid until the next one is asked for.

        Raises the error with which the transfer failed.
        """
        for index in range(self.count):
            self._wait_for(index)
            buffer = self._buffers[index]
            yield buffer[: self.length(index)]
            with self._changed:
                self._free.append(self._buffers.pop(index))
                self._read = index + 1
                self._changed.notify_all()

    def _wait_for(self, index: int) -> None:
        """Wait until a segment is checked, and check what has landed meanwhile."""
        while True:
            with self._changed:
                to_check = self._begin_check()
                if to_check is None:
                    if index < self._checked:
                        return
                    if self._error is not None:
                        raise self._error
                    if not self._checking:
                        self._starved_since = time.monotonic()
                    self._changed.wait()
                    self._end_starving()
            if to_check is not None:
                self._check_segment(to_check)

    def _begin_check(self) -> int | None:
        """Return the segment that comes next for the caller to check; None unless it has landed and nobody is at it."""
        if self._checking or self._checked not in self._landed:
            return None
        self._checking = True
        self._end_starving()
        return self._checked

    def _check_segment(self, index: int) -> None:
        done = False
        try:
            self._check(self._buffers[index][: self.length(index)])
            done = True
        finally:
            with self._changed:
                self._checking = False
                if done:
                    self._landed.discard(index)
                    self._checked = index + 1
                self._changed.notify_all()

    def _end_starving(self) -> None:
        """Count the time for which there was nothing to read, and nothing to check."""
        if self._starved_since:
            self._starved_s += time.monotonic() - self._starved_since
            self._starved_since = 0.0

    def starved_s(self) -> float:
        """Return the seconds for which all have waited for the network since this was last asked."""
        with self._changed:
            if self._starved_since:
                now = time.monotonic()
                self._starved_s += now - self._starved_since
                self._starved_since = now
            seconds, self._starved_s = self._starved_s, 0.0
            return seconds

    def resize(self, slots: int) -> None:
        """Let more segments be held at a time, or fewer from the next claim on."""
        with self._changed:
            if slots > self.slots:
                self._changed.notify_all()
            self.slots = slots

    def unclaimed(self) -> int:
        """Return how many segments no connection has taken yet."""
        with self._changed:
            return self.count - self._next + sum(last - first for first, last in self._returned)

    def fail(self, error: BaseException) -> None:
        """End the transfer for reader and connections alike; the first error is the one that counts."""
        with self._changed:
            if self._error is None:
                self._error = error
            self._changed.notify_all()
