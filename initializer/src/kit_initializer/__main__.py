"""`python -m kit_initializer`, and the command `kit-initializer`."""

from __future__ import annotations

# `signal` without its enums: to load those takes a millisecond, in which an interrupt is a traceback
import _signal  # type: ignore[import-not-found]  # it has no stub
import gc
import os
import sys


def main() -> None:
    """Run, and end without the interpreter's own clean-up: everything is written and closed by then."""
    for number in (_signal.SIGHUP, _signal.SIGINT, _signal.SIGTERM):  # until the command has its own
        _signal.signal(number, lambda number, _: os._exit(128 + number))
    _speak_utf8()
    _open_standard_files()
    gc.disable()  # modules are no garbage: to look for some while they are loaded takes a millisecond
    from kit_initializer import cli  # noqa: PLC0415 - nothing is imported by importing this module

    gc.freeze()
    gc.enable()
    code = cli.main(sys.argv[1:], os.environ)
    os._exit(code)


def _speak_utf8() -> None:
    """Begin again in Python's UTF-8 mode where the locale has another encoding: names of files are UTF-8."""
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - no shell is wanted


def _open_standard_files() -> None:
    """Open /dev/null where a standard file is closed: a socket that got its number would be sent the log."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one


if __name__ == "__main__":
    main()
