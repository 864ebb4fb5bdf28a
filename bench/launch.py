"""Run one command and say what it took: `python -I -S launch.py FD COMMAND…`.

It stands between the benchmark and what is measured because Linux hands the memory of the process that starts another
on to that other one's `ru_maxrss` (exec keeps the larger of both). This one imports nothing, so the floor is 9 MB.
"""

import os
import sys
import time


def main() -> None:
    """Write seconds, seconds of processor time, peak memory in KiB and the exit code to the file descriptor."""
    command = sys.argv[2:]
    began = time.perf_counter()
    process = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(process, 0)
    wall = time.perf_counter() - began
    cpu = usage.ru_utime + usage.ru_stime
    code = os.waitstatus_to_exitcode(status)
    os.write(int(sys.argv[1]), f"{wall} {cpu} {usage.ru_maxrss} {code}\n".encode())


if __name__ == "__main__":
    main()
