"""The results as Markdown tables and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from bench.peers import OURS
from bench.results import MIB, caution

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.machine import Limit
    from bench.results import Measured, Verdict

SCHEMA = 1
STAR = "*"  # checks no layer against its digest


class Report(NamedTuple):
    """A whole run: a growth curve is its name, its axis and its points."""

    machine: Mapping[str, object]
    versions: Mapping[str, str]
    verifying: Sequence[str]
    shapes: Sequence[Measured]
    growth: Sequence[tuple[str, str, Sequence[Measured]]]
    limits: Sequence[Limit]
    verdicts: Sequence[Verdict]

    def as_json(self) -> dict[str, Any]:
        """Return everything that was measured."""
        return {
            "schema_version": SCHEMA,
            "machine": dict(self.machine),
            "versions": dict(self.versions),
            "verifying": list(self.verifying),
            "shapes": [each.as_json() for each in self.shapes],
            "growth": [
                {"name": name, "axis": axis, "points": [each.as_json() for each in points]}
                for name, axis, points in self.growth
            ],
            "limits": [limit._asdict() for limit in self.limits],
            "budget": [{**verdict._asdict(), "verdict": verdict.word} for verdict in self.verdicts],
        }

    def sections(self) -> dict[str, str]:
        """Return the tables by name, as they go into a page."""
        names = self.names()
        return {
            "machine": self._machine(),
            "shapes": times(self.shapes, names),
            "ratios": ratios(self.shapes, names),
            "means": means(self.shapes, names),
            "budget": self.budget(),
            "limits": limits(self.limits),
            "growth": "\n\n".join(curve(axis, points, names) for _, axis, points in self.growth),
        }

    def budget(self) -> str:
        """Return the verdicts, and what about this machine explains them."""
        return "\n\n".join(filter(None, [budget(self.verdicts), caution(self.limits)]))

    def names(self) -> dict[str, str]:
        """Return how each peer is shown: with a star where it takes a layer for what it claims to be."""
        return {peer: peer if peer in self.verifying else f"{peer} {STAR}" for peer in self.versions}

    def as_markdown(self) -> str:
        """Return one page with every table that has rows."""
        titles = {
            "machine": "The machine",
            "shapes": "Seconds",
            "ratios": "Ratio, ours / theirs",
            "means": "Processor time and memory",
            "budget": "Budget",
            "limits": "What one thread of this machine does",
            "growth": "Growth",
        }
        sections = self.sections()
        parts = [f"## {titles[name]}\n\n{text}" for name, text in sections.items() if text]
        return "# Benchmark\n\n" + "\n\n".join(parts) + "\n"

    def _machine(self) -> str:
        facts = self.machine
        loads = [value for each in self.shapes for value in each.load]
        load = f", load average {min(loads):.1f} to {max(loads):.1f}" if loads else ""
        peers = "; ".join(f"{name} {version}" for name, version in self.versions.items())
        star = (
            f" {STAR} checks no layer against its digest." if len(self.verifying) < len(self.versions) else ""
        )
        return (
            f"{facts['date']}: {facts['cores']} cores of {facts['processor']}, {facts['memory_gib']} GiB,"
            f" Linux {facts['kernel']}, trees on {facts['file_system']}, those on a disk"
            f" on {facts['disk']}{load}. {peers}.{star}"
        )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose columns but the first are numbers; "" without rows."""
    if not rows:
        return ""
    lines = [list(head), ["---", *["--:"] * (len(head) - 1)], *map(list, rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def seconds(value: float | None) -> str:
    """Return seconds with three digits that mean something."""
    return "" if value is None else f"{value:.3f}" if value < 1 else f"{value:.2f}"


def times(shapes: Sequence[Measured], peers: Mapping[str, str]) -> str:
    """Return the median seconds of every peer on every shape."""
    rows = [[each.what, *[seconds(each.wall(peer)) or _why(each, peer) for peer in peers]] for each in shapes]
    return table(["median seconds", *peers.values()], rows)


def ratios(shapes: Sequence[Measured], peers: Mapping[str, str]) -> str:
    """Return ours divided by every other peer: the median with the lowest and the highest of the rounds."""
    others = [peer for peer in peers if peer != OURS]
    rows = []
    for each in shapes:
        cells = []
        for peer in others:
            ratio = each.ratio(peer)
            cells.append(f"**{ratio.median:.2f}** ({ratio.low:.2f} to {ratio.high:.2f})" if ratio else "")
        rows.append([each.what, str(len(each.of(OURS))), *cells])
    return table(["ours / theirs", "rounds", *[peers[peer] for peer in others]], rows) if others else ""


def means(shapes: Sequence[Measured], peers: Mapping[str, str]) -> str:
    """Return what it takes: processor seconds, and MiB of the largest process."""
    rows = []
    for each in shapes:
        cells = []
        for peer in peers:
            cpu, peak = each.cpu(peer), each.peak(peer)
            cells.append("" if cpu is None or peak is None else f"{seconds(cpu)} s, {peak / MIB:.0f} MiB")
        rows.append([each.what, *cells])
    return table(["processor, memory", *peers.values()], rows)


def _why(each: Measured, peer: str) -> str:
    return "-" if peer in each.cannot else ""


def budget(verdicts: Sequence[Verdict]) -> str:
    """Return the budget's lines with what was measured."""
    rows = [
        [
            each.what,
            each.value,
            each.goal,
            each.limit,
            each.word + (f": {each.reason}" if each.reason else ""),
        ]
        for each in verdicts
    ]
    return table(["", "measured", "goal", "at most", "verdict"], rows)


def limits(found: Sequence[Limit]) -> str:
    """Return what one thread does of each kind of work."""
    rows = []
    for each in found:
        cost = f"{400 / each.rate:.3f} s" if each.unit == "MB/s" else f"{3000 / each.rate:.3f} s for 3,000"
        rows.append([f"{each.name} ({each.what})", f"{each.rate:,.0f} {each.unit}", cost])
    return table(["one thread", "rate", "400 MB take"], rows)


def curve(axis: str, points: Sequence[Measured], names: Mapping[str, str]) -> str:
    """Return one growth curve as a table."""
    peers = [peer for peer in points[0].samples if any(point.of(peer) for point in points)] if points else []
    rows = []
    for point in points:
        cells = []
        for peer in peers:
            peak = point.peak(peer)
            cells += [seconds(point.wall(peer)), "" if peak is None else f"{peak / MIB:.0f} MiB"]
        rows.append([f"{point.at:,}", *cells])
    return table([axis, *[cell for peer in peers for cell in (names[peer], "memory")]], rows)
