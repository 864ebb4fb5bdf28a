"""Standard error: no secret and no control character reaches it, and a slow reader cannot hold up the run."""

from __future__ import annotations

import os
import select
import time
from threading import RLock

from kit_initializer.secret import printable

# How long one line may wait for room, and how much a pipe that has room takes without waiting (pipe(7)).
WAIT_S = 0.5
_PIECE = 4096
_CLEAR = b"\r\x1b[K"  # to the line's beginning, and nothing behind it (ECMA-48)


class Console:
    """Write whole lines to a descriptor, and drop those that it does not take within WAIT_S.

    After a line that was dropped none is waited for until the descriptor takes some again. Threads and the signal
    handler share it: the handler may interrupt a line, and begins a new one.
    """

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._lock = RLock()  # the handler runs in a thread that may hold it
        self._blocked = False
        self._within_a_line = False
        self._status = False

    @property
    def terminal(self) -> bool:
        """Whether somebody looks at it while it is written."""
        return os.isatty(self._descriptor)

    def status(self, text: str) -> None:
        """Show a text at the foot of a terminal, in place of the one before; "" takes it away."""
        if text or self._status:
            self._status = bool(text)
            self._put(_CLEAR + printable(text, os.get_terminal_size(self._descriptor).columns - 1).encode())

    def write(self, line: str) -> None:
        """Write one line. Never raises: nobody may be there to read it."""
        data = f"{printable(line)}\n".encode()
        if self._status:
            self._status, data = False, _CLEAR + data
        self._put(data)

    def _put(self, data: bytes) -> None:
        until = time.monotonic() + (0.0 if self._blocked else WAIT_S)
        if not self._lock.acquire(timeout=WAIT_S):
            return
        try:
            broken_off = self._within_a_line and not data.startswith(_CLEAR)
            self._blocked = not self._send(b"\n" + data if broken_off else data, until)
        except OSError:
            return
        finally:
            self._lock.release()

    def _send(self, data: bytes, until: float) -> bool:
        """Send all of it; False when there was no room for the rest in time."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        while data:
            if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
                return False
            count = os.write(self._descriptor, data[:_PIECE])
            self._within_a_line = data[count - 1 : count] != b"\n"
            data = data[count:]
        return True
