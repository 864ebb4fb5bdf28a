"""`python -m kit_initializer`, and the command `kit-initializer`."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Run, and end without the interpreter's own clean-up: everything is written and closed by then."""
    gc.disable()  # modules are no garbage: to look for some while they are loaded takes a millisecond
    from kit_initializer import cli  # noqa: PLC0415 - nothing is imported by importing this module

    gc.freeze()
    gc.enable()
    code = cli.main(sys.argv[1:], os.environ)
    os._exit(code)


if __name__ == "__main__":
    main()
