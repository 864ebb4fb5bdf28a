"""Mutants as a subject of the suite, started by forking: a hundred times as fast as an interpreter each.

A small process without threads, the zygote, forks every run. It has the initializer and the mutants imported
already; what it forks lives as any command does: with an environment, a folder and a process group of its own.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import select
import signal
import socket
import threading
import time
from typing import IO, TYPE_CHECKING, Any, NoReturn

from conformance.tests.mutants import every  # noqa: F401  (it knows them all)
from conformance.tests.mutants.world import MUTANTS, World
from kit_conformance.subject import CannotError, Invocation, Outcome, Volume, confine, load
from kit_conformance.subject.base import Identity
from kit_conformance.subject.command import _group, _resident, _tail, _wishes

if TYPE_CHECKING:
    from pathlib import Path

_SAMPLE = 0.005  # seconds between two looks at the memory
_KEYLESS = "KIT_SIGSTORE_TRUSTED_ROOT"
HONEST = ""  # the name of the subject in which nothing is broken


class Zygote:
    """The processes that fork runs: one, and another for keyless signatures, which knows sigstore.

    A run in which nobody asks for them must not have its memory. Make it before there are threads.
    """

    def __init__(self) -> None:
        importlib.import_module("kit_initializer.cli")
        for name in ("kit_initializer.pull.native", "kit_initializer.credentials.environment", "ssl"):
            importlib.import_module(name)
        self._plain = _fork()
        self._keyless = _fork("kit_initializer.pull.signed", "sigstore.verify")
        self._parents: dict[int, IO[str]] = {}
        self._lock = threading.Lock()

    def start(self, **request: Any) -> int:  # noqa: ANN401  (a run, as `_run` reads it)
        """Start a run and return its process id."""
        file = self._keyless if _KEYLESS in request["environment"] else self._plain
        with self._lock:
            pid = _ask(file, request)
            self._parents[pid] = file
        return pid

    def wait(self, pid: int) -> int:
        """Return the exit code of a run that has ended."""
        with self._lock:
            return _ask(self._parents.pop(pid), {"wait": pid})


def _fork(*modules: str) -> IO[str]:
    """Fork a process that has these modules, and return the connection to it."""
    ours, theirs = socket.socketpair()
    if not os.fork():
        ours.close()
        for name in modules:
            importlib.import_module(name)
        _serve(theirs)
    theirs.close()
    return ours.makefile("rw", encoding="utf-8")


def _ask(file: IO[str], request: dict[str, Any]) -> int:
    file.write(json.dumps(request) + "\n")
    file.flush()
    return int(file.readline())


def _serve(connection: socket.socket) -> NoReturn:
    with connection.makefile("rw", encoding="utf-8") as file:
        for line in file:
            request = json.loads(line)
            if "wait" in request:
                answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
            else:
                answer = os.fork()
                if not answer:
                    _run(request)
            file.write(f"{answer}\n")
            file.flush()
    os._exit(0)


def _run(request: dict[str, Any]) -> NoReturn:
    """Be one run."""
    code = 70
    try:
        os.setsid()
        output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        os.chdir(request["folder"])
        os.umask(request["umask"])
        os.environ.clear()
        os.environ.update(request["environment"])
        _confine(request["wishes"])
        name = request["mutant"]
        world = World(request["arguments"])
        code = MUTANTS[name].broken(world) if name else world.run().code
    except BaseException as error:  # noqa: BLE001  (a mutant may break in any way: that is a failure of the subject)
        print(repr(error), flush=True)  # noqa: T201
        code = 71
    finally:
        os._exit(code)


def _confine(wishes: dict[str, Any]) -> None:
    try:
        if wishes.get("open_files"):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wishes["open_files"], wishes["open_files"]))
        if wishes.get("uid") is not None:
            confine.become(wishes["uid"])
        if wishes.get("writable") is not None:
            confine.only(wishes["writable"])
        if wishes.get("uid") is not None:
            _drop_capabilities()
    except OSError as error:
        print(confine.MARK, error, flush=True)  # noqa: T201
        os._exit(confine.CANNOT)


def _drop_capabilities() -> None:
    """Lose what a new user namespace gives; an exec would do it."""
    import ctypes  # noqa: PLC0415

    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, nothing):
        raise OSError(ctypes.get_errno(), "capset")


class Forked:
    """A mutant, or the honest initializer, as a subject."""

    confines = False
    address = "127.0.0.1"

    def __init__(self, name: str, zygote: Zygote) -> None:
        self.config = load("kit-initializer")
        self._name = name
        self._zygote = zygote

    @property
    def identity(self) -> Identity:
        return Identity(f"mutant:{self._name}", "command", self.config.name)

    def volume(self, folder: Path) -> Volume:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
        return Volume(folder, str(folder))

    def seen(self, path: Path, folder: Path) -> str:
        del folder
        return str(path)

    def start(self, invocation: Invocation) -> Running:
        message = invocation.folder / "message"
        message.touch()
        output = invocation.folder / "output"
        pid = self._zygote.start(
            mutant=self._name,
            arguments=list(invocation.arguments),
            environment={"PATH": os.defpath, **invocation.environment},
            folder=str(invocation.folder),
            output=str(output),
            umask=invocation.umask,
            wishes=_wishes(invocation),
        )
        running = Running(pid, self._zygote, output, message)
        if invocation.memory is not None:
            threading.Thread(target=running.watch, daemon=True).start()
        return running

    def close(self) -> None:
        """Nothing is open."""


class Running:
    """A run under way; another process is its parent."""

    def __init__(self, pid: int, zygote: Zygote, output: Path, message: Path) -> None:
        self.pid = pid
        self.peak = 0
        self._zygote = zygote
        self._output = output
        self._message = message
        self._begun = time.monotonic()
        self._handle = os.pidfd_open(pid)
        self._done = threading.Event()

    def watch(self) -> None:
        """Note the largest memory of the group."""
        while not self._done.is_set():
            self.peak = max(self.peak, sum(_resident(pid) for pid in _group(self.pid)))
            time.sleep(_SAMPLE)

    def alive(self) -> bool:
        return not self._ended(0)

    def _ended(self, seconds: float) -> bool:
        return bool(select.select([self._handle], [], [], max(0.0, seconds))[0])

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(self.pid, number)
            elif self.alive():
                os.kill(self.pid, number)

    def wait(self, seconds: float) -> Outcome:
        ended = self._ended(self._begun + seconds - time.monotonic())
        took = time.monotonic() - self._begun
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        code = self._zygote.wait(self.pid)
        self._done.set()
        os.close(self._handle)
        text = _tail(self._output) if self._output.exists() else ""
        if code == confine.CANNOT and text.startswith(confine.MARK):
            raise CannotError(text.strip())
        message = self._message.read_text("utf-8", "replace")
        return Outcome(code if ended else None, took, text, message, self.peak)
