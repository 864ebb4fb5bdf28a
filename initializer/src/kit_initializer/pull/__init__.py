"""One run: pairs of reference and destination, an engine, a deadline. The only room that knows the others."""

from kit_initializer.pull.run import Pair, run

__all__ = ["Pair", "run"]
