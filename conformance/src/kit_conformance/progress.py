"""How far a run is: on a terminal one line that is rewritten, elsewhere a line every few seconds."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final, TextIO

import pytest

from kit_conformance.report import ReportError, load
from kit_conformance.session import Session

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Mapping
    from pathlib import Path

_EVERY: Final = 10.0  # seconds between two lines, where there is no terminal
_REWRITTEN: Final = 0.5  # seconds between two looks of the line on a terminal
_LONG: Final = 15.0  # seconds: a case that takes longer is announced
_GUESS: Final = 1.0  # seconds for a case of which nothing is known yet
_BAD: Final = frozenset({"fail", "xpass", "error", "warn"})


class Progress:
    """A plugin that takes the place of pytest's dots. `known` has the seconds that cases took in an earlier run."""

    def __init__(self, stream: TextIO, known: Mapping[str, float]) -> None:
        self._stream = stream
        self._known = known
        self._terminal = stream.isatty()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._running: dict[str, float] = {}
        self._done: dict[str, float] = {}
        self._began = time.monotonic()
        self._shown = ""
        self._session: Session | None = None
        self._thread = threading.Thread(target=self._look, name="progress", daemon=True)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Say what is about to be tested."""
        found = session.config.pluginmanager.get_plugin("kit-conformance-session")
        if isinstance(found, Session):
            self._session = found
            for line in found.pytest_report_header():
                self._line(line)
            self._thread.start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Note that a case begins, and say so if it is a long one."""
        identifier = self._case(nodeid)
        if not identifier:
            return
        with self._lock:
            self._running[identifier] = time.monotonic()
        seconds = self._known.get(identifier, 0.0)
        if seconds >= _LONG:
            self._line(f"{identifier} took {seconds:.0f} s last time")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note that a case has ended, and say what it has found."""
        record: dict[str, Any] | None = getattr(report, "kc_record", None)
        if record is None:
            return
        with self._lock:
            self._running.pop(record["id"], None)
            self._done[record["id"]] = record["seconds"]
        if record["state"] in _BAD:
            first = (record["message"].splitlines() or [""])[0]
            self._line(f"{record['state']}: {record['id']}: {first}")

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self) -> Generator[None, Any, Any]:
        """Take away the letter of each case."""
        category, _, _ = yield
        return category, "", ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """End the line, before anything else is written."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self._wipe()

    def _case(self, nodeid: str) -> str:
        found = self._session.at(nodeid) if self._session else None
        return found.id if found else ""

    def _look(self) -> None:
        wait = _REWRITTEN if self._terminal else _EVERY
        while not self._over.wait(wait):
            text = self.text(time.monotonic())
            if not text:
                continue
            if self._terminal:
                self._rewrite(text)
            else:
                self._line(text)

    def text(self, now: float) -> str:
        """Return the line as it is now, "" before it is known which cases will run."""
        with self._lock:
            running = {each: now - begun for each, begun in self._running.items()}
            done = dict(self._done)
        expected = set(self._session.expected) if self._session else set()
        return line(expected, done, running, self._known, now - self._began) if expected else ""

    def _line(self, text: str) -> None:
        self._wipe()
        with self._lock:
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def _rewrite(self, text: str) -> None:
        try:
            width = os.get_terminal_size(self._stream.fileno()).columns or 80  # 0: it does not know
        except OSError:
            width = 80
        with self._lock:
            self._shown = text[: max(1, width - 1)]
            self._stream.write(f"\r\x1b[K{self._shown}")
            self._stream.flush()

    def _wipe(self) -> None:
        with self._lock:
            if self._shown:
                self._stream.write("\r\x1b[K")
                self._stream.flush()
                self._shown = ""


def line(
    expected: Collection[str],
    done: Mapping[str, float],
    running: Mapping[str, float],
    known: Mapping[str, float],
    elapsed: float,
) -> str:
    """Return cases done, time that has passed, time that is left, and the case that runs longest.

    `done`, `running` and `known` have seconds: what cases took, for how long they have run, what they took last time.
    """
    unknown = [seconds for each, seconds in done.items() if each not in known] or [_GUESS]
    average = sum(unknown) / len(unknown)
    todo = sum(known.get(each, average) for each in set(expected) - done.keys() - running.keys())
    todo += sum(max(0.0, known.get(each, average) - seconds) for each, seconds in running.items())
    left = f", about {clock(todo / max(1, len(running)))} left" if done else ""
    words = f"{len(done)}/{len(expected)} cases, {clock(elapsed)} elapsed{left}"
    if running:
        longest = max(running, key=lambda each: running[each])
        more = f" and {len(running) - 1} more" if len(running) > 1 else ""
        words += f"; {longest} for {running[longest]:.0f} s{more}"
    return words


def clock(seconds: float) -> str:
    """Return minutes and seconds, as 2:05."""
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02}"


def stream() -> TextIO:
    """Return standard output as it is now: while a case runs in this process, pytest keeps what is written there."""
    try:
        return os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", errors="backslashreplace")
    except (OSError, ValueError):
        return sys.stdout


def earlier(results: Path) -> dict[str, float]:
    """Return the seconds that each case took in the run whose report is there."""
    try:
        return {case.id: case.seconds for case in load(results / "report.json").cases}
    except ReportError:
        return {}
