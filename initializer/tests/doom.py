"""Run the command with a fate: `python doom.py FATE SRC DEST …`.

FATE is `EVENT[,EVENT…]:N:END`. At the N-th system call of these kinds that the initializer makes, counted from 1, the
process ends by SIGKILL (END `kill`), gets SIGTERM (`term`), the call fails with an error number by name
(`ENOSPC`, `EROFS`), or with what nobody expects (`BUG`). Kinds are `rename`, `mkdir`, `remove`, `rmdir` and `create`
(an open that makes a file); they are seen through the interpreter's own audit events (PEP 578), so that nothing of
the initializer is changed.

This is a fake of what cannot be had at will here: a process killed between two system calls, a disk that is full
at one of them.
"""

from __future__ import annotations

import errno
import os
import runpy
import signal
import sys
from itertools import count

EVENTS = {
    "os.rename": "rename",
    "os.mkdir": "mkdir",
    "os.remove": "remove",
    "os.rmdir": "rmdir",
    "open": "create",
}


def doom(fate: str) -> None:
    """Install the fate of this process."""
    events, at, end = fate.split(":")
    kinds, fatal, calls = set(events.split(",")), int(at), count(1)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        kind = EVENTS.get(event)
        if kind is None or kind not in kinds:
            return
        if kind == "create" and not (isinstance(arguments[2], int) and arguments[2] & os.O_CREAT):
            return
        if "termination-log" in str(arguments[0]) or next(calls) != fatal:
            return
        if end == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif end == "term":
            os.kill(os.getpid(), signal.SIGTERM)
        elif end == "BUG":
            raise RuntimeError("doomed")
        else:
            number = int(getattr(errno, end))
            raise OSError(number, os.strerror(number))

    sys.addaudithook(hook)


if __name__ == "__main__":
    sys.dont_write_bytecode = True  # the calls that count are the initializer's, not those of importing it
    doom(sys.argv[1])
    sys.argv[:] = ["kit-initializer", *sys.argv[2:]]
    runpy.run_module("kit_initializer", run_name="__main__", alter_sys=True)
