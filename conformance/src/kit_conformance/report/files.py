"""A folder of results: the report for machines, and the pages for people."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kit_conformance.report.html import page
from kit_conformance.report.junit import junit
from kit_conformance.report.summary import summary

if TYPE_CHECKING:
    from pathlib import Path

    from kit_conformance.report.model import Report


def write(report: Report, folder: Path) -> Path:
    """Write report.json, junit.xml, report.html and summary.md, and return the page's path. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    put(folder / "report.json", report.dump())
    put(folder / "junit.xml", junit(report))
    put(folder / "summary.md", summary(report))
    put(folder / "report.html", page([(report.label, report)]))
    return folder / "report.html"


def put(path: Path, text: str) -> None:
    """Write a file so that nobody ever reads half of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text, "utf-8")
    part.replace(path)
