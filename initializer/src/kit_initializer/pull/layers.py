"""All layers of a run at once: connections are added as long as the network is what everything waits for."""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from threading import Event, Lock, Thread, current_thread
from typing import TYPE_CHECKING, NamedTuple

from kit_initializer.archive import unpack
from kit_initializer.errors import (
    NotAModelKitError,
    UnsafeContentError,
    no_threads,
)
from kit_initializer.http import StoppedError
from kit_initializer.publish import explain
from kit_initializer.pull.connections import Connections, Traffic
from kit_initializer.pull.spread import spread
from kit_initializer.registry import Download, Source, room, segment_bytes
from kit_initializer.tuning import END_S, FIRST_LAYERS, SEGMENT_BYTES, SIDE_BY_SIDE, STARVED, TICK_S
from kit_initializer.verify import Verifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kit_initializer.archive import Tree
    from kit_initializer.pull.resolve import Part
    from kit_initializer.registry import Registry
    from kit_initializer.report import Progress


class Target(NamedTuple):
    """A layer and the tree that it goes to; `place` names the destination in errors."""

    part: Part
    tree: Tree
    place: str


class Job(NamedTuple):
    """One download, for all targets that have its digest."""

    part: Part
    targets: tuple[Target, ...]


def jobs_for(targets: Iterable[Target]) -> list[Job]:
    """Return the downloads that targets come to: one a digest."""
    by_content: dict[tuple[str, int], list[Target]] = {}
    for target in targets:
        by_content.setdefault((target.part.layer.digest, target.part.layer.size), []).append(target)
    jobs = []
    for each in by_content.values():
        at_once = len(each) if each[0].part.layer.size <= SEGMENT_BYTES else SIDE_BY_SIDE
        some = (tuple(each[first : first + at_once]) for first in range(0, len(each), at_once))
        jobs += [Job(targets[0].part, targets) for targets in some]
    return jobs


class Crew:
    """The threads that bring the layers of a run. Use it once."""

    def __init__(self, jobs: Iterable[Job], registry: Registry, progress: Progress, concurrency: int) -> None:
        self._registry = registry
        self._progress = progress
        self._limit = concurrency
        self._segment = segment_bytes(self._limit)
        # the largest first: what is left at the end is small
        self._pending = deque(sorted(jobs, key=lambda job: -job.part.layer.size))
        self._active: dict[Thread, Download | None] = {}
        self._ended: list[Thread] = []
        self._free: list[memoryview] = []
        self._finished = 0
        self._ended_arrived = self._ended_delivered = 0
        self._lock = Lock()
        self._wake = Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        """Bring everything, or raise the first error after every thread has ended."""
        deadline = self._registry.transport.deadline
        connections = Connections(min(FIRST_LAYERS, self._limit), self._limit)
        last = time.monotonic()
        try:
            while True:
                self._start(connections.allowed)
                if not self._active:
                    return
                self._share()
                self._wake.wait(TICK_S)
                self._wake.clear()
                self._reap()
                now = time.monotonic()
                deadline.check("downloading")
                if now - last >= TICK_S:
                    before = connections.wanted
                    connections.update(now, self._traffic(now - last))
                    if connections.wanted != before and self._registry.transport.trace is not None:
                        self._registry.transport.trace(
                            f"up to {connections.wanted} connections to a layer, where there were {before}"
                        )
                    self._match(min(connections.wanted, self._registry.turns.most))
                    last = now
                    self._progress.update(self._done())
        finally:
            if self._active:
                self._registry.abort()
                until = time.monotonic() + END_S
                for thread in list(self._active):
                    thread.join(max(0.0, until - time.monotonic()))

    def _start(self, allowed: int) -> None:
        while self._pending:
            small = self._pending[0].part.layer.size <= SEGMENT_BYTES
            if self._connections() >= min(self._limit if small else allowed, self._registry.turns.most):
                return
            job = self._pending.popleft()
            verifier = Verifier(job.part.layer.digest, job.part.layer.size, job.part.what)
            download = None if small else self._download(job.part, verifier)
            thread = Thread(target=self._work, args=(job, verifier, download), name="layer", daemon=True)
            try:
                if download is not None:
                    download.connect()
                thread.start()
            except RuntimeError as error:
                if download is not None:
                    download.window.fail(StoppedError("stopped"))
                if not self._active:
                    raise no_threads() from error
                self._pending.appendleft(job)  # when one of those at work has ended
                return
            self._active[thread] = download

    def _download(self, part: Part, verifier: Verifier) -> Download:
        layer = part.layer
        return Download(
            part.repository,
            layer.digest,
            layer.size,
            part.what,
            check=verifier.update,
            segment=self._segment,
            free=self._free,
        )

    def _connections(self) -> int:
        return sum(max(1, download.connections) if download else 1 for download in self._active.values())

    def _share(self) -> None:
        """Give each connection its part of what the windows may hold together."""
        large = self._large()
        each = room(self._segment, max(1, sum(download.connections for download in large)))
        for download in large:
            download.window.resize(each * max(1, download.connections))

    def _reap(self) -> None:
        while self._ended:
            download = self._active.pop(self._ended.pop())
            if download is not None:
                self._ended_arrived += download.arrived
                self._ended_delivered += download.delivered
        if self._error is not None:
            raise self._error

    def _starved(self, elapsed_s: float) -> bool:
        """Say whether the readers of every large layer have waited for bytes most of the time."""
        waited = [download.window.starved_s() for download in self._large() if download.window.received]
        return bool(waited) and min(waited) > STARVED * elapsed_s

    def _match(self, wanted: float) -> None:
        """Open or end connections of layers that are under way, so that there are as many as wanted."""
        if self._pending:
            return
        excess = self._connections() - wanted
        while excess < 0 and (divisible := [each for each in self._large() if each.divisible()]):
            try:
                max(divisible, key=lambda download: download.window.unclaimed()).connect()
            except RuntimeError:
                return  # no thread for one more: those at work go on
            excess += 1
        while excess > 0 and (divided := [each for each in self._large() if each.connections > 1]):
            max(divided, key=lambda download: download.connections).disconnect()
            excess -= 1

    def _large(self) -> list[Download]:
        return [download for download in self._active.values() if download is not None]

    def _traffic(self, elapsed_s: float) -> Traffic:
        large = self._large()
        return Traffic(
            arrived=self._ended_arrived + sum(download.arrived for download in large),
            delivered=self._ended_delivered + sum(download.delivered for download in large),
            connections=sum(download.connections for download in large),
            starved=self._starved(elapsed_s),
        )

    def _done(self) -> int:
        return self._finished + sum(d.window.received for d in self._active.values() if d is not None)

    def _work(self, job: Job, verifier: Verifier, download: Download | None) -> None:
        try:
            if download is None:
                self._bring_small(job, verifier)
            else:
                self._bring_large(job, verifier, download)
            with self._lock:
                self._finished += job.part.layer.size
        except BaseException as error:  # noqa: BLE001 - raised where the layer ends
            with self._lock:
                if self._error is None or isinstance(self._error, StoppedError):
                    self._error = error
        finally:
            self._ended.append(current_thread())
            self._wake.set()

    def _bring_small(self, job: Job, verifier: Verifier) -> None:
        """Fetch a layer into memory, and unpack it only when its digest is right."""
        layer, what = job.part.layer, job.part.what
        content = memoryview(bytearray(layer.size))
        source = Source(
            job.part.repository, layer.digest, layer.size, what, job.part.repository.patience(attempts=None)
        )
        try:
            source.fill(content, 0, None)
        finally:
            source.close()
        verifier.update(content)
        verifier.check()
        for target in job.targets:
            _unpack(target, iter([content]))

    def _bring_large(self, job: Job, verifier: Verifier, download: Download) -> None:
        """Unpack a layer while it lands and is hashed; the digest has the last word."""
        chunks = download.read()
        errors = spread(chunks, [partial(_unpack, target) for target in job.targets])
        refused = [error for error in errors if isinstance(error, UnsafeContentError | NotAModelKitError)]
        try:
            _raise_first(error for error in errors if error not in refused)
            for _ in chunks:
                pass
        except BaseException as error:
            download.window.fail(error)
            raise
        verifier.check()
        _raise_first(refused)


def _raise_first(errors: Iterable[BaseException]) -> None:
    for error in errors:
        raise error


def _unpack(target: Target, chunks: Iterator[memoryview]) -> None:
    part = target.part
    try:
        unpack(
            chunks,
            target.tree,
            format=part.layer.format,
            compression=part.layer.compression,
            directory=part.layer.directory,
            path=part.layer.path,
            executable=bool(part.layer.mode & 0o111),
            what=part.what,
        )
    except OSError as error:
        raise explain(error, target.place) from error
