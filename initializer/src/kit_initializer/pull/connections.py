"""How many connections are worth having: four times as many are tried, and kept if they bring more.

To one pull, a registry that is busy with others looks like a network that limits each connection: its readers wait in
both cases. More connections help in the second only; in the first they cost the registry a request for each range,
which makes everybody slower (docs/performance.md, "Why these numbers").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kit_initializer.tuning import PAUSE_S, RATE_S, SETTLE_S, STEP, TRY_LATENCIES, TRY_S, WORTH

if TYPE_CHECKING:
    from collections.abc import Callable


class Traffic(NamedTuple):
    """What is seen of a run at a moment.

    `arrived`: bytes so far; `delivered`: how many connections have brought some, those included that have ended;
    `connections`: how many are at work; `starved`: whether readers have mostly waited since the moment before.
    """

    arrived: int
    delivered: int
    connections: int
    starved: bool


class Connections:
    """A number of connections that follows the rate at which bytes arrive.

    `allowed` layers may be under way at once; one layer is given more than one connection only up to `wanted`.
    """

    def __init__(self, first: int, limit: int) -> None:
        self.allowed = first
        self._limit = limit
        self._proven = 1
        self._before = 0  # how many there were before the present try; 0 when there is none
        self._most = 0  # how many there have been in it: between two layers there are fewer for a moment
        self._delivered = 0
        self._rate_before = 0.0
        self._try_s = TRY_S
        self._not_before = 0.0
        self._pause_s = PAUSE_S
        self._step: Callable[[float, float, Traffic], None] = self._watch
        self._since: float | None = None
        self._from = 0
        self._moments = 0
        self._starved = 0

    @property
    def wanted(self) -> int:
        """How many have proved to be worth it, or are being tried."""
        return self.allowed if self._before else self._proven

    def update(self, now: float, traffic: Traffic) -> None:
        """Take note of a moment, in seconds. Nothing is judged before the first byte has come."""
        if not traffic.arrived:
            return
        if self._since is None:
            self._measure(now, traffic)
            return
        self._moments += 1
        self._starved += traffic.starved
        elapsed = now - self._since
        if elapsed >= RATE_S:
            self._step(now, elapsed, traffic)

    def _measure(self, now: float, traffic: Traffic) -> None:
        self._since, self._from = now, traffic.arrived
        self._moments = self._starved = 0

    def _rate(self, elapsed: float, traffic: Traffic) -> float:
        return (traffic.arrived - self._from) / elapsed

    def _watch(self, now: float, elapsed: float, traffic: Traffic) -> None:
        """Begin a try where the network is what everything waits for."""
        room = 0 < traffic.connections < self._limit
        if room and 2 * self._starved > self._moments and now >= self._not_before:
            self._before, self._rate_before = traffic.connections, self._rate(elapsed, traffic)
            self._most, self._delivered = traffic.connections, traffic.delivered
            self.allowed = min(STEP * traffic.connections, self._limit)
            self._step = self._settle
        self._measure(now, traffic)

    def _settle(self, now: float, elapsed: float, traffic: Traffic) -> None:
        """Wait until the new connections have come into their own."""
        self._most = max(self._most, traffic.connections)
        if traffic.delivered - self._delivered >= self._most - self._before or elapsed >= SETTLE_S:
            self._try_s = max(TRY_S, TRY_LATENCIES * elapsed)
            self._step = self._judge
            self._measure(now, traffic)

    def _judge(self, now: float, elapsed: float, traffic: Traffic) -> None:
        """Keep the new connections as soon as they bring enough, or end them."""
        self._most = max(self._most, traffic.connections)
        more = min(self._most / self._before - 1, 1.0)
        if more and self._rate(elapsed, traffic) >= self._rate_before * (1 + (WORTH - 1) * more):
            self._proven = self.allowed
            self._pause_s = PAUSE_S
        elif more and elapsed < self._try_s:
            return
        else:
            self.allowed = self._before
            self._not_before = now + self._pause_s
            self._pause_s *= 2
        self._before = 0
        self._step = self._watch
        self._watch(now, elapsed, traffic)
