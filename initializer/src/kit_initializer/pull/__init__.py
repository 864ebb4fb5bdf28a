"""One run: pairs of reference and destination, an engine, a deadline. The only room that knows the others."""

from kit_initializer.pull.pull import Pair
from kit_initializer.pull.run import pull_all

__all__ = ["Pair", "pull_all"]
