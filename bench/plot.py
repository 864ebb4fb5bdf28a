"""Two plots as SVG, written by hand: a few lines, dots and words need no library, and render the same everywhere."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from bench.peers import OURS
from bench.results import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.results import Measured

_Point = tuple[float, float]
_TIMES = "\N{MULTIPLICATION SIGN}"
# Colours of Okabe and Ito, which people tell apart however they see them; each peer has a form of its own as well.
_INK, _FAINT, _GRID, _PAPER = "#222222", "#666666", "#dddddd", "#ffffff"
_COLOURS = ("#0072b2", "#d55e00", "#e69f00", "#cc79a7", "#009e73", "#56b4e9", "#000000")
_FORMS = ("circle", "square", "diamond", "triangle", "cross", "ring", "bar")
_FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"


class Canvas:
    """An SVG under construction; positions are pixels from the upper left corner."""

    def __init__(self, width: int, height: int) -> None:
        self._width = width
        self._height = height
        self._parts = [f"<rect width='{width}' height='{height}' fill='{_PAPER}'/>"]

    def line(self, begin: _Point, end: _Point, colour: str = _GRID, width: float = 1) -> None:
        """Draw a straight line."""
        place = f"x1='{begin[0]:.1f}' y1='{begin[1]:.1f}' x2='{end[0]:.1f}' y2='{end[1]:.1f}'"
        self._parts.append(f"<line {place} stroke='{colour}' stroke-width='{width}'/>")

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        anchor: str = "start",
        size: int = 13,
        colour: str = _INK,
        weight: int = 400,
    ) -> None:
        """Write words; `anchor` says which end of them is at x."""
        style = f"font-size='{size}' text-anchor='{anchor}' fill='{colour}' font-weight='{weight}'"
        self._parts.append(f"<text x='{x:.1f}' y='{y:.1f}' {style}>{escape(words)}</text>")

    def path(self, points: Sequence[tuple[float, float]], colour: str) -> None:
        """Draw a line through points."""
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(f"<polyline points='{joined}' fill='none' stroke='{colour}' stroke-width='2'/>")

    def mark(self, x: float, y: float, peer: int, size: float = 5.5, title: str = "") -> None:
        """Draw the form of a peer; `title` shows where the pointer rests."""
        colour, form = _COLOURS[peer % len(_COLOURS)], _FORMS[peer % len(_FORMS)]
        edge = f"stroke='{_PAPER}' stroke-width='1'"
        if form == "circle":
            shape = f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{size}' fill='{colour}' {edge}>"
        elif form == "ring":
            ring = f"fill='{_PAPER}' stroke='{colour}' stroke-width='2.5'"
            shape = f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{size - 1}' {ring}>"
        else:
            joined = " ".join(f"{x + dx * size:.1f},{y + dy * size:.1f}" for dx, dy in _OUTLINES[form])
            shape = f"<polygon points='{joined}' fill='{colour}' {edge}>"
        name = shape[1 : shape.index(" ")]
        self._parts.append(f"{shape}<title>{escape(title)}</title></{name}>")

    def finish(self, title: str) -> str:
        """Return the document."""
        head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {self._width} {self._height}'"
        size = f"width='{self._width}' height='{self._height}' role='img' {_FONT}"
        return "\n".join([f"{head} {size}>", f"<title>{escape(title)}</title>", *self._parts, "</svg>", ""])


_OUTLINES: dict[str, tuple[tuple[float, float], ...]] = {
    "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    "diamond": ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
    "triangle": ((0, -1.2), (1.15, 0.9), (-1.15, 0.9)),
    "cross": (
        *((-1.1, -0.4), (-0.4, -0.4), (-0.4, -1.1), (0.4, -1.1), (0.4, -0.4), (1.1, -0.4)),
        *((1.1, 0.4), (0.4, 0.4), (0.4, 1.1), (-0.4, 1.1), (-0.4, 0.4), (-1.1, 0.4)),
    ),
    "bar": ((-0.4, -1.2), (0.4, -1.2), (0.4, 1.2), (-0.4, 1.2)),
}


def legend(canvas: Canvas, peers: Mapping[str, str], x: float, y: float) -> None:
    """Name the peers beside their forms, in one row."""
    for index, (peer, words) in enumerate(peers.items()):
        canvas.mark(x, y - 4, index)
        canvas.text(x + 11, y, words, weight=700 if peer == OURS else 400)
        x += 32 + 6.5 * len(words)


def shapes(measured: Sequence[Measured], peers: Mapping[str, str], note: str) -> str:
    """Draw every peer's time on every shape as a multiple of ours: right of the line is slower than ours."""
    row, left, right, top = 36, 236, 96, 104
    width, height = 980, top + row * len(measured) + 66
    canvas = Canvas(width, height)
    ratios = [
        (each, [(peer, ratio) for peer in peers if peer != OURS and (ratio := each.ratio(peer))])
        for each in measured
    ]
    bounds = [value for _, found in ratios for _, r in found for value in (1 / r.high, 1 / r.low)]
    low, high = min([0.5, *bounds]) * 0.94, max([4.0, *bounds]) * 1.06
    x = _logarithmic(low, high, left, width - right)
    canvas.text(20, 30, "Time to bring a kit, as a multiple of kit-initializer's", size=17, weight=700)
    canvas.text(20, 50, note, size=12, colour=_FAINT)
    legend(canvas, peers, 26, 78)
    bottom = top + row * len(measured)
    for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50):
        if low <= tick <= high:
            colour, line = (_INK, 1.5) if tick == 1 else (_GRID, 1)
            canvas.line((x(tick), top - 6), (x(tick), bottom), colour, line)
            canvas.text(x(tick), bottom + 18, f"{tick:g}{_TIMES}", anchor="middle", size=12, colour=_FAINT)
    canvas.text(x(1) - 10, bottom + 40, "← faster than kit-initializer", anchor="end", size=12, colour=_FAINT)
    canvas.text(x(1) + 10, bottom + 40, "slower →", size=12, colour=_FAINT)
    canvas.text(width - right + 14, top - 12, "kit-initializer", size=11, colour=_FAINT)
    for index, (each, found) in enumerate(ratios):
        y = top + row * (index + 0.5)
        canvas.line((left, y), (width - right, y))
        canvas.text(left - 14, y + 4, each.what, anchor="end")
        for peer, ratio in reversed(found):
            number = list(peers).index(peer)
            colour = _COLOURS[number % len(_COLOURS)]
            canvas.line((x(1 / ratio.high), y), (x(1 / ratio.low), y), colour, 2)
            said = f"{peer}: {1 / ratio.median:.2f}{_TIMES}, {each.wall(peer) or 0:.2f} s"
            canvas.mark(x(1 / ratio.median), y, number, title=said)
        canvas.mark(x(1), y, list(peers).index(OURS), title=f"{OURS}: {each.wall(OURS) or 0:.3f} s")
        canvas.text(width - right + 14, y + 4, _duration(each.wall(OURS) or 0.0), size=12)
    return canvas.finish("Time to bring a kit, as a multiple of kit-initializer's")


def growth(curves: Sequence[tuple[str, str, Sequence[Measured]]], peers: Mapping[str, str], note: str) -> str:
    """Draw seconds and memory over each number that grows."""
    panel, gap, left, top, tall = 206, 34, 56, 118, 176
    width, height = left + len(curves) * (panel + gap), top + 2 * (tall + 62)
    canvas = Canvas(width, height)
    canvas.text(20, 30, "How time and memory grow", size=17, weight=700)
    canvas.text(20, 50, note, size=12, colour=_FAINT)
    shown = {peer: words for peer, words in peers.items() if peer in curves[0][2][0].samples}
    legend(canvas, shown, 26, 76)
    walls = [wall for _, _, points in curves for p in points for peer in shown if (wall := p.wall(peer))]
    peaks = [peak for _, _, points in curves for p in points for peer in shown if (peak := p.peak(peer))]
    rows: list[tuple[str, float, float, Callable[[Measured, str], float | None], str]] = [
        ("seconds", min(walls) * 0.8, max(walls) * 1.25, lambda p, peer: p.wall(peer), "s"),
        ("memory, MiB", 0, max([64.0, *[peak / MIB for peak in peaks]]) * 1.1, _peak, "MiB"),
    ]
    for number, (title, low, high, value, unit) in enumerate(rows):
        upper = top + number * (tall + 62)
        y = (_logarithmic if low else _linear)(low, high, upper + tall, upper)
        values = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100) if low else (0, 32, 64, 96, 128)
        ticks = [(y(tick), f"{tick:g}") for tick in values if low <= tick <= high]
        for column, (_, axis, points) in enumerate(curves):
            begin = left + column * (panel + gap)
            named = ticks if not column else [(at, "") for at, _ in ticks]
            _panel(canvas, (begin, upper), (panel, tall), named)
            x = _logarithmic(
                min(p.at for p in points), max(p.at for p in points), begin + 8, begin + panel - 8
            )
            _ticks(canvas, x, [p.at for p in points], upper + tall)
            if number:
                canvas.text(
                    begin + panel / 2, upper + tall + 38, axis, anchor="middle", size=12, colour=_FAINT
                )
            for peer in reversed(shown):
                found = [(p, v) for p in points if (v := value(p, peer)) is not None]
                index = list(shown).index(peer)
                canvas.path([(x(p.at), y(v)) for p, v in found], _COLOURS[index])
                for p, v in found:
                    canvas.mark(x(p.at), y(v), index, 4, f"{peer}, {p.at:,}: {v:.3g} {unit}")
        canvas.text(20, upper - 10, title, size=12, weight=700)
    return canvas.finish("How time and memory grow")


def _peak(point: Measured, peer: str) -> float | None:
    peak = point.peak(peer)
    return None if peak is None else peak / MIB


def _panel(canvas: Canvas, corner: _Point, size: _Point, ticks: Sequence[tuple[float, str]]) -> None:
    """Draw a panel's grid; each tick is where it is, and what is written beside it."""
    (begin, upper), (panel, tall) = corner, size
    for y, words in ticks:
        canvas.line((begin, y), (begin + panel, y))
        canvas.text(begin - 8, y + 4, words, anchor="end", size=11, colour=_FAINT)
    canvas.line((begin, upper + tall), (begin + panel, upper + tall), _FAINT)


def _ticks(canvas: Canvas, x: Callable[[float], float], values: Sequence[int], bottom: float) -> None:
    """Write as many of the values below the axis as have room."""
    last = -math.inf
    for value in values:
        words = f"{value // 1000}k" if value % 1000 == 0 else f"{value:,}"
        if x(value) - last > 6 * len(words) + 8:
            canvas.text(x(value), bottom + 17, words, anchor="middle", size=11, colour=_FAINT)
            last = x(value)


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _logarithmic(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    span = math.log(high / low) or 1.0
    return lambda value: start + (end - start) * math.log(value / low) / span


def _linear(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (end - start) * (value - low) / (high - low)
