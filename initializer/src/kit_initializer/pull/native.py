"""The native engine: layers over the distribution protocol, checked while they are unpacked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_initializer.errors import EmptyError, UnsafeContentError
from kit_initializer.publish import explain
from kit_initializer.pull.layers import Crew, Job
from kit_initializer.pull.resolve import contents
from kit_initializer.report import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kit_initializer.publish import Destination
    from kit_initializer.pull.arrival import Arrival
    from kit_initializer.registry import Registry
    from kit_initializer.report import Reporter

KITFILE = "Kitfile"


def fill(arrivals: Sequence[Arrival], registry: Registry, reporter: Reporter) -> None:
    """Fill every arrival's tree with verified files. Raises InitializerError, when every thread has ended."""
    brought = [contents(registry, arrival.resolved) for arrival in arrivals]
    needed: dict[Destination, int] = {}
    jobs = []
    for arrival, content in zip(arrivals, brought, strict=True):
        destination = arrival.staging.destination
        needed[destination] = needed.get(destination, 0) + sum(part.layer.size for part in content.parts)
        jobs += [Job(part, arrival.tree, arrival.pair.folder) for part in content.parts]
    for destination, count in needed.items():
        destination.room(count)
    Crew(jobs, registry, Progress(reporter, sum(needed.values()))).run()
    for arrival, content in zip(arrivals, brought, strict=True):
        if content.parts and arrival.tree.keep is None and not arrival.tree.files:
            raise EmptyError(
                f"the layers of {arrival.pair.reference} hold no file", hint="pack the kit with its files"
            )
        if content.kitfile is not None:
            _write_kitfile(arrival, content.kitfile)


def _write_kitfile(arrival: Arrival, content: bytes) -> None:
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
