"""What was measured, and what it comes to: medians, ratios with their spread, and the budget."""

from __future__ import annotations

import tomllib
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.machine import HASH
from bench.peers import KIT, OURS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.machine import Limit
    from bench.measure import Sample

MIB = 1024 * 1024
BUDGET = Path(__file__).with_name("budget.toml")


class Ratio(NamedTuple):
    """Ours divided by a peer's, round by round: the median, the lowest and the highest."""

    median: float
    low: float
    high: float
    rounds: int


class Measured(NamedTuple):
    """One shape, or one point of a growth curve: the samples of each peer, one a round (None: it sat out)."""

    name: str
    what: str
    samples: Mapping[str, Sequence[Sample | None]]
    cannot: Mapping[str, str]
    load: tuple[float, float]
    at: int = 0

    def of(self, peer: str) -> list[Sample]:
        """Return what a peer's rounds took."""
        return [sample for sample in self.samples.get(peer, ()) if sample is not None]

    def wall(self, peer: str) -> float | None:
        """Return the median of a peer's seconds."""
        return median(sample.wall for sample in self.of(peer)) if self.of(peer) else None

    def cpu(self, peer: str) -> float | None:
        """Return the median of a peer's seconds of processor time."""
        return median(sample.cpu for sample in self.of(peer)) if self.of(peer) else None

    def peak(self, peer: str) -> int | None:
        """Return the highest memory of a peer's rounds, in bytes."""
        return max((sample.peak for sample in self.of(peer)), default=None)

    def ratio(self, peer: str) -> Ratio | None:
        """Return how our seconds relate to a peer's in the same round; runs of a round are neighbours in time."""
        pairs = zip(self.samples[OURS], self.samples.get(peer, ()), strict=False)
        ratios = [mine.wall / theirs.wall for mine, theirs in pairs if mine and theirs]
        return Ratio(median(ratios), min(ratios), max(ratios), len(ratios)) if ratios else None

    def added(self, peer: str) -> float | None:
        """Return the median of the seconds that ours takes beyond a peer in the same round."""
        pairs = zip(self.samples[OURS], self.samples.get(peer, ()), strict=False)
        seconds = [mine.wall - theirs.wall for mine, theirs in pairs if mine and theirs]
        return median(seconds) if seconds else None

    def as_json(self) -> dict[str, Any]:
        """Return everything as it goes into the JSON file: samples are [seconds, processor seconds, bytes]."""
        peers = {}
        for peer, samples in self.samples.items():
            ratio = self.ratio(peer)
            peers[peer] = {
                "rounds": [
                    sample and [round(sample.wall, 4), round(sample.cpu, 4), sample.peak]
                    for sample in samples
                ],
                "seconds": self.wall(peer),
                "cpu_seconds": self.cpu(peer),
                "peak_bytes": self.peak(peer),
                "ours_to_it": ratio._asdict() if ratio and peer != OURS else None,
            }
        facts = {"name": self.name, "what": self.what, "at": self.at, "load": list(self.load)}
        return {**facts, "peers": peers, "cannot": dict(self.cannot)}


class Verdict(NamedTuple):
    """One line of the budget: what was measured, the goal and the limit, and why one is behind where that is known."""

    what: str
    value: str
    goal: str
    limit: str
    within: bool
    at_goal: bool
    reason: str = ""

    @property
    def word(self) -> str:
        """Return the verdict in a word."""
        return "goal met" if self.at_goal else "within" if self.within else "over"


def _budget() -> dict[str, Any]:
    return tomllib.loads(BUDGET.read_text(encoding="utf-8"))


def judge(measured: Sequence[Measured], points: Sequence[Measured] = ()) -> list[Verdict]:
    """Hold shapes to the budget, and the memory of growth's points; what was left out is not judged."""
    budget = _budget()
    by_name = {each.name: each for each in measured}
    verdicts = []
    judged = set()
    for line in budget["ratio"]:
        shape, peer = by_name.get(line["shape"]), line["against"]
        ratio = shape.ratio(peer) if shape else None
        if shape is None or ratio is None:
            continue
        judged.add((shape.name, peer))
        spread = f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
        verdicts.append(_verdict(f"{shape.what}: ours / {peer}", ratio.median, spread, line, "{:.2f}"))
    for line in budget["added"]:
        shape, peer = by_name.get(line["shape"]), line["against"]
        seconds = shape.added(peer) if shape else None
        if shape is None or seconds is None:
            continue
        judged.add((shape.name, peer))
        milliseconds = seconds * 1000
        text = f"{milliseconds:+.0f} ms"
        verdicts.append(_verdict(f"{shape.what}: ours - {peer}", milliseconds, text, line, "{:+.0f} ms"))
    peaks = [(peak, each.what) for each in (*measured, *points) if (peak := each.peak(OURS)) is not None]
    if peaks:
        peak, shape_name = max(peaks)
        text = f"{peak / MIB:.0f} MiB ({shape_name})"
        verdicts.append(_verdict("memory, any shape", peak / MIB, text, budget["peak"], "{:.0f} MiB"))
    return verdicts + _others(measured, budget, judged)


def caution(limits: Sequence[Limit]) -> str:
    """Say where this machine hashes slower than those on which the goals were set; "" where it does not."""
    supposed = float(_budget()["machine"]["hash"])
    rate = next((limit.rate for limit in limits if limit.name == HASH), supposed)
    if rate >= supposed:
        return ""
    longer = 400 / rate - 400 / supposed
    return (
        f"SHA-256 does {rate:,.0f} MB/s here, and did {supposed:,.0f} where the goals were set: 400 MB take"
        f" {longer:.2f} s longer for those that check them, so that ratios to peers that check nothing are higher."
    )


def _verdict(what: str, value: float, text: str, line: Mapping[str, Any], form: str) -> Verdict:
    goal, limit = float(line["goal"]), float(line["limit"])
    return Verdict(what, text, form.format(goal), form.format(limit), value <= limit, value <= goal)


def _others(
    measured: Sequence[Measured], budget: Mapping[str, Any], judged: set[tuple[str, str]]
) -> list[Verdict]:
    """Judge every other pair of shape and peer by one rule: ahead, or a reason that is written down."""
    reasons = {(line["shape"], line["against"]): line["reason"] for line in budget.get("behind", ())}
    limit = float(budget["others"]["limit"])
    verdicts = []
    ahead = 0
    for each in measured:
        for peer in each.samples:
            ratio = each.ratio(peer)
            if peer == OURS or (each.name, peer) in judged or ratio is None:
                continue
            if ratio.median <= limit:
                ahead += 1
                continue
            reason = reasons.get((each.name, peer), "")
            value = f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
            what = f"{each.what}: ours / {peer}"
            verdicts.append(
                Verdict(
                    what,
                    value,
                    f"{limit:.2f}",
                    f"{limit:.2f}",
                    within=bool(reason),
                    at_goal=False,
                    reason=reason,
                )
            )
    if ahead:
        verdicts.insert(
            0,
            Verdict(
                "every other pair of shape and peer", f"{ahead} ahead", "", "", within=True, at_goal=True
            ),
        )
    return verdicts


def reference(measured: Measured) -> str:
    """Return the peer that others are compared with: Kit where it has a part, else ours."""
    return KIT if measured.of(KIT) else OURS
