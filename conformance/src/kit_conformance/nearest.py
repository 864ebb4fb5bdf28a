"""What somebody may have meant by a word that nobody knows."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_LIKENESS: Final = 0.6


def meant(word: str, known: Iterable[str], likeness: float = _LIKENESS) -> str:
    """Return "; did you mean X?", or nothing where no known word is like it."""
    found = difflib.get_close_matches(word, list(known), 1, likeness)
    return f"; did you mean {found[0]}?" if found else ""
