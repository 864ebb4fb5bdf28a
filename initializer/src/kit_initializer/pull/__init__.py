"""One run: pairs of reference and destination, an engine, a deadline. The only room that knows the others."""

from kit_initializer.pull.arrival import Pair
from kit_initializer.pull.run import run

__all__ = ["Pair", "run"]
