"""From pairs to published trees: everything is verified before anything is published."""

from __future__ import annotations

import os
import time
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

from kit_initializer import credentials
from kit_initializer.archive import Limits, Tree
from kit_initializer.errors import EmptyError, UnsafeContentError
from kit_initializer.publish import Collisions, Delivery, Destination, Entry, Kit, Staging, explain, publish
from kit_initializer.pull.layers import Crew, Job
from kit_initializer.pull.resolve import Contents, Resolved, contents, resolve
from kit_initializer.registry import Registry
from kit_initializer.report import Outcome, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kit_initializer.reference import Reference
    from kit_initializer.report import Reporter
    from kit_initializer.settings import Settings

KITFILE = "Kitfile"


class Pair(NamedTuple):
    """A kit and the folder it goes to, as they were asked for."""

    reference: Reference
    folder: str


class _Place:
    """A destination and the pairs that go there, in order."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self.pairs: list[Pair] = []
        self.resolved: list[Resolved | None] = []
        self.staging: Staging | None = None


class _Arrival(NamedTuple):
    """A kit whose files are being staged."""

    pair: Pair
    resolved: Resolved
    staging: Staging
    handle: int
    tree: Tree


def run(pairs: Sequence[Pair], settings: Settings, reporter: Reporter) -> list[Outcome]:
    """Bring every pair's kit to its folder; nothing is published unless all can be.

    Raises InitializerError. A kit that is in place already costs no download, and with a pinned digest no request.
    """
    began = time.monotonic()
    registry = Registry(settings, lambda host: credentials.find(host, settings), Event(), reporter.warn)
    places: list[_Place] = []
    try:
        places = _open(pairs, reporter)
        outcomes: dict[Pair, Outcome] = {}
        changed = []
        for place in places:
            if _in_place(place, registry, settings):
                outcomes |= {pair: _unchanged(place, pair, settings, began) for pair in place.pairs}
            else:
                changed.append(place)
        arrivals = _bring(changed, registry, settings, reporter)
        deliveries = [_delivery(arrival, settings) for arrival in arrivals]
        publish(deliveries, _collisions(settings))
        for arrival, delivery in zip(arrivals, deliveries, strict=True):
            outcomes[arrival.pair] = _outcome(arrival.pair, delivery.kit, settings, began, unchanged=False)
        return [outcomes[pair] for pair in dict.fromkeys(pairs)]
    finally:
        for place in places:
            if place.staging is not None:
                place.staging.remove()
            place.destination.close()


def _open(pairs: Sequence[Pair], reporter: Reporter) -> list[_Place]:
    """Make and lock the folders, in one order for all runs, so that no two wait for each other."""
    by_path: dict[str, list[Pair]] = {}
    for pair in dict.fromkeys(pairs):
        by_path.setdefault(os.path.realpath(pair.folder), []).append(pair)
    places: dict[str, _Place] = {}
    try:
        for path in sorted(by_path):
            place = places[path] = _Place(Destination(path, reporter.info))
            place.pairs = by_path[path]
    except BaseException:
        for place in places.values():
            place.destination.close()
        raise
    return [places[path] for path in by_path]


def _in_place(place: _Place, registry: Registry, settings: Settings) -> bool:
    """Say whether the folder holds exactly what is asked for; what was resolved on the way is kept."""
    record = place.destination.record
    matching = record is not None and len(record.kits) == len(place.pairs)
    for index, pair in enumerate(place.pairs):
        kit = record.kits[index] if record is not None and matching else None
        digest = pair.reference.digest if pair.reference.tag is None else None
        if kit is not None and digest is not None and kit.digest == digest:
            place.resolved.append(None)
        else:
            place.resolved.append(resolve(registry, pair.reference))
        if (
            kit is None
            or kit.digest != (digest or _digest(place.resolved[-1]))
            or kit.selection != selection(settings)
        ):
            matching = False
    if record is None or not matching or not place.destination.intact(record.entries()):
        return False
    place.destination.settle()
    return True


def _digest(resolved: Resolved | None) -> str:
    return resolved.digest if resolved is not None else ""


def selection(settings: Settings) -> str:
    """Return what decides, beside the digest, which files a kit gives: for comparison with an earlier run's."""
    chosen = {
        "filters": settings.filters,
        "labels": settings.labels,
        "allow": settings.allow_patterns,
        "ignore": settings.ignore_patterns,
    }
    return "; ".join(f"{name} {list(value)!r}" for name, value in chosen.items() if value)


def _bring(
    places: Sequence[_Place], registry: Registry, settings: Settings, reporter: Reporter
) -> list[_Arrival]:
    """Stage the kits of these places: resolved, checked for room, downloaded, verified."""
    waiting: list[tuple[Pair, Resolved, Contents | None, _Place]] = []
    native = settings.engine == "native"
    for place in places:
        for pair, known in zip(place.pairs, place.resolved, strict=True):
            resolved = known or resolve(registry, pair.reference)
            waiting.append(
                (pair, resolved, contents(registry, resolved, settings) if native else None, place)
            )
    for place in places:
        needed = sum(
            part.layer.size
            for _, _, what, at in waiting
            if what is not None and at is place
            for part in what.parts
        )
        place.destination.room(needed)
    arrivals, jobs = [], []
    for pair, resolved, what, place in waiting:
        if place.staging is None:
            place.staging = place.destination.staging()
        handle = _new_tree(place.staging)
        tree = Tree(handle, Limits(), keep=_keep(settings))
        arrivals.append(_Arrival(pair, resolved, place.staging, handle, tree))
        if what is not None:
            jobs += [Job(part, tree, pair.folder) for part in what.parts]
    if native:
        progress = Progress(reporter, sum(job.part.layer.size for job in jobs))
        Crew(jobs, registry, progress).run()
        for arrival, (_, _, what, _) in zip(arrivals, waiting, strict=True):
            if what is not None and what.kitfile is not None:
                _write_kitfile(arrival, what.kitfile)
    else:
        from kit_initializer.pull.kit import unpack_with_kit  # noqa: PLC0415 - the other engine's subprocess

        for arrival in arrivals:
            unpack_with_kit(arrival.resolved, arrival.staging, arrival.tree, settings, reporter)
    for arrival in arrivals:
        if not arrival.tree.files:
            raise EmptyError(
                f"{arrival.pair.reference} gives no file",
                hint="check the filters and patterns, and what was packed",
            )
    return arrivals


def _new_tree(staging: Staging) -> int:
    try:
        return staging.tree()
    except OSError as error:
        raise explain(error, staging.destination.path) from error


def _write_kitfile(arrival: _Arrival, content: bytes) -> None:
    try:
        with arrival.tree.writer("", str(arrival.pair.reference)) as writer:
            writer.file(KITFILE, [memoryview(content)])
    except OSError as error:
        raise explain(error, arrival.pair.folder) from error
    except UnsafeContentError as error:
        raise UnsafeContentError(
            f"{arrival.pair.reference} holds a file named {KITFILE}, where its own goes",
            hint="rename the file",
        ) from error


def _keep(settings: Settings) -> Callable[[str], bool] | None:
    """Return KServe's rule for STORAGE_ALLOW_PATTERNS and STORAGE_IGNORE_PATTERNS, None where there are none."""
    allow, ignore = settings.allow_patterns, settings.ignore_patterns
    if not allow and not ignore:
        return None
    from fnmatch import fnmatch  # noqa: PLC0415 - rarely asked for

    def keep(path: str) -> bool:
        if allow and not any(fnmatch(path, pattern) for pattern in allow):
            return False
        return not any(fnmatch(path, pattern) for pattern in ignore)

    return keep


def _collisions(settings: Settings) -> Collisions:
    if settings.overwrite:
        return Collisions.REPLACE
    return Collisions.KEEP if settings.ignore_existing else Collisions.REFUSE


def _delivery(arrival: _Arrival, settings: Settings) -> Delivery:
    files = tuple(Entry(file.path, file.size, file.crc32) for file in sorted(arrival.tree.files))
    kit = Kit(str(arrival.pair.reference), arrival.resolved.digest, selection(settings), files)
    return Delivery(arrival.staging, arrival.handle, kit)


def _unchanged(place: _Place, pair: Pair, settings: Settings, began: float) -> Outcome:
    record = place.destination.record
    kit = record.kits[place.pairs.index(pair)] if record is not None else None
    return _outcome(pair, kit, settings, began, unchanged=True)


def _outcome(pair: Pair, kit: Kit | None, settings: Settings, began: float, *, unchanged: bool) -> Outcome:
    files = kit.files if kit is not None else ()
    return Outcome(
        uri=str(pair.reference),
        digest=kit.digest if kit is not None else "",
        engine=settings.engine,
        files=len(files),
        bytes=sum(entry.size for entry in files),
        seconds=time.monotonic() - began,
        unchanged=unchanged,
    )
