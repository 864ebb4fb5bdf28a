"""What a run of the suite came to: a JSON document with a published schema, and the pages made of it."""

from __future__ import annotations

from kit_conformance.report.model import (
    BAD,
    STATES,
    CaseRecord,
    Report,
    ReportError,
    State,
    load,
    result_of,
    schema,
    stamp,
    suite,
)

__all__ = [
    "BAD",
    "STATES",
    "CaseRecord",
    "Report",
    "ReportError",
    "State",
    "load",
    "result_of",
    "schema",
    "stamp",
    "suite",
]
