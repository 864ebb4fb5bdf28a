"""What can heal is tried again: with jitter, with the server's own Retry-After, and never for ever."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kit_initializer.errors import InitializerError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

_FIRST_DELAY_S = 0.25
_LONGEST_DELAY_S = 8.0
# A server that asks for more is not waited for: the kubelet's own back-off is the better place to wait.
_LONGEST_RETRY_AFTER_S = 120.0


class TransientError(Exception):
    """A failure that may heal; `error` is what it is called when it does not."""

    def __init__(self, error: InitializerError, *, retry_after_s: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after_s = retry_after_s


class StoppedError(InitializerError):
    """The run has been called off; whoever called it off knows why."""


class Patience:
    """How long to go on with one piece of work.

    It ends after `attempts` failures in a row (None: no such limit), or when nothing has moved for `stalled_s`
    seconds. A failure whose Retry-After lies beyond that is final at once.
    """

    def __init__(
        self, *, attempts: int | None, stalled_s: float, stop: Event, warn: Callable[[str], None]
    ) -> None:
        self._attempts = attempts
        self._stalled_s = stalled_s
        self._stop = stop
        self._warn = warn
        self._failures = 0
        self._moved = time.monotonic()

    def moved(self) -> None:
        """Note that bytes have come: the count of failures begins anew."""
        self._failures = 0
        self._moved = time.monotonic()

    def wait(self, failure: TransientError) -> None:
        """Sleep until the next try, or raise the failure's error when there is to be none."""
        self._failures += 1
        if self._stop.is_set():
            raise StoppedError("stopped")
        if self._attempts is not None and self._failures > self._attempts:
            raise failure.error from failure
        import random  # noqa: PLC0415 - most runs never retry

        delay = min(_FIRST_DELAY_S * 2.0 ** (self._failures - 1), _LONGEST_DELAY_S) * random.uniform(0.5, 1.0)  # noqa: S311
        allowed = self._stalled_s
        if failure.retry_after_s is not None:
            delay = max(delay, failure.retry_after_s)
            allowed = max(allowed, _LONGEST_RETRY_AFTER_S)
        if time.monotonic() + delay - self._moved > allowed:
            raise failure.error from failure
        self._warn(f"{failure}: trying again in {delay:.1f} s")
        if self._stop.wait(delay):
            raise StoppedError("stopped")


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
