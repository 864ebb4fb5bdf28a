"""The command ends whatever becomes of who reads its log, and whenever a signal comes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

import kit_initializer
from initializer.tests.destinations import KITFILE
from kit_conformance.testbed.kits import Noise, pack
from kit_conformance.testbed.registry import Registry, faults
from kit_initializer.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from initializer.tests.conftest import Command

KIT = pack({"model/weights.bin": Noise(3_000_000)}, KITFILE)
FULL_PIPE_S = 8  # each of the two lines of a run may wait, and a machine under load takes its time


@contextlib.contextmanager
def full_pipe() -> Iterator[tuple[int, int]]:
    """Give both ends of a pipe that is full."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def start(initialize: Command, *arguments: object, stderr: int, **environ: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "kit_initializer", *map(str, arguments)]
    return subprocess.Popen(command, env=initialize.environ(environ), stderr=stderr)


def test_a_run_succeeds_though_nobody_reads_its_log(
    initialize: Command, registry: Registry, destination: Path
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    registry.inject(faults.Status(503), kind="blob", times=3)  # each retry is a line
    with full_pipe() as (_, writer):
        process = start(initialize, uri, destination, stderr=writer)
        assert process.wait(FULL_PIPE_S) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_whose_log_nobody_reads(
    initialize: Command, registry: Registry, destination: Path, number: signal.Signals
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    registry.inject(faults.Stall(after=1_000_000), kind="blob")
    with full_pipe() as (_, writer):
        process = start(initialize, uri, destination, stderr=writer)
        assert registry.ledger.wait_for(1, kind="blob")
        process.send_signal(number)
        assert process.wait(FULL_PIPE_S) == 128 + number
    assert initialize.message.read_text().startswith(f"stopped by {number.name}")


def test_a_termination_message_that_nobody_reads_is_not_waited_for(
    initialize: Command, registry: Registry, destination: Path
) -> None:
    """A pipe without a reader cannot be opened, and one that is full takes nothing."""
    uri = registry.add(KIT, "iris", "v1")
    os.mkfifo(initialize.message)
    process = start(initialize, uri, destination, stderr=subprocess.DEVNULL)
    assert process.wait(FULL_PIPE_S) == 0
    reader = os.open(initialize.message, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(initialize.message, os.O_WRONLY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    process = start(initialize, uri, destination, stderr=subprocess.DEVNULL)
    assert process.wait(FULL_PIPE_S) == 0
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_modules_are_loaded_leaves_no_traceback(
    initialize: Command, tmp_path: Path, number: signal.Signals
) -> None:
    """The first module that `cli` needs is replaced by one that never ends: a fake."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, time\n"
        "class Slow:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'kit_initializer.cli':\n"
        "            sys.stdout.write('loading\\n'); sys.stdout.flush(); time.sleep(60)\n"
        "sys.meta_path.insert(0, Slow())\n"
    )
    environ = initialize.environ({})
    environ["PYTHONPATH"] = f"{tmp_path}:{environ.get('PYTHONPATH', '')}"
    process = subprocess.Popen(
        [sys.executable, "-m", "kit_initializer"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "loading\n"
    process.send_signal(number)
    _, text = process.communicate(timeout=10)
    assert (process.returncode, text) == (128 + number, "")


def test_nothing_is_loaded_before_signals_are_handled() -> None:
    """An interrupt while Python loads a module is a traceback."""
    script = "import os, sys; old = set(sys.modules); import kit_initializer.__main__; print(*set(sys.modules) - old)"
    path = os.path.dirname(os.path.dirname(kit_initializer.__file__))
    run = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name for name in run.stdout.split() if name not in sys.builtin_module_names}
    assert loaded == {"__future__", "kit_initializer", "kit_initializer.__main__"}


def test_lines_are_dropped_whole_and_come_again_when_there_is_room() -> None:
    with full_pipe() as (reader, writer):
        console = Console(writer)
        began = time.monotonic()
        console.write("dropped after a wait")
        for _ in range(100):
            console.write("dropped at once")
        assert time.monotonic() - began < 5
        assert os.read(reader, 1 << 20).strip(b"x") == b""
        console.write("é" * 10)
        assert os.read(reader, 1 << 20).decode() == "é" * 10 + "\n"


def test_a_long_line_comes_whole_to_a_reader_that_is_slow() -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    text = "0123456789" * 2000
    thread = threading.Thread(target=Console(writer).write, args=(text,))
    thread.start()
    received = b""
    while not received.endswith(b"\n"):
        received += os.read(reader, 1000)
    thread.join(10)
    os.close(reader)
    os.close(writer)
    assert received.decode() == text + "\n"


def test_a_line_that_was_cut_off_is_ended_before_the_next_one() -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    console = Console(writer)
    console.write("a" * 5000)
    assert os.read(reader, 1 << 20) == b"a" * 4096
    console.write("next")
    assert os.read(reader, 1 << 20) == b"\nnext\n"
    os.close(reader)
    console.write("nobody is there any more")
    os.close(writer)
    console.write("nor is the descriptor")
