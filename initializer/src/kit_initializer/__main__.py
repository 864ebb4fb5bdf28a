"""`python -m kit_initializer`, and the command `kit-initializer`."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType


def main() -> None:
    """Run, and end without the interpreter's own clean-up: everything is written and closed by then."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(
            number, _stop
        )  # until cli has its own: as PID 1 a process ignores those without a handler
    gc.disable()  # modules are no garbage: to look for some while they are loaded takes a millisecond
    from kit_initializer import cli  # noqa: PLC0415 - nothing is imported by importing this module

    gc.freeze()
    gc.enable()
    code = cli.main(sys.argv[1:], os.environ)
    os._exit(code)


def _stop(number: int, _: FrameType | None) -> NoReturn:
    os._exit(128 + number)


if __name__ == "__main__":
    main()
