"""How many connections a run opens, over networks that are simulated tick by tick."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from kit_initializer.pull.connections import Connections, Traffic

TICK_S = 0.02
MB = 1_000_000


class Network:
    """Connections to a registry: each brings `each` bytes/s, all of them at most `total`, after `latency` seconds."""

    def __init__(self, *, each: float, total: float = 1e12, latency: float = 0.0, noise: float = 0.0) -> None:
        self.each, self.total, self.latency = each, total, latency
        self.now = 0.0
        self.noise = noise
        self._random = random.Random(1)
        self._arrived = 0.0
        self._opened: list[float] = []
        self._gone = 0

    def set(self, count: int) -> None:
        """Open or end connections, the newest first."""
        while len(self._opened) > max(count, 1):
            self._gone += self._opened.pop() + self.latency < self.now
        while len(self._opened) < count:
            self._opened.append(self.now)

    def tick(self, *, starved: bool = True) -> Traffic:
        """Let a moment pass."""
        self.now += TICK_S
        delivering = sum(opened + self.latency < self.now for opened in self._opened)
        rate = min(delivering * self.each, self.total) * self._random.uniform(1 - self.noise, 1 + self.noise)
        self._arrived += rate * TICK_S
        return Traffic(int(self._arrived), self._gone + delivering, len(self._opened), starved)


def run(network: Network, seconds: float, *, limit: int = 8, starved: bool = True) -> list[int]:
    """Return how many connections there were at each moment."""
    connections = Connections(min(2, limit), limit)
    network.set(1)
    counts = []
    while network.now < seconds:
        connections.update(network.now, network.tick(starved=starved))
        network.set(connections.wanted)
        counts.append(connections.wanted)
    return counts


@pytest.mark.parametrize("latency", [0.0, 0.02, 0.2, 1.0])
@pytest.mark.parametrize("each", [0.1 * MB, 40 * MB, 400 * MB])
def test_where_each_connection_is_limited_all_are_opened_and_kept(each: float, latency: float) -> None:
    counts = run(Network(each=each, latency=latency, noise=0.1), 10 + 10 * latency)
    full = counts.index(8)
    assert full * TICK_S < 0.6 + 12 * latency
    assert set(counts[full:]) == {8}
    assert run(Network(each=each, latency=latency), 20, limit=6)[-1] == 6


@pytest.mark.parametrize("latency", [0.0, 0.02, 0.2])
def test_where_a_registry_is_busy_one_does_and_tries_become_rare(latency: float) -> None:
    counts = run(Network(each=100 * MB, total=100 * MB, latency=latency, noise=0.1), 60)
    assert set(counts) == {1, 4}
    assert sum(count > 1 for count in counts) < 0.15 * len(counts)
    tries = [at * TICK_S for at in range(1, len(counts)) if counts[at] > counts[at - 1]]
    assert 3 <= len(tries) <= 6
    assert all(later - earlier > 2 for earlier, later in pairwise(tries))


def test_no_more_than_bring_something_are_kept() -> None:
    counts = run(Network(each=40 * MB, total=200 * MB, noise=0.05), 10, limit=64)
    assert counts[-1] == 4
    assert max(counts) == 16


def test_a_try_is_given_up_when_the_connections_come_to_nothing() -> None:
    """A registry that serves no ranges lets no second connection of a layer begin."""
    network, connections = Network(each=40 * MB), Connections(2, 8)
    network.set(1)  # and never more, whatever is wanted
    tries = 0
    while network.now < 20:
        before = connections.wanted
        connections.update(network.now, network.tick())
        tries += connections.wanted > before
    assert 2 <= tries <= 4


def test_where_readers_do_not_wait_nothing_is_tried() -> None:
    assert set(run(Network(each=40 * MB), 5, starved=False)) == {1}


def test_before_the_first_byte_nothing_is_tried() -> None:
    assert set(run(Network(each=40 * MB, latency=5), 5)) == {1}


def test_one_is_all_where_only_one_is_allowed() -> None:
    assert set(run(Network(each=40 * MB), 5, limit=1)) == {1}
