"""What a run came to, with assertions that explain themselves."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from kit_conformance import tree as trees
from kit_conformance.testbed.kits import ModelKit

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from kit_conformance.subject import Outcome
    from kit_conformance.testbed.kits import FileFact
    from kit_conformance.tree import Tree

KITFILE: Final = "Kitfile"
_SHOWN: Final = 12  # lines of differences in a message; the report has all


class Finding(AssertionError):  # noqa: N818  (it is what the case has found out about the subject)
    """The subject is not as it must be. `differences` are lines, expected against found."""

    def __init__(self, what: str, differences: Collection[str] = ()) -> None:
        what, differences = printable(what), tuple(map(printable, differences))
        shown = [*differences[:_SHOWN]]
        if len(differences) > _SHOWN:
            shown.append(f"… and {len(differences) - _SHOWN} more")
        super().__init__("\n  ".join([what, *shown]))
        self.what = what
        self.differences = differences


@dataclass(frozen=True)
class Result:
    """One run that has ended: its outcome, and what then lay in each destination.

    `trees` has one tree a destination, in the order of the pairs. `own` are files that the subject keeps for
    itself (its record) and that are no part of a kit.
    """

    outcome: Outcome
    trees: tuple[Tree, ...]
    own: frozenset[str] = frozenset()
    leaks: tuple[str, ...] = field(default=())

    @property
    def tree(self) -> Tree:
        """Return the tree of the first destination."""
        return self.trees[0]

    @property
    def said(self) -> str:
        """Return what KServe shows of a failure: the termination message, else the end of the log."""
        return self.outcome.message.strip() or self.outcome.log.strip()

    def succeeded(self, why: str = "") -> Self:
        """Assert exit code 0."""
        if self.outcome.code != 0:
            raise Finding(f"{self._how()}, where it should have succeeded{_because(why)}", self._end())
        return self

    def failed(self, why: str = "") -> Self:
        """Assert an exit code other than 0, in time."""
        if self.outcome.code is None:
            raise Finding(f"{self._how()}, where it should have failed{_because(why)}", self._end())
        if self.outcome.code == 0:
            raise Finding(f"it claims success (exit code 0), where it should have failed{_because(why)}")
        return self

    def ended(self, why: str = "") -> Self:
        """Assert that it came to an end by itself, whatever the exit code."""
        if self.outcome.code is None:
            raise Finding(f"{self._how()}{_because(why)}", self._end())
        return self

    def failed_with(self, code: int, why: str = "") -> Self:
        """Assert one exit code."""
        self.failed(why)
        if self.outcome.code != code:
            raise Finding(f"{self._how()}, where {code} is promised{_because(why)}", self._end())
        return self

    def brought(
        self,
        *kits: ModelKit | Mapping[str, FileFact],
        number: int = 0,
        also: Mapping[str, FileFact] | None = None,
        kitfile: bool = True,
    ) -> Self:
        """Assert success, and exactly the kits' files in a destination (and `also` what was there before).

        A Kitfile may be there too, in whatever words, where `kitfile` says so.
        """
        self.succeeded()
        files: dict[str, FileFact] = dict(also or {})
        for kit in kits:
            files |= _files(kit)
        self._same(files, number, kitfile=kitfile)
        return self

    def holds(
        self, files: ModelKit | Mapping[str, FileFact], *, number: int = 0, why: str = "", modes: bool = True
    ) -> Self:
        """Assert exactly these files in a destination, whatever the exit code."""
        self._same(_files(files), number, kitfile=True, why=why, modes=modes)
        return self

    def brought_nothing(self, *, number: int = 0, also: Mapping[str, FileFact] | None = None) -> Self:
        """Assert that nothing a server would load has come to be in a destination."""
        tree = {path: node for path, node in self.trees[number].items() if node.kind != "folder"}
        lines = trees.differences(tree, also or {}, allowed=self._allowed())
        if lines:
            raise Finding("the run failed and left files where a server would load them", lines)
        return self

    def says(self, *words: str) -> Self:
        """Assert that what KServe would show of it contains one of these words."""
        if not any(word.lower() in self.said.lower() for word in words):
            wanted = " or ".join(repr(word) for word in words)
            raise Finding(f"the message says nothing of {wanted}", [self.said[-600:] or "(there is none)"])
        return self

    def _allowed(self) -> set[str]:
        return {KITFILE, *self.own}

    def _same(
        self, files: Mapping[str, FileFact], number: int, *, kitfile: bool, why: str = "", modes: bool = True
    ) -> None:
        allowed = self._allowed() if kitfile else set(self.own)
        lines = trees.differences(self.trees[number], files, allowed=allowed, modes=modes)
        if lines:
            raise Finding(f"the destination is not what was packed{_because(why)}", lines)

    def _how(self) -> str:
        code = self.outcome.code
        if code is None:
            return f"it had not ended after {self.outcome.seconds:.0f} s"
        if code < 0:
            return f"it was ended by {signal.Signals(-code).name}"
        return f"it ended with exit code {code}"

    def _end(self) -> list[str]:
        lines = self.outcome.log.strip().splitlines()[-4:]
        return [f"it said: {line.strip()[:300]}" for line in lines]


def _files(kit: ModelKit | Mapping[str, FileFact]) -> Mapping[str, FileFact]:
    return kit.files if isinstance(kit, ModelKit) else kit


def printable(text: str) -> str:
    """Return text that any file and any log can hold: names of files are not always text."""
    return text.encode("utf-8", "backslashreplace").decode()


def _because(why: str) -> str:
    return f": {why}" if why else ""
