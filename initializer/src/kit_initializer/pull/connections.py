"""How many connections are worth having: four times as many are tried, and kept if they bring more.

To one pull, a registry that is busy with others looks like a network that limits each connection: its readers wait in
both cases. More connections help in the second only. In the first they cost the registry a request for each range,
which makes everybody slower: eight pulls of 400 MB at once, with the registry on the same two cores, took 1.3 times as
long when each opened all the connections that it might.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

# A rate is known after so long, and a try that has not brought enough after so long has failed; where it takes long
# until new connections bring anything, it may take so many times as long.
_RATE_S = 0.06
_TRY_S = 0.25
_TRY_LATENCIES = 4
# The longest that is waited until all connections of a try bring something.
_SETTLE_S = 10.0
# How many times as many are tried. Twice as many would not do: ranges are asked for one by one, so that two connections
# bring less than one that streams where an answer takes long (at 40 MB/s each and 0.1 s, tries with two failed).
_STEP = 4
# What twice as many, or more, must bring at least. Where the rate of each is limited they bring nearly as many times as
# much; where the registry or this machine is busy, nothing, or what other pulls lose.
_WORTH = 1.5
# For how long nothing is tried after a failure, the first time; twice as long each time after.
_PAUSE_S = 2.0


class Traffic(NamedTuple):
    """What is seen of a run at a moment.

    `arrived`: bytes so far; `delivered`: how many connections have brought some, those included that have ended;
    `connections`: how many are at work; `hungry`: whether readers have mostly waited for bytes since the moment before.
    """

    arrived: int
    delivered: int
    connections: int
    hungry: bool


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
        self._try_s = _TRY_S
        self._not_before = 0.0
        self._pause_s = _PAUSE_S
        self._step: Callable[[float, float, Traffic], None] = self._watch
        self._since: float | None = None
        self._from = 0
        self._moments = 0
        self._hungry = 0

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
        self._hungry += traffic.hungry
        elapsed = now - self._since
        if elapsed >= _RATE_S:
            self._step(now, elapsed, traffic)

    def _measure(self, now: float, traffic: Traffic) -> None:
        self._since, self._from = now, traffic.arrived
        self._moments = self._hungry = 0

    def _rate(self, elapsed: float, traffic: Traffic) -> float:
        return (traffic.arrived - self._from) / elapsed

    def _watch(self, now: float, elapsed: float, traffic: Traffic) -> None:
        """Begin a try where the network is what everything waits for."""
        room = 0 < traffic.connections < self._limit
        if room and 2 * self._hungry > self._moments and now >= self._not_before:
            self._before, self._rate_before = traffic.connections, self._rate(elapsed, traffic)
            self._most, self._delivered = traffic.connections, traffic.delivered
            self.allowed = min(_STEP * traffic.connections, self._limit)
            self._step = self._settle
        self._measure(now, traffic)

    def _settle(self, now: float, elapsed: float, traffic: Traffic) -> None:
        """Wait until the new connections have come into their own."""
        self._most = max(self._most, traffic.connections)
        if traffic.delivered - self._delivered >= self._most - self._before or elapsed >= _SETTLE_S:
            self._try_s = max(_TRY_S, _TRY_LATENCIES * elapsed)
            self._step = self._judge
            self._measure(now, traffic)

    def _judge(self, now: float, elapsed: float, traffic: Traffic) -> None:
        """Keep the new connections as soon as they bring enough, or end them."""
        self._most = max(self._most, traffic.connections)
        more = min(self._most / self._before - 1, 1.0)
        if more and self._rate(elapsed, traffic) >= self._rate_before * (1 + (_WORTH - 1) * more):
            self._proven = self.allowed
            self._pause_s = _PAUSE_S
        elif more and elapsed < self._try_s:
            return
        else:
            self.allowed = self._before
            self._not_before = now + self._pause_s
            self._pause_s *= 2
        self._before = 0
        self._step = self._watch
        self._watch(now, elapsed, traffic)
