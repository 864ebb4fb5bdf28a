"""The timeline of a run, as JSON and as a page with one drawing: bring-up above, scenarios below, on one axis."""

from __future__ import annotations

import html
import json
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from e2e.harness.state import State

ROW, LEFT, WIDTH = 17, 430, 1250  # pixels: height of a row, of the names' column, of the whole
# By the colours of the report's style sheet, which know light and dark.
_COLOURS = {
    "bring-up": "var(--soft)",
    "passed": "var(--good)",
    "failed": "var(--bad)",
    "known": "var(--known)",
    "not run": "var(--warn)",
}
_MARKS = {"Ready": "var(--ink)", "first answer": "var(--error)"}
_STYLE = """
.drawing { overflow-x: auto } svg { min-width: 52rem; width: 100%; height: auto }
svg text { font: 11px system-ui, sans-serif; fill: var(--ink) } svg line { stroke: var(--line) }
.key i { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em; border-radius: 2px }
"""


class Span(NamedTuple):
    """One row: `start` and `end` are seconds since the bring-up began, and so are the marks."""

    name: str
    result: str
    start: float
    end: float
    marks: list[tuple[str, float]]


def write(folder: Path, made: State, scenarios: list[Span]) -> Path:
    """Write timeline.json and timeline.html, and return the page's path."""
    steps = [Span(name, "bring-up", start, end, []) for name, start, end in made.timeline]
    scenarios = sorted(scenarios, key=lambda span: span.start)
    counts = {
        result: sum(s.result == result for s in scenarios)
        for result in ("passed", "failed", "known", "not run")
    }
    about = {
        "cluster": made.name,
        "kserve": made.kserve or f"absent: {made.kserve_absent}",
        "kit": made.kit or "absent",
        "images": made.images,
        "counts": counts,
    }
    folder.mkdir(parents=True, exist_ok=True)
    rows = {"bring_up": [s._asdict() for s in steps], "scenarios": [s._asdict() for s in scenarios]}
    (folder / "timeline.json").write_text(json.dumps({**about, **rows}, indent=1) + "\n", encoding="utf-8")
    page = folder / "timeline.html"
    page.write_text(_page(about, _compact(steps, scenarios)), encoding="utf-8")
    return page


def _compact(steps: list[Span], scenarios: list[Span]) -> list[Span]:
    """Let the scenarios follow the bring-up at once, for a cluster may be up for days before it is used."""
    if not steps or not scenarios:
        return [*steps, *scenarios]
    gap = max(0.0, min(s.start for s in scenarios) - max(s.end for s in steps) - 2)
    moved = [
        s._replace(start=s.start - gap, end=s.end - gap, marks=[(m, at - gap) for m, at in s.marks])
        for s in scenarios
    ]
    return [*steps, *moved]


def _page(about: Mapping[str, object], spans: list[Span]) -> str:
    facts = []
    for key, value in about.items():
        shown = (
            "<br>".join(f"{html.escape(str(k))}: {html.escape(str(v))}" for k, v in value.items())
            if isinstance(value, dict)
            else html.escape(str(value))
        )
        facts.append(f"<dt>{key}</dt><dd>{shown}</dd>")
    keys = "".join(f'<i style="background:{c}"></i>{name}' for name, c in {**_COLOURS, **_MARKS}.items())
    title = "Scenarios on a real cluster"
    style = (files("kit_conformance.report") / "page.css").read_text("utf-8") + _STYLE
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'<header><p class="suite">kit-conformance</p><h1>{title}</h1></header>\n<main>'
        f'<dl>{"".join(facts)}</dl><p>What came of each case: <a href="report.html">the report</a></p>'
        f'<p class="key">{keys}</p><div class="drawing">{_drawing(spans)}</div></main>\n</body>\n</html>\n'
    )


def _drawing(spans: list[Span]) -> str:
    last = max((s.end for s in spans), default=1.0)
    step = next(n for n in (5, 10, 20, 30, 60, 120, 300, 3600) if last / n <= 14 or n == 3600)
    scale = (WIDTH - LEFT - 60) / last
    height = ROW * (len(spans) + 2)
    out = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="what ran when">']
    for second in range(0, int(last) + step, step):
        x = LEFT + second * scale
        out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{ROW}" y2="{height}"/>')
        out.append(f'<text x="{x:.1f}" y="12" text-anchor="middle">{second} s</text>')
    for row, span in enumerate(spans):
        y = ROW * (row + 1) + 3
        x, wide = LEFT + span.start * scale, max(2.0, (span.end - span.start) * scale)
        name = html.escape(span.name)
        shown = html.escape(span.name if len(span.name) <= 64 else f"…{span.name[-63:]}")
        out.append(f'<text x="{LEFT - 8}" y="{y + 10}" text-anchor="end">{shown}</text>')
        out.append(
            f'<rect x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{ROW - 5}" rx="2" fill="{_COLOURS[span.result]}">'
            f"<title>{name}: {span.end - span.start:.1f} s, {span.result}</title></rect>"
        )
        for mark, at in span.marks:
            cx = LEFT + at * scale
            out.append(
                f'<circle cx="{cx:.1f}" cy="{y + 6}" r="3.5" fill="{_MARKS[mark]}"><title>{mark}</title></circle>'
            )
        out.append(f'<text x="{x + wide + 5:.1f}" y="{y + 10}">{span.end - span.start:.1f}</text>')
    return "".join([*out, "</svg>"])
