"""Runs mutants against the cases of their profile, and says whether each is found by whom it should be.

    python -m conformance.tests.mutants.run [CASE …] [--own | --all] [--kit PATH] [--mlserver PYTHON] [--results DIR]

Exit codes: 0 every mutant is found by its case and its kin and nobody else · 1 not so · 2 the time is up.
With --own a mutant meets its case and its kin alone: a minute, in which each case is seen to fail, but not that no
other one does. With --all every mutant meets every case: the whole matrix, for a release. It then may be found by
cases of other profiles, too, whichever; the results tell by which.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from conformance.tests.mutants.broken_kits import BROKEN_KITS, wrap
from conformance.tests.mutants.every import EVERY, FAILED
from kit_conformance import lab
from kit_conformance.catalog import PROFILES, Case, catalog

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from concurrent.futures import Future

LIMIT: Final = 20 * 60.0  # seconds for a run of the profiles
_FACTOR: Final = 0.5  # of the time that runs are given: what is broken is waited for often
_ASKED: Final = frozenset({"keyless", "signature-policy", "signatures"})
_BROKEN: Final = tuple(name for name in PROFILES if name != "manifest")  # what lint finds its own tests show

_zygotes: list[object] = []


def _begin() -> None:
    """Make this worker's zygote, before it has any thread."""
    from conformance.tests.mutants.zygote import Zygote  # noqa: PLC0415

    _zygotes.append(Zygote())


def meet(name: str, identifier: str, settings: lab.Settings) -> str:
    """Let a mutant meet a case; return "" when it passes, else what was found."""
    from conformance.tests.mutants.zygote import HONEST, Forked, Zygote  # noqa: PLC0415

    zygote = _zygotes[0]
    assert isinstance(zygote, Zygote)
    case = catalog()[identifier]
    function = getattr(importlib.import_module(case.module), case.function)
    broken_kit = name if name in BROKEN_KITS else ""
    with tempfile.TemporaryDirectory(prefix="kit-") as folder:
        if settings.kit:
            settings = replace(settings, kit=str(wrap(Path(folder), broken_kit, settings.kit)))
        with lab.new(Forked(HONEST if broken_kit else name, zygote), settings) as made:
            try:
                function(made)
            except AssertionError as found:
                return str(found) or "an assertion"
            except lab.NotSupportedError:
                return ""
    return ""


def possible(settings: lab.Settings) -> tuple[str, ...]:
    """Return the profiles for which everything is there."""
    given = {"--kit": settings.kit, "--mlserver": settings.mlserver, "": "nothing"}
    return tuple(name for name in _BROKEN if given[PROFILES[name].needs])


def cases_for(name: str, profiles: Collection[str], *, alone: bool, every: bool) -> list[Case]:
    """Return the cases that a mutant meets: those of its profile, or all (a broken Kit meets those of Kits).

    With `alone` they are its own and its kin. A mutant of signatures meets those that ask in the same way: by a key, an
    identity or a policy; it is honest to all others.
    """
    if alone:
        return [catalog()[each] for each in (name, *EVERY[name].kin)]
    own = name.partition(".")[0]
    wanted = profiles if every and name not in BROKEN_KITS else {own}
    asked = catalog()[name].features & _ASKED if own == "signature" and not every else frozenset()
    return [case for case in catalog().values() if case.profile in wanted and case.features & _ASKED >= asked]


def judge(name: str, found: Iterable[str]) -> str:
    """Return what is wrong with a mutant's result, "" for nothing."""
    mutant, caught = EVERY[name], set(found)
    wanted = {name, *mutant.kin}
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

    def __init__(self, jobs: int, deadline: float, settings: lab.Settings) -> None:
        context = multiprocessing.get_context("fork")
        self.pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin)
        self.found: dict[tuple[str, str], str] = {}
        self._deadline = deadline
        self._settings = settings

    def meet(self, pairs: Sequence[tuple[str, str]]) -> bool:
        """Let these meet; return whether that was done in time."""
        submit = self.pool.submit
        futures: dict[Future[str], tuple[str, str]] = {
            submit(meet, *pair, self._settings): pair for pair in pairs
        }
        try:
            for future in as_completed(futures, timeout=max(1.0, self._deadline - time.monotonic())):
                self.found[futures[future]] = future.result()
        except TimeoutError:
            for future in futures:
                future.cancel()
            return False
        return True

    def refused(self, cases: Iterable[str]) -> set[str]:
        """Return which of these the honest subject did not pass."""
        return {each for each in cases if self.found.get(("", each))}

    def caught_by(self, name: str) -> list[str]:
        """Return the cases that have found a mutant."""
        return sorted(case for (mutant, case), found in self.found.items() if mutant == name and found)


def main(arguments: Sequence[str]) -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(
        prog="mutants", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("case", nargs="*", help="mutants by the case that must find them; all without")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--own", action="store_true", help="let every mutant meet its own case and its kin")
    which.add_argument("--all", action="store_true", help="let every mutant meet every case")
    parser.add_argument("--profile", action="append", choices=_BROKEN, help="only mutants of this profile")
    parser.add_argument(
        "--kit", default=os.environ.get("KIT", ""), help="a Kit binary, 1.0 or later, to break"
    )
    parser.add_argument("--mlserver", default="", help="the Python of an environment with mlserver")
    parser.add_argument("--jobs", type=int, default=12, help="meetings at a time; most of them wait")
    parser.add_argument("--results", default="", help="a folder for mutants.json")
    given = parser.parse_args(list(arguments))
    kit = str(Path(given.kit).absolute()) if given.kit else ""
    settings = lab.Settings(factor=_FACTOR, kit=kit, mlserver=given.mlserver)
    profiles = possible(settings)
    for left in (each for each in given.profile or _BROKEN if each not in profiles):
        _say(f"{left} is left out: its mutants need {PROFILES[left].needs}")
    profiles = tuple(each for each in profiles if not given.profile or each in given.profile)
    names = given.case or [name for name in EVERY if name.partition(".")[0] in profiles]
    if unknown := sorted(
        name for name in names if name not in EVERY or name.partition(".")[0] not in profiles
    ):
        parser.error(f"there is no mutant for {', '.join(unknown)}, or not with what was given")
    if not names:
        parser.error("no mutant is left to run")
    began = time.monotonic()
    matrix = Matrix(given.jobs, began + (LIMIT if not given.all else 20 * LIMIT), settings)
    meetings = [
        (name, case.id)
        for name in names
        for case in cases_for(name, profiles, alone=given.own, every=given.all)
    ]
    honest = sorted({identifier for _, identifier in meetings})
    try:
        in_time = matrix.meet([*(("", identifier) for identifier in honest), *meetings])
        # a busy machine is no reason: once more, what was not as it should be, the honest subject first
        in_time = (
            matrix.meet([("", identifier) for identifier in matrix.refused(honest) - FAILED]) and in_time
        )
        broken = matrix.refused(honest)
        doubts = [(name, each) for name in names for each in _doubts(name, matrix, broken, every=given.all)]
        in_time = matrix.meet(doubts) and in_time
    finally:
        matrix.pool.shutdown(wait=False, cancel_futures=True)
    return _report(
        names, matrix, broken, in_time=in_time, began=began, results=given.results, every=given.all
    )


def _found(name: str, matrix: Matrix, broken: set[str], *, every: bool) -> set[str]:
    """Return the cases that have found a mutant and count: those that the honest subject passes, of its profile."""
    own = name.partition(".")[0]
    found = set(matrix.caught_by(name)) - broken
    return {each for each in found if each.partition(".")[0] == own} if every else found


def _doubts(name: str, matrix: Matrix, broken: set[str], *, every: bool) -> set[str]:
    return (_found(name, matrix, broken, every=every) ^ {name, *EVERY[name].kin}) - broken


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
        complaint = "" if name in broken else judge(name, _found(name, matrix, broken, every=every))
        wrong += bool(complaint)
        if complaint:
            _say(f"{name} ({EVERY[name].what}): {complaint}")
    if results:
        folder = Path(results)
        folder.mkdir(parents=True, exist_ok=True)
        document = {name: {"broken": EVERY[name].what, "found_by": matrix.caught_by(name)} for name in names}
        (folder / "mutants.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    took = time.monotonic() - began
    _say(f"{len(names)} mutants, {len(matrix.found)} meetings, {wrong} not as they should be, {took:.0f} s")
    if not in_time:
        _say("the time is up")
        return 2
    return 1 if wrong or broken - FAILED else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
