"""The report of a run, in the conformance suite's own shape and by its own renderers: one for each image tried.

RESULTS/e2e has report.json, junit.xml, report.html and summary.md of our image; `upstream/` below it those of the image
that was put in its place. `kit-conformance report` sets several of them side by side, and `gate` judges them.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from e2e.harness import recorder
from kit_conformance.report import CaseRecord, Report, stamp, suite
from kit_conformance.report.files import write as write_pages

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from e2e.harness.state import State

UPSTREAM = "upstream"


def write(
    folder: Path,
    made: State,
    terminal: Any,  # noqa: ANN401 - pytest has no public type
    arguments: Sequence[str],
    baseline: Sequence[str],
) -> list[Path]:
    """Write the report of every image that scenarios were told with, and return the pages, ours first.

    `arguments` are pytest's, `baseline` the ids that are known to fail with the image in our place.
    """
    cases: dict[str, list[CaseRecord]] = {}
    for candidate, record in recorder.records(terminal):
        cases.setdefault(candidate, []).append(record)
    if not made.upstream:
        # its scenarios are listed as not run, and there is nothing that they speak of
        cases.pop(UPSTREAM, None)
    moments = [
        (r.start, r.stop) for reports in terminal.stats.values() for r in reports if hasattr(r, "start")
    ]
    began = min((start for start, _ in moments), default=made.began)
    ended = max((stop for _, stop in moments), default=began)
    pages = []
    for candidate, records in sorted(cases.items()):  # "ours" comes before "upstream"
        image = made.upstream if candidate == UPSTREAM else made.initializer
        report = Report(
            suite=suite(made.kserve.removeprefix("v")),
            started=stamp(dt.datetime.fromtimestamp(began, dt.UTC)),
            seconds=ended - began,
            subject=_subject(made, image),
            configuration={
                "options": {
                    "kubernetes": made.kubernetes,
                    "packed with": f"Kit {made.kit}" if made.kit else "the suite's own packer",
                    "pytest": list(arguments),
                },
                "baseline": list(baseline) if candidate == UPSTREAM else [],
            },
            cases=tuple(sorted(records, key=lambda record: record.id)),
            problems=tuple(f"{name}: its process has crashed" for name in recorder.crashed(terminal)),
        )
        pages.append(write_pages(report, folder / (UPSTREAM if candidate == UPSTREAM else "")))
    return pages


def _subject(made: State, image: str) -> dict[str, Any]:
    about = made.about.get(image, {})
    return {
        "name": about.get("name") or image.rpartition("/")[2].partition(":")[0],
        "given": f"pod:{image}",
        "kind": "pod",
        "digest": about.get("digest", ""),
        "version": about.get("version", ""),
        "features": [],
        # a foreign image has a Kit of its own, whichever it is that packs
        **({"kit": {"version": made.kit}} if made.kit and image != made.upstream else {}),
        "details": {
            "kserve": made.kserve or f"absent: {made.kserve_absent}",
            "kubernetes": made.kubernetes,
            "cluster": made.name,
            "images": made.images,
        },
    }
