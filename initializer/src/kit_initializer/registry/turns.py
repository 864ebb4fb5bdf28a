"""How many blobs are asked for at a time, where a registry or a proxy takes few requests at once.

A source takes a turn for each request. Where a request is refused while others have their turns, there were too
many: as many as the others are go on, and the one refused waits until one of them is done. A connection that we opened
ourselves does not end a run in which another one progresses.
"""

from __future__ import annotations

import math
import time
from threading import Condition
from typing import TYPE_CHECKING

from kit_initializer.http import StoppedError
from kit_initializer.http.retry import LONGEST_RETRY_AFTER_S
from kit_initializer.tuning import PAUSE_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from kit_initializer.deadline import Deadline
    from kit_initializer.http import TransientError

# How often it is looked whether the run has been called off, in seconds.
_LOOK_S = 0.25


class Turns:
    """The turns of a run; threads share it. There is no limit until a request is refused."""

    def __init__(self, stop: Event, deadline: Deadline, warn: Callable[[str], None]) -> None:
        self._stop = stop
        self._deadline = deadline
        self._warn = warn
        self._most = math.inf
        self._taken = 0
        self._not_before = 0.0
        self._pause_s = PAUSE_S
        self._changed = Condition()

    @property
    def most(self) -> float:
        """How many may have a turn at once: after a pause twice as many as before, which gets longer each time."""
        with self._changed:
            return self._now()

    def take(self, *, wait: bool, after: TransientError | None = None) -> bool:
        """Take a turn; False when all are taken and `wait` is off. `after`: not before its Retry-After.

        Raises StoppedError, or UnreachableError at the run's deadline.
        """
        seconds = min(after.retry_after_s or 0.0, LONGEST_RETRY_AFTER_S) if after else 0.0
        not_before = time.monotonic() + seconds
        with self._changed:
            while self._taken >= self._now() or time.monotonic() < not_before:
                if not wait:
                    return False
                self._changed.wait(_LOOK_S)
                if self._stop.is_set():
                    raise StoppedError("stopped")
                self._deadline.check("waiting until another download is done")
            self._taken += 1
            return True

    def give_back(self) -> None:
        """End a turn."""
        with self._changed:
            self._taken -= 1
            self._changed.notify()

    def refused(self, failure: TransientError) -> bool:
        """Take note that a request was refused. Where others have turns, that of the caller ends; else False."""
        with self._changed:
            if self._taken <= 1:
                return False
            self._taken -= 1
            self._most = most = min(self._now(), self._taken)
            self._not_before = time.monotonic() + max(self._pause_s, failure.retry_after_s or 0.0)
            self._pause_s *= 2
        self._warn(f"{failure}: going on with {most} at a time")
        return True

    def _now(self) -> float:
        if self._most < math.inf and time.monotonic() >= self._not_before:
            self._most *= 2
            self._not_before = time.monotonic() + self._pause_s
        return self._most
