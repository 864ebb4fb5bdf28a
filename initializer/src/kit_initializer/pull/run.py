"""From pairs to published trees: everything is verified before anything is published."""

from __future__ import annotations

import os
import time
from functools import partial
from importlib import import_module
from threading import Event
from typing import TYPE_CHECKING

from kit_initializer import credentials
from kit_initializer.deadline import Deadline, call_within
from kit_initializer.errors import EmptyError
from kit_initializer.publish import Collisions, Delivery, Destination, Entry, Kit, Staging, explain, publish
from kit_initializer.pull.arrival import Arrival, Pair
from kit_initializer.pull.resolve import Resolved, contents, resolve
from kit_initializer.registry import Registry
from kit_initializer.report import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kit_initializer.archive import Tree
    from kit_initializer.credentials import Login
    from kit_initializer.report import Reporter
    from kit_initializer.settings import Settings


class _Place:
    """A destination and the pairs that go there, in order."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self.pairs: list[Pair] = []
        self.resolved: list[Resolved | None] = []
        self.staging: Staging | None = None


def run(pairs: Sequence[Pair], settings: Settings, reporter: Reporter) -> list[Outcome]:
    """Bring every pair's kit to its folder; nothing is published unless all can be.

    Raises InitializerError. A kit that is in place already costs no download, and with a pinned digest no request.
    """
    began = time.monotonic()
    deadline = Deadline(settings.total_timeout)
    registry = Registry(
        settings,
        lambda host: _login(host, settings, reporter, deadline),
        Event(),
        say=reporter.info,
        warn=reporter.warn,
        # what takes longest to load of all that is needed when answers have come; a run that finds everything in place
        # by its digest asks for nothing, and needs none of it
        errands=[
            partial(import_module, name) for name in ("hashlib", f"kit_initializer.pull.{settings.engine}")
        ],
        deadline=deadline,
    )
    places: list[_Place] = []
    try:
        places = _open(pairs, settings, reporter, deadline)
        outcomes: dict[Pair, Outcome] = {}
        changed = []
        for place in places:
            if _in_place(place, registry, settings):
                outcomes |= {pair: _unchanged(place, pair, settings, began) for pair in place.pairs}
            else:
                changed.append(place)
        arrivals = _stage(changed, registry)
        trees = _fill(arrivals, registry, reporter) if arrivals else []
        deliveries = [
            _delivery(arrival, tree, settings) for arrival, tree in zip(arrivals, trees, strict=True)
        ]
        deadline.check("everything has come, nothing is published")  # from here on a run is completed
        publish(deliveries, _collisions(settings))
        for arrival, delivery in zip(arrivals, deliveries, strict=True):
            outcomes[arrival.pair] = _outcome(arrival.pair, delivery.kit, settings, began, unchanged=False)
        return [outcomes[pair] for pair in dict.fromkeys(pairs)]
    finally:
        for place in places:
            if place.staging is not None:
                place.staging.remove()
            place.destination.close()


def _login(host: str, settings: Settings, reporter: Reporter, deadline: Deadline) -> Login | None:
    """Return the login for a host; UnreachableError when its source takes longer than KIT_PROGRESS_TIMEOUT."""
    until = deadline.nearer("KIT_PROGRESS_TIMEOUT", settings.progress_timeout)
    try:
        return call_within(until, partial(credentials.find, host, settings, reporter.warn))
    except TimeoutError:
        raise until.error(f"getting a login for {host}") from None


def _open(pairs: Sequence[Pair], settings: Settings, reporter: Reporter, deadline: Deadline) -> list[_Place]:
    """Make and lock the folders, in one order for all runs, so that no two wait for each other."""
    by_path: dict[str, list[Pair]] = {}
    for pair in dict.fromkeys(pairs):
        by_path.setdefault(os.path.realpath(pair.folder), []).append(pair)
    places: dict[str, _Place] = {}
    try:
        for path in sorted(by_path):
            place = places[path] = _Place(
                Destination(path, reporter.info, deadline=deadline, lock_timeout=settings.lock_timeout)
            )
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


def _stage(places: Sequence[_Place], registry: Registry) -> list[Arrival]:
    """Give each kit of these places a folder of its own to be gathered in."""
    arrivals = []
    for place in places:
        for pair, known in zip(place.pairs, place.resolved, strict=True):
            resolved = known or resolve(registry, pair.reference)
            if place.staging is None:
                place.staging = place.destination.staging()
            arrivals.append(Arrival(pair, resolved, place.staging, _new_tree(place.staging)))
    return arrivals


def _fill(arrivals: Sequence[Arrival], registry: Registry, reporter: Reporter) -> list[Tree]:
    """Let the engine gather the kits' files."""
    settings = registry.settings
    if settings.engine == "kit":
        from kit_initializer.pull import kit  # noqa: PLC0415 - the other engine, and subprocess with it

        trees = _trees(arrivals, settings)
        kit.fill(arrivals, trees, registry, reporter)
    else:
        brought = [contents(registry, arrival.resolved) for arrival in arrivals]
        from kit_initializer.pull import native  # noqa: PLC0415 - loaded by now, as an errand

        trees = _trees(arrivals, settings)
        native.fill(arrivals, trees, brought, registry, reporter)
    for arrival, tree in zip(arrivals, trees, strict=True):
        if not tree.files:
            raise EmptyError(
                f"{arrival.pair.reference} gives no file",
                hint="check the filters and patterns, and what was packed",
            )
    return trees


def _trees(arrivals: Sequence[Arrival], settings: Settings) -> list[Tree]:
    from kit_initializer.archive import Limits, Tree  # noqa: PLC0415 - loaded by now, with the engine

    keep = _keep(settings)
    return [Tree(arrival.root, Limits(), keep=keep) for arrival in arrivals]


def _new_tree(staging: Staging) -> int:
    try:
        return staging.tree()
    except OSError as error:
        raise explain(error, staging.destination.path) from error


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


def _delivery(arrival: Arrival, tree: Tree, settings: Settings) -> Delivery:
    files = tuple(Entry(file.path, file.size, file.crc32) for file in sorted(tree.files))
    kit = Kit(str(arrival.pair.reference), arrival.resolved.digest, selection(settings), files)
    return Delivery(arrival.staging, arrival.root, kit)


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
