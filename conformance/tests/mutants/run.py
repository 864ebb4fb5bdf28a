"""Runs mutants against the cases of their profile, and says whether each is found by whom it should be.

    python -m conformance.tests.mutants.run [CASE …] [--all] [--jobs N] [--results DIR]

Exit codes: 0 every mutant is found by its case and its kin and nobody else · 1 not so · 2 the time is up.
With --all every mutant meets every case: the whole matrix, for a release.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Final

from conformance.tests.mutants.every import MUTANTS
from kit_conformance import lab
from kit_conformance.catalog import PROFILES, Case, catalog

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from concurrent.futures import Future

LIMIT: Final = 15 * 60.0  # seconds for a run of the profiles
_FACTOR: Final = 0.5  # of the time that runs are given: what is broken is waited for often
_PROFILES: Final = tuple(name for name, profile in PROFILES.items() if not profile.needs)

_zygotes: list[object] = []


def _begin() -> None:
    """Make this worker's zygote, before it has any thread."""
    from conformance.tests.mutants.zygote import Zygote  # noqa: PLC0415

    _zygotes.append(Zygote())


def meet(name: str, identifier: str) -> str:
    """Let a mutant meet a case; return "" when it passes, else what was found."""
    from conformance.tests.mutants.zygote import Forked, Zygote  # noqa: PLC0415

    zygote = _zygotes[0]
    assert isinstance(zygote, Zygote)
    case = catalog()[identifier]
    function = getattr(importlib.import_module(case.module), case.function)
    with lab.new(Forked(name, zygote), lab.Settings(factor=_FACTOR)) as made:
        try:
            function(made)
        except AssertionError as found:
            return str(found) or "an assertion"
        except lab.NotSupportedError:
            return ""
    return ""


def cases_for(name: str, *, every: bool) -> list[Case]:
    """Return the cases that a mutant meets: those of its profile, or all."""
    profile = name.partition(".")[0]
    return [
        case
        for case in catalog().values()
        if (every and case.profile in _PROFILES) or case.profile == profile
    ]


def judge(name: str, found: Iterable[str]) -> str:
    """Return what is wrong with a mutant's result, "" for nothing."""
    mutant, caught = MUTANTS[name], set(found)
    wanted = {mutant.case, *mutant.kin}
    complaints = []
    if len(mutant.kin) > 3:
        complaints.append(f"declares {len(mutant.kin)} kin")
    if missed := sorted(wanted - caught):
        complaints.append(f"not found by {', '.join(missed)}")
    if others := sorted(caught - wanted):
        complaints.append(f"also found by {', '.join(others)}")
    return "; ".join(complaints)


class Matrix:
    """What each mutant met, and what came of it."""

    def __init__(self, jobs: int, deadline: float) -> None:
        context = multiprocessing.get_context("fork")
        self.pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin)
        self.found: dict[tuple[str, str], str] = {}
        self._deadline = deadline

    def meet(self, pairs: Sequence[tuple[str, str]]) -> bool:
        """Let these meet; return whether that was done in time."""
        futures: dict[Future[str], tuple[str, str]] = {self.pool.submit(meet, *pair): pair for pair in pairs}
        try:
            for future in as_completed(futures, timeout=max(1.0, self._deadline - time.monotonic())):
                self.found[futures[future]] = future.result()
        except TimeoutError:
            for future in futures:
                future.cancel()
            return False
        return True

    def caught_by(self, name: str) -> list[str]:
        """Return the cases that have found a mutant."""
        return sorted(case for (mutant, case), found in self.found.items() if mutant == name and found)


def main(arguments: Sequence[str]) -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(
        prog="mutants", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("case", nargs="*", help="mutants by the case that must find them; all without")
    parser.add_argument("--all", action="store_true", help="let every mutant meet every case")
    parser.add_argument("--profile", action="append", choices=_PROFILES, help="only mutants of this profile")
    parser.add_argument("--jobs", type=int, default=12, help="meetings at a time; most of them wait")
    parser.add_argument("--results", default="", help="a folder for mutants.json")
    given = parser.parse_args(list(arguments))
    names = given.case or [
        each for each in MUTANTS if not given.profile or each.partition(".")[0] in given.profile
    ]
    if unknown := sorted(set(names) - MUTANTS.keys()):
        parser.error(f"there is no mutant for {', '.join(unknown)}")
    began = time.monotonic()
    matrix = Matrix(given.jobs, began + (LIMIT if not given.all else 20 * LIMIT))
    honest = sorted({case.id for name in names for case in cases_for(name, every=given.all)})
    pairs = [("", identifier) for identifier in honest]
    pairs += [(name, case.id) for name in names for case in cases_for(name, every=given.all)]
    in_time = matrix.meet(pairs)
    broken = {identifier for identifier in honest if matrix.found.get(("", identifier))}
    doubtful = [name for name in names if judge(name, set(matrix.caught_by(name)) - broken)]
    if (
        in_time and doubtful and not given.all
    ):  # a busy machine is no reason: once more, what was not as it should be
        again = [(name, identifier) for name in doubtful for identifier in _doubts(name, matrix)]
        in_time = matrix.meet(again)
    matrix.pool.shutdown(wait=False, cancel_futures=True)
    return _report(
        names, matrix, broken, in_time=in_time, began=began, results=given.results, every=given.all
    )


def _doubts(name: str, matrix: Matrix) -> set[str]:
    mutant = MUTANTS[name]
    return set(matrix.caught_by(name)) ^ {mutant.case, *mutant.kin}


def _report(
    names: Sequence[str],
    matrix: Matrix,
    broken: set[str],
    *,
    in_time: bool,
    began: float,
    results: str,
    every: bool,
) -> int:
    wrong = 0
    for identifier in sorted(broken):
        _say(f"the honest subject fails {identifier}: {matrix.found['', identifier].splitlines()[0]}")
    for name in names:
        found = set(matrix.caught_by(name)) - broken
        if every:
            found = {
                identifier for identifier in found if identifier.partition(".")[0] == name.partition(".")[0]
            }
        complaint = judge(name, found)
        if name in broken:
            complaint = ""
        wrong += bool(complaint)
        if complaint:
            _say(f"{name} ({MUTANTS[name].what}): {complaint}")
    if results:
        folder = Path(results)
        folder.mkdir(parents=True, exist_ok=True)
        document = {
            name: {"broken": MUTANTS[name].what, "found_by": matrix.caught_by(name)} for name in names
        }
        (folder / "mutants.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    took = time.monotonic() - began
    _say(f"{len(names)} mutants, {len(matrix.found)} meetings, {wrong} not as they should be, {took:.0f} s")
    if not in_time:
        _say("the time is up")
        return 2
    return 1 if wrong or broken - {"registry.tag-and-digest"} else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
