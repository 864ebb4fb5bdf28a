"""The word that was meant, for errors about one that is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, words: Iterable[str], *, likeness: float = 0.6) -> str:
    """Return the one of the words that is most like `word`, "" where none is; a `likeness` of 1 is equal."""
    from difflib import get_close_matches  # noqa: PLC0415 - 2 ms, for an error

    return next(iter(get_close_matches(word, list(words), 1, likeness)), "")
