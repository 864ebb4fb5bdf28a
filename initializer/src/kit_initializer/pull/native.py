"""The native engine: layers over the distribution protocol, checked while they are unpacked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kit_initializer.errors import EmptyError, UnsafeContentError
from kit_initializer.publish import explain
from kit_initializer.pull.layers import Crew, Target, jobs_for
from kit_initializer.report import PROGRESS_S, Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kit_initializer.publish import Destination
    from kit_initializer.pull.pull import Pull
    from kit_initializer.registry import Registry
    from kit_initializer.report import Reporter
    from kit_initializer.settings import Settings

KITFILE = "Kitfile"


def fill(pulls: Sequence[Pull], registry: Registry, settings: Settings, reporter: Reporter) -> None:
    """Fill every kit's tree with verified files. Raises InitializerError, when every thread has ended."""
    needed: dict[Destination, int] = {}
    targets = []
    for pull in pulls:
        destination, parts = pull.place.destination, pull.contents.parts
        needed[destination] = needed.get(destination, 0) + sum(part.layer.size for part in parts)
        targets += [Target(part, pull.tree, pull.pair.folder) for part in parts]
    for destination, count in needed.items():
        destination.room(count)
    jobs = jobs_for(targets)
    every_s = math.inf if settings.progress == "none" else PROGRESS_S
    progress = Progress(reporter, sum(job.part.layer.size for job in jobs), every_s=every_s)
    try:
        Crew(jobs, registry, progress, settings.concurrency).run()
    finally:
        progress.end()
    for pull in pulls:
        content = pull.contents
        if content.parts and pull.tree.keep is None and not pull.tree.files:
            raise EmptyError(
                f"the layers of {pull.reference} hold no file", hint="pack the kit with its files"
            )
        if content.kitfile is not None:
            _write_kitfile(pull, content.kitfile)


def _write_kitfile(pull: Pull, content: bytes) -> None:
    try:
        with pull.tree.writer("", str(pull.reference)) as writer:
            writer.file(KITFILE, [memoryview(content)])
    except OSError as error:
        raise explain(error, pull.pair.folder) from error
    except UnsafeContentError as error:
        raise UnsafeContentError(
            f"{pull.reference} holds a file named {KITFILE}, where its own goes", hint="rename the file"
        ) from error
