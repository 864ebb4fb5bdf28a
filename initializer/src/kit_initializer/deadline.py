"""When a wait ends: one deadline for the whole run, and the limits of single steps within it."""

from __future__ import annotations

import time
from threading import Thread
from typing import TYPE_CHECKING, Generic, TypeVar

from kit_initializer.errors import UnreachableError, no_threads

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class Deadline:
    """A point in time, and the variable that set it.

    `run()` makes one from KIT_TOTAL_TIMEOUT and hands it to everything that waits. A step with a limit takes
    `nearer(…)`, which is its own limit or the run's, whichever comes first. `seconds` is 0 for no limit.
    """

    __slots__ = ("_end", "seconds", "variable")

    def __init__(self, seconds: float = 0.0, *, variable: str = "KIT_TOTAL_TIMEOUT") -> None:
        self.variable = variable
        self.seconds = seconds
        self._end = time.monotonic() + seconds if seconds else None

    def nearer(self, variable: str, seconds: float) -> Deadline:
        """Return the deadline of a step that may take `seconds` from now: this one if it comes first."""
        if self._end is not None and self._end - time.monotonic() <= seconds:
            return self
        return Deadline(seconds, variable=variable)

    def left(self) -> float | None:
        """Return the seconds that are left, more than 0 so that they can be a timeout; None without a limit."""
        return None if self._end is None else max(self._end - time.monotonic(), 0.001)

    def within(self, timeout: float) -> float:
        """Return the smaller of a timeout and what is left, in seconds."""
        left = self.left()
        return timeout if left is None else min(timeout, left)

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return self._end is not None and time.monotonic() >= self._end

    def hint(self) -> str:
        """Return what to do about it: the variable, its value, and one to try."""
        return f"raise {self.variable} (now {self.seconds:g} s), for example to {2 * self.seconds:g}"

    def error(self, what: object) -> UnreachableError:
        """Return the error for a wait that was not over in time; `what` says what was waited for."""
        return UnreachableError(f"{what}: timed out after {self.seconds:g} s", hint=self.hint())

    def check(self, what: object) -> None:
        """Raise UnreachableError when the time is over; `what` says what is being done."""
        if self.passed:
            raise self.error(what)


NEVER = Deadline()


class Started(Generic[_T]):
    """A call that goes on in another thread. One that is late ends with the process."""

    def __init__(self, call: Callable[[], _T]) -> None:
        self._call = call
        self._results: list[_T] = []
        self._errors: list[BaseException] = []
        self._thread = Thread(target=self._work, name="bounded", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            raise no_threads() from error

    def _work(self) -> None:
        try:
            self._results.append(self._call())
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            self._errors.append(error)

    def result(self, deadline: Deadline) -> _T:
        """Return what the call returns, or raise what it raises; TimeoutError when the deadline passes first."""
        self._thread.join(deadline.left())
        if self._errors:
            raise self._errors[0]
        if not self._results:
            raise TimeoutError
        return self._results[0]


def call_within(deadline: Deadline, call: Callable[[], _T]) -> _T:
    """Return what `call` returns, or raise what it raises; TimeoutError when the deadline passes first.

    For calls that nothing can interrupt: the resolver of the C library, a cloud's SDK that sets a limit for each
    read and none for the whole.
    """
    return Started(call).result(deadline)
