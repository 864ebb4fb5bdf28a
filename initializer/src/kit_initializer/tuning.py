"""How many connections, how much memory, how long to watch: the numbers by which a pull is fast.

Each was measured; docs/performance.md ("Why these numbers") says how, and what other values cost.
"""

from __future__ import annotations

from typing import Final

MIB: Final = 1024 * 1024

# Segments: what a connection hands to its reader at a time.
SEGMENT_BYTES: Final = MIB
# How many segments a connection of several claims at once.
RUN: Final = 3
# What all windows of a run hold in memory together.
WINDOWS_BYTES: Final = 24 * MIB
# What one connection alone is allowed to be ahead of its reader.
STREAM_BYTES: Final = 8 * MIB

# Layers: how many are under way at first.
FIRST_LAYERS: Final = 2
# How many places one download is unpacked to side by side, each by a thread.
SIDE_BY_SIDE: Final = 16
# How often it is looked whether the network or the processor is what everything waits for, in seconds.
TICK_S: Final = 0.02
# The share of a tick for which all readers have to wait for bytes before more connections are tried.
STARVED: Final = 0.65
# How long layers may take to end when the run is called off, in seconds: one may be within a decompressor.
END_S: Final = 5.0

# Connections: after how many seconds a rate is known, and a try that has not brought enough has failed.
RATE_S: Final = 0.06
TRY_S: Final = 0.25
# Where new connections are slow to bring anything, a try may last so many times as long as that took.
TRY_LATENCIES: Final = 4
# The longest wait, in seconds, until all connections of a try bring something.
SETTLE_S: Final = 10.0
# How many times as many connections are tried.
STEP: Final = 4
# How many times as much twice as many connections have to bring.
WORTH: Final = 1.5
# For how many seconds nothing is tried after a failure, the first time; twice as long each time after.
PAUSE_S: Final = 2.0
