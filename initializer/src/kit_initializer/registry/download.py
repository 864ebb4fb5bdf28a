"""One blob over one or more connections: resumed where it stopped, in ranges where the server has them."""

from __future__ import annotations

import time
from threading import Thread
from typing import TYPE_CHECKING

from kit_initializer.http import Pace, TransientError, unreachable
from kit_initializer.registry.window import Window
from kit_initializer.tuning import RUN, SEGMENT_BYTES, STREAM_BYTES, WINDOWS_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kit_initializer.http import Patience, Response
    from kit_initializer.registry.client import Repository


def segment_bytes(connections: int) -> int:
    """Return the size of a segment such that as many connections as this stay within the memory budget."""
    return min(SEGMENT_BYTES, WINDOWS_BYTES // (connections * RUN))


def room(segment: int, connections: int) -> int:
    """Return how many segments each of so many connections may be ahead of its reader.

    A run each is what many can have; a few get more, so that receiving, hashing and writing wait less for each other.
    """
    return min(STREAM_BYTES, WINDOWS_BYTES // connections) // segment


class Source:
    """A blob read by one connection at a time, from any offset; it reconnects and resumes as long as that helps.

    It has a turn from a request until what was asked for has come. `ranges` says whether the server has served them.
    """

    def __init__(self, repository: Repository, digest: str, size: int, what: str, patience: Patience) -> None:
        self._repository = repository
        self._digest = digest
        self._size = size
        self._what = what
        self._patience = patience
        self._response: Response | None = None
        self._turn = False
        self._end = 0  # of what was asked for last
        self.ranges = True
        self.arrived = 0  # bytes, those included that had to be fetched again

    def fill(self, view: memoryview, at: int, end: int | None, *, spare: bool = False) -> bool:
        """Fill `view` with the bytes from `at`; a new request asks for those up to `end` (None: to the last).

        A source that is `spare` returns False, with nothing lost, where another one is to go on without it: the server
        ignores ranges, or takes no more requests at a time. Raises what could not be healed.
        """
        filled = 0
        self._patience.pace.begin()
        while filled < len(view):
            try:
                response = self._response
                if response is None or response.at != at + filled or response.left == 0:
                    response = self._open(at + filled, end, wait=not spare)
                    if response is None:
                        return False
                    if response.at != at + filled:
                        self.ranges = False
                        if spare:
                            return False
                        self._pass_over(response, at + filled)
                count = response.readinto(view[filled:])
                if not count:
                    raise unreachable(
                        self._what, f"the connection ended at byte {at + filled} of {self._size}"
                    )
                filled += count
                self.arrived += count
                self._patience.moved(count, self._what)
            except TransientError as failure:
                self._let_go()
                self._patience.wait(failure)
        if at + filled == self._end:
            self._give_back()
        return True

    def _open(self, start: int, end: int | None, *, wait: bool) -> Response | None:
        """Send a request when it is this source's turn; None when that is later, and `wait` is off."""
        self._let_go()
        turns = self._repository.turns
        refused: TransientError | None = None
        while True:
            if not self._turn:
                self._turn = turns.take(wait=wait, after=refused)
                if not self._turn:
                    return None
                self._patience.pace.begin()
            try:
                self._response = self._repository.open_blob(self._digest, self._size, start, end, self._what)
            except TransientError as failure:
                if not turns.refused(failure):
                    raise
                self._turn, refused = False, failure
            else:
                self._end = self._size if end is None else end
                return self._response

    def _pass_over(self, response: Response, at: int) -> None:
        """Read up to `at` once more: the server answered with the whole blob, or with more of it.

        That has a pace as well, but one apart: what comes again shows no progress, and the time it takes is no stall.
        """
        scratch = memoryview(bytearray(min(at - response.at, SEGMENT_BYTES)))
        pace, began = Pace(self._patience.pace.limit_s), time.monotonic()
        while response.at < at:
            count = response.readinto(scratch[: at - response.at])
            if not count:
                raise unreachable(self._what, f"the connection ended at byte {response.at} of {self._size}")
            pace.moved(count, self._what)
        # one that never gets there, try after try, has no excuse
        self._patience.pace.excuse(time.monotonic() - began)

    def close(self) -> None:
        """Give the connection back, or close it when it is in the middle of something; and end the turn."""
        self._let_go()
        self._give_back()

    def _let_go(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def _give_back(self) -> None:
        if self._turn:
            self._turn = False
            self._repository.turns.give_back()


class Download:
    """A blob on its way, by `check`, to its reader. It starts with one connection; more can be added while it runs.

    A single connection streams the blob. Several take ranges of it.
    """

    def __init__(
        self,
        repository: Repository,
        digest: str,
        size: int,
        what: str,
        *,
        check: Callable[[memoryview], object],
        segment: int,
        free: list[memoryview] | None = None,
    ) -> None:
        self._repository = repository
        self._digest = digest
        self._size = size
        self._what = what
        self._threads: list[Thread] = []
        self._sources: list[Source] = []
        self._ranges = True
        self.window = Window(size, segment=segment, slots=RUN, check=check, free=free)

    @property
    def connections(self) -> int:
        """How many connections are at work, and will stay."""
        return sum(thread.is_alive() for thread in self._threads) - self.window.leaving

    @property
    def delivered(self) -> int:
        """How many connections have brought something, those included that have ended."""
        return sum(source.arrived > 0 for source in self._sources)

    @property
    def arrived(self) -> int:
        """How many bytes have come, over all connections."""
        return sum(source.arrived for source in self._sources)

    def read(self) -> Iterator[memoryview]:
        """Yield the blob in order, each segment after it was checked."""
        return self.window.read()

    def connect(self) -> None:
        """Start one more connection. RuntimeError when the system gives no thread for it."""
        source = Source(
            self._repository, self._digest, self._size, self._what, self._repository.patience(attempts=None)
        )
        thread = Thread(target=self._work, args=(source,), name=f"fetch-{self._digest[7:19]}", daemon=True)
        self.window.join()
        try:
            thread.start()
        except RuntimeError:
            self.window.leave()
            raise
        self.window.resize(max(self.window.slots, RUN * (self.connections + 1)))
        self._sources.append(source)
        self._threads.append(thread)

    def divisible(self) -> bool:
        """Say whether another connection would have something to do."""
        return self._ranges and self.window.unclaimed() >= 2 * RUN

    def disconnect(self) -> None:
        """End one connection, when it has brought what it is at; the last one stays."""
        self.window.dismiss()

    def _work(self, source: Source) -> None:
        try:
            self._fill(source)
        except BaseException as error:  # noqa: BLE001 - the readers must hear of it, and the run ends with it
            self.window.fail(error)
        finally:
            source.close()

    def _fill(self, source: Source) -> None:
        """Bring what is claimed until nothing is left for this connection."""
        while True:
            alone = self.window.alone
            run = self.window.claim(1 if alone else RUN)
            if run is None or not self._fill_run(source, *run, alone=alone):
                return

    def _fill_run(self, source: Source, first: int, last: int, *, alone: bool) -> bool:
        """Bring a run of segments, of a stream when `alone`; False when another connection is to bring the rest."""
        window = self.window
        end = None if alone or not self._ranges else min(last * window.segment, self._size)
        spare = not alone
        for index in range(first, last):
            at = index * window.segment
            if not source.fill(window.buffer(index), at, end, spare=spare):
                self._ranges = self._ranges and source.ranges
                if window.give_back(index, last):
                    return False
                spare, end = False, None  # nobody else is left to fetch it
                source.fill(window.buffer(index), at, None)
            window.landed(index)
        return True
