"""Makes life hard for a command, as a cluster does, and then becomes it.

    python -I -S confine.py '{"uid": 1000870000, "writable": ["/models"], "open_files": 256}' COMMAND…

`uid`: another user with group 0, in no passwd file and without capabilities, by a user namespace (or setuid, where
those are forbidden to root). `writable`: nothing else can be written, made or removed, by Landlock, which
needs no privilege (Linux 5.13). Whatever cannot be arranged ends with exit code 97 and a line that says so.
"""

import contextlib
import ctypes
import json
import os
import resource
import stat
import sys

CANNOT = 97
MARK = "kit-conformance cannot confine:"

_CLONE_NEWUSER = 0x10000000
_PR_SET_NO_NEW_PRIVS = 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_PATH_BENEATH = 1
_WRITE_FILE = 1 << 1
# remove dir and file, make char, dir, reg, sock, fifo, block, sym
_TREE = sum(1 << bit for bit in range(4, 13))
_REFER, _TRUNCATE = 1 << 13, 1 << 14  # from the second and third version of Landlock on
_DEVICES = ("/dev/null", "/dev/shm", "/dev/zero", "/dev/tty")  # noqa: S108  (every container has them)

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def become(uid: int) -> None:
    """Be another user. Files of ours stay ours, but only by their permission bits."""
    real, group = os.geteuid(), os.getegid()
    try:
        _check(_libc.unshare(_CLONE_NEWUSER), "a user namespace")
    except OSError:
        if real:
            raise
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(uid, uid, uid)
        return
    for name, line in (("setgroups", "deny"), ("uid_map", f"{uid} {real} 1"), ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(line)


def only(writable: list[str]) -> None:
    """Let nothing be written but what is below these."""
    version = _check(_libc.syscall(_CREATE_RULESET, None, 0, 1), "Landlock")
    handled = _WRITE_FILE | _TREE | (_REFER if version > 1 else 0) | (_TRUNCATE if version > 2 else 0)
    attributes = ctypes.c_uint64(handled)
    ruleset = _check(_libc.syscall(_CREATE_RULESET, ctypes.byref(attributes), 8, 0), "Landlock")
    for path in (*writable, *(device for device in _DEVICES if os.path.exists(device))):
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        inside = handled if stat.S_ISDIR(os.fstat(handle).st_mode) else handled & (_WRITE_FILE | _TRUNCATE)
        rule = inside.to_bytes(8, sys.byteorder) + handle.to_bytes(4, sys.byteorder)
        _check(_libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0), f"Landlock for {path}")
        os.close(handle)
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _check(_libc.syscall(_RESTRICT_SELF, ruleset, 0), "Landlock")


def main() -> None:
    """Confine this process, then become the command."""
    wishes = json.loads(sys.argv[1])
    command = sys.argv[2:]
    try:
        if wishes.get("open_files"):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wishes["open_files"], wishes["open_files"]))
        if wishes.get("uid") is not None:
            become(wishes["uid"])
        if wishes.get("writable") is not None:
            only(wishes["writable"])
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{MARK} {error}\n")
        sys.exit(CANNOT)
    with contextlib.suppress(OSError):
        os.execvp(command[0], command)  # noqa: S606  (that is what it is for)
    sys.stderr.write(f"{command[0]} cannot be executed\n")
    sys.exit(127)


if __name__ == "__main__":
    main()
