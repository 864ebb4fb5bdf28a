"""The native engine: layers over the distribution protocol, checked while they are unpacked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_initializer.errors import EmptyError, UnsafeContentError
from kit_initializer.publish import explain
from kit_initializer.pull.layers import Crew, Job
from kit_initializer.report import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kit_initializer.archive import Tree
    from kit_initializer.publish import Destination
    from kit_initializer.pull.arrival import Arrival
    from kit_initializer.pull.resolve import Contents
    from kit_initializer.registry import Registry
    from kit_initializer.report import Reporter

KITFILE = "Kitfile"


def fill(
    arrivals: Sequence[Arrival],
    trees: Sequence[Tree],
    brought: Sequence[Contents],
    registry: Registry,
    reporter: Reporter,
) -> None:
    """Fill every arrival's tree with verified files. Raises InitializerError, when every thread has ended."""
    needed: dict[Destination, int] = {}
    jobs = []
    for arrival, content, tree in zip(arrivals, brought, trees, strict=True):
        destination = arrival.staging.destination
        needed[destination] = needed.get(destination, 0) + sum(part.layer.size for part in content.parts)
        jobs += [Job(part, tree, arrival.pair.folder) for part in content.parts]
    for destination, count in needed.items():
        destination.room(count)
    Crew(jobs, registry, Progress(reporter, sum(needed.values()))).run()
    for arrival, content, tree in zip(arrivals, brought, trees, strict=True):
        if content.parts and tree.keep is None and not tree.files:
            raise EmptyError(
                f"the layers of {arrival.pair.reference} hold no file", hint="pack the kit with its files"
            )
        if content.kitfile is not None:
            _write_kitfile(arrival, tree, content.kitfile)


def _write_kitfile(arrival: Arrival, tree: Tree, content: bytes) -> None:
    try:
        with tree.writer("", str(arrival.pair.reference)) as writer:
            writer.file(KITFILE, [memoryview(content)])
    except OSError as error:
        raise explain(error, arrival.pair.folder) from error
    except UnsafeContentError as error:
        raise UnsafeContentError(
            f"{arrival.pair.reference} holds a file named {KITFILE}, where its own goes",
            hint="rename the file",
        ) from error
