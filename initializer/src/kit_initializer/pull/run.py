"""From pairs to published trees: everything is verified before anything is published."""

from __future__ import annotations

import os
import time
from fnmatch import fnmatch
from itertools import zip_longest
from threading import Event
from typing import TYPE_CHECKING

from kit_initializer.archive import Limits
from kit_initializer.credentials.logins import Logins
from kit_initializer.deadline import Deadline
from kit_initializer.errors import EmptyError
from kit_initializer.http import Network, Transport
from kit_initializer.publish import Collisions, Destination, publish
from kit_initializer.pull import native
from kit_initializer.pull.pull import Pair, Place, Pull
from kit_initializer.pull.resolve import contents, resolve
from kit_initializer.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kit_initializer.pull.signed import Signed
    from kit_initializer.report import Outcome, Reporter
    from kit_initializer.settings import Settings


# What a kit may unpack to beyond the size of its layers, unless KIT_MAX_BYTES says more: arrays of zeros shrink to
# nothing, and are served; what fills the disk of a node is not.
_SURPLUS_BYTES = 64 << 30


def pull_all(pairs: Sequence[Pair], settings: Settings, reporter: Reporter) -> list[Outcome]:
    """Pull every pair's kit into its folder; nothing is published unless all can be.

    Raises InitializerError. A kit that is in place already costs no download, and with a pinned digest no request.
    """
    began = time.monotonic()
    deadline = Deadline(settings.total_timeout)
    registry = connect(settings, deadline, reporter)
    places: list[Place] = []
    try:
        signed = signed_by(pairs, registry, settings)
        places = _open(pairs, settings, deadline, reporter)
        missing: list[Pull] = []
        for place in places:
            _resolve(place, registry)
            if _is_current(place):
                if signed is not None:
                    signed.review(place)
                _keep(place)
            else:
                missing += place.pulls
        if missing:
            _gather(missing, registry, settings, reporter, signed)
            deadline.check("everything has come, nothing is published")  # from here on a run is completed
            publish([pull.delivery() for pull in missing], _collisions(settings))
        done = {pull.pair: pull.outcome(settings.engine, began) for place in places for pull in place.pulls}
        return [done[pair] for pair in dict.fromkeys(pairs)]
    finally:
        for place in places:
            place.close()
        registry.transport.close()


def network(settings: Settings) -> Network:
    """Return how servers are reached by these settings."""
    return Network(**{name: getattr(settings, name) for name in Network._fields})


def connect(settings: Settings, deadline: Deadline, reporter: Reporter) -> Registry:
    """Return the client of a run; its transport is to be closed."""
    stop = Event()
    trace = reporter.debug if reporter.tracing else None
    transport = Transport(network(settings), deadline, stop, trace)
    return Registry(
        transport,
        Logins(settings, transport, reporter.warn),
        stop,
        plain_http=settings.plain_http,
        retries=settings.retries,
        say=reporter.info,
        warn=reporter.warn,
    )


def signed_by(pairs: Sequence[Pair], registry: Registry, settings: Settings) -> Signed | None:
    """Return the signature policy, which is read only where one is set."""
    if not settings.signatures:
        return None
    from kit_initializer.pull.signed import Signed  # noqa: PLC0415 - for a run with a policy alone

    return Signed(pairs, registry, settings)


def _open(pairs: Sequence[Pair], settings: Settings, deadline: Deadline, reporter: Reporter) -> list[Place]:
    """Make and lock the folders, in one order for all runs, so that no two wait for each other."""
    by_path: dict[str, list[Pair]] = {}
    for pair in dict.fromkeys(pairs):
        by_path.setdefault(os.path.realpath(pair.folder), []).append(pair)
    places: dict[str, Place] = {}
    try:
        for path in sorted(by_path):
            place = places[path] = Place(
                Destination(
                    path,
                    reporter.info,
                    deadline=deadline,
                    lock_timeout=settings.lock_timeout,
                    record=settings.record,
                )
            )
            place.pulls = [Pull(pair, place, selection(settings)) for pair in by_path[path]]
    except BaseException:
        for place in places.values():
            place.close()
        raise
    return [places[path] for path in by_path]


def _resolve(place: Place, registry: Registry) -> None:
    """Resolve the kits of a place, but for those that the record has with the digest that is asked for."""
    record = place.destination.record
    for pull, kit in zip_longest(place.pulls, record.kits[: len(place.pulls)] if record is not None else ()):
        if kit is None or kit.digest != pull.reference.digest:
            registry.say(f"resolving {pull.reference}")
            pull.resolved = resolve(registry, pull.reference)


def _is_current(place: Place) -> bool:
    """Say whether the folder holds exactly what is asked for."""
    record = place.destination.record
    if record is None or len(record.kits) != len(place.pulls):
        return False
    same = all(
        (kit.digest, kit.selection) == (pull.digest, pull.selection)
        for kit, pull in zip(record.kits, place.pulls, strict=True)
    )
    return same and place.destination.intact()


def _keep(place: Place) -> None:
    """Leave a folder that is current as it is, and complete what a killed run has left to do in it."""
    record = place.destination.record
    for pull, kit in zip(place.pulls, record.kits if record is not None else (), strict=True):
        pull.kit, pull.unchanged = kit, True
    place.destination.settle()


def _gather(
    pulls: Sequence[Pull], registry: Registry, settings: Settings, reporter: Reporter, signed: Signed | None
) -> None:
    """Let the engine fill a staged tree for each kit, once a signature policy has let all of them in."""
    keep, limits = _wanted(settings), Limits(members=settings.max_files)
    for pull in pulls:
        if pull.resolved is None:
            pull.resolved = resolve(registry, pull.reference)
        pull.contents = signed.contents(pull) if signed else contents(registry, pull.resolved, settings)
    if signed is not None:
        signed.wait()
    for pull in pulls:
        most = settings.max_bytes or sum(part.layer.size for part in pull.contents.parts) + _SURPLUS_BYTES
        pull.stage(limits._replace(bytes=most), keep)
    fill = native.fill
    if settings.engine == "kit":
        from kit_initializer.pull import kit  # noqa: PLC0415 - the other engine, and subprocess with it

        fill = kit.fill
    fill(pulls, registry, settings, reporter)
    for pull in pulls:
        if pull.tree.backslash:
            reporter.info(
                f"{pull.reference}: made folders of backslashes in names, such as {pull.tree.backslash}"
            )
        for path in pull.tree.left_out:
            reporter.info(f"{pull.reference}: left out {path}, a name that the initializer keeps for itself")
        if not pull.tree.files:
            raise EmptyError(
                f"{pull.reference} gives no file", hint="check the filters and patterns, and what was packed"
            )


def selection(settings: Settings) -> str:
    """Return what decides, beside the digest, which files a kit gives: for comparison with an earlier run's."""
    chosen = {
        "filters": settings.filters,
        "labels": settings.labels,
        "allow": settings.allow_patterns,
        "ignore": settings.ignore_patterns,
    }
    return "; ".join(f"{name} {list(value)!r}" for name, value in chosen.items() if value)


def _wanted(settings: Settings) -> Callable[[str], bool] | None:
    """Return KServe's rule for STORAGE_ALLOW_PATTERNS and STORAGE_IGNORE_PATTERNS, None where there are none."""
    allow, ignore = settings.allow_patterns, settings.ignore_patterns
    if not allow and not ignore:
        return None

    def wanted(path: str) -> bool:
        if allow and not any(fnmatch(path, pattern) for pattern in allow):
            return False
        return not any(fnmatch(path, pattern) for pattern in ignore)

    return wanted


def _collisions(settings: Settings) -> Collisions:
    if settings.overwrite:
        return Collisions.REPLACE
    return Collisions.KEEP if settings.ignore_existing else Collisions.REFUSE
