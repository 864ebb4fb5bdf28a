"""What can heal is tried again: with jitter, with the server's own Retry-After, and never for ever."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from kit_initializer.deadline import NEVER
from kit_initializer.errors import InitializerError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from kit_initializer.deadline import Deadline

_FIRST_DELAY_S = 0.25
_LONGEST_DELAY_S = 8.0
# A server that asks for more is not waited for: the kubelet's own back-off is the better place to wait.
LONGEST_RETRY_AFTER_S = 120.0
# What comes more slowly than a modem's line does not come: a server that sends a byte before each cut would
# otherwise be tried for weeks.
SLOWEST_BYTES_S = 1024
# A connection that brought less than this before it broke has not shown that the next one will fare better.
_WORTH_BYTES = 64 * 1024


class TransientError(Exception):
    """A failure that may heal; `error` is what it is called when it does not."""

    def __init__(self, error: InitializerError, *, retry_after_s: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after_s = retry_after_s


class StoppedError(InitializerError):
    """The run has been called off, and the caller knows why."""


class Pace:
    """How fast a body must come: SLOWEST_BYTES_S over any `limit_s` seconds, tries and waits included."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.begin()

    def begin(self) -> None:
        """Start the clock. The time before, in which a slow disk was waited for, is not the server's."""
        self._since = time.monotonic()
        self._bytes = 0

    def moved(self, count: int, what: object) -> None:
        """Note that `count` bytes of `what` have come. Raises UnreachableError when that is too slow."""
        self._bytes += count
        if self._bytes >= SLOWEST_BYTES_S * self.limit_s:
            self.begin()
        elif self.elapsed() > self.limit_s:
            raise UnreachableError(
                f"{what}: only {self._bytes} bytes came in {self.limit_s:g} s",
                hint=f"raise KIT_PROGRESS_TIMEOUT (now {self.limit_s:g} s), for example to {2 * self.limit_s:g}",
            )

    def excuse(self, seconds: float) -> None:
        """Leave out time in which bytes came that are not counted here."""
        self._since += seconds

    def elapsed(self) -> float:
        """Return the seconds since the clock was started, or since enough had come."""
        return time.monotonic() - self._since


class Patience:
    """How long to go on with one piece of work.

    It ends after `attempts` failures in a row (None: no such limit), when what comes falls behind `pace`, or at the
    run's deadline. A failure whose Retry-After lies beyond that is final at once.
    """

    def __init__(
        self,
        *,
        attempts: int | None,
        pace: Pace,
        stop: Event,
        warn: Callable[[str], None],
        deadline: Deadline = NEVER,
    ) -> None:
        self._attempts = attempts
        self.pace = pace
        self._deadline = deadline
        self._stop = stop
        self._warn = warn
        self._failures = 0
        self._bytes = 0

    def moved(self, count: int, what: object) -> None:
        """Note that bytes have come, as `Pace.moved` does; enough of them, and the count of failures begins anew."""
        self._bytes += count
        if self._bytes >= _WORTH_BYTES:
            self._failures = 0
        self.pace.moved(count, what)
        self._deadline.check(what)

    def wait(self, failure: TransientError) -> None:
        """Sleep until the next try, or raise the failure's error when there is to be none."""
        self._failures += 1
        self._bytes = 0
        if self._stop.is_set():
            raise StoppedError("stopped")
        if self._attempts is not None and self._failures > self._attempts:
            raise failure.error from failure
        delay = min(_FIRST_DELAY_S * 2.0 ** (self._failures - 1), _LONGEST_DELAY_S) * _jitter()
        allowed = self.pace.limit_s
        if failure.retry_after_s is not None:
            delay = max(delay, failure.retry_after_s)
            allowed = max(allowed, LONGEST_RETRY_AFTER_S)
        if self.pace.elapsed() + delay > allowed:
            raise failure.error from failure
        self._warn(f"{failure}: trying again in {delay:.1f} s")
        if self._stop.wait(self._deadline.within(delay)):
            raise StoppedError("stopped")
        self._deadline.check(f"{failure}: trying again")


def _jitter() -> float:
    """Return 0.5 to 1, so that pods that failed together do not come back together."""
    return 0.5 + os.urandom(1)[0] / 510


def retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header, in either of its forms (RFC 9110, 10.2.3); None when unusable."""
    if not value:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - a date instead of seconds is rare

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def unreachable(
    what: str, reason: object, *, hint: str = "", retry_after_s: float | None = None
) -> TransientError:
    """Return a transient failure of the network or the server."""
    return TransientError(UnreachableError(f"{what}: {reason}", hint=hint), retry_after_s=retry_after_s)
