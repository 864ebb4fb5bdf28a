"""One way to wait: look until there is an answer, stop early when there never will be, say what was seen last."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from kit_conformance.testbed.pods import STUCK

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2e.harness.objects import Object

T = TypeVar("T")

# A scenario gives up on a crash as well: what it starts is not to crash.
_HOPELESS = STUCK | {"CrashLoopBackOff"}
# What a busy kubelet says while it has not read a Secret or ConfigMap yet; it tries again by itself.
_PASSING = "timed out waiting for the condition"


class NotYetError(Exception):
    """What was seen in place of the answer; looking again may help."""


class NeverError(Exception):
    """What was seen, and no amount of waiting changes it."""


class GaveUpError(Exception):
    """The time is up, or there never will be an answer; the message ends with what was seen last."""


def wait_until(what: str, look: Callable[[], T], *, timeout: float, every: float = 0.25) -> T:
    """Call `look` until it returns, and return that; it raises NotYetError to be called again.

    `timeout` and `every` are seconds. Raises GaveUpError at once after a NeverError, else after `timeout`.
    """
    began = time.monotonic()
    while True:
        try:
            return look()
        except NeverError as seen:
            raise GaveUpError(f"{what}: never, because: {seen}") from None
        except NotYetError as seen:
            spent = time.monotonic() - began
            if spent > timeout:
                raise GaveUpError(f"{what}: not in {timeout:g} s; last seen: {seen}") from None
        time.sleep(every)


def stuck(status: Object) -> str:
    """Return why a container, by its status, will not start by itself, as `reason: message`; "" when it may."""
    waiting = status["state"].get("waiting") or {}
    reason, message = waiting.get("reason"), waiting.get("message") or ""
    if reason not in _HOPELESS or _PASSING in message:
        return ""
    last = (status.get("lastState") or {}).get("terminated") or {}
    return f"{reason}: {last.get('message') or message}"
