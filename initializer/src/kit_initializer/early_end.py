"""What has to happen when a signal ends the run: processes to kill, logins to remove from memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_calls: list[Callable[[], None]] = []


def register(call: Callable[[], None]) -> None:
    """Have `call` done when a signal ends the run; it is called within the signal's handler."""
    _calls.append(call)


def happen() -> None:
    """Do all that was registered."""
    for call in tuple(_calls):
        call()
