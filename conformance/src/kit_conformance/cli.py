"""`kit-conformance run | list | explain | lint | report | gate`.

Exit codes: 0 conformant · 1 not conformant · 2 the suite itself failed, or was asked for something that is not.
"""

from __future__ import annotations

import argparse
import importlib.util
import shlex
import sys
import textwrap
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kit_conformance import __version__
from kit_conformance.catalog import FEATURES, PROFILES, CatalogError, catalog
from kit_conformance.renamed import current
from kit_conformance.selection import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CASES: Final = Path(__file__).parent / "cases"
_MANY_WORKERS: Final = 8  # more of them disturb each other's clocks


def main(arguments: Sequence[str]) -> int:
    """Do what is asked and return the exit code."""
    parser = _parser()
    given = parser.parse_args(list(arguments))
    verb: Callable[[argparse.Namespace], int] = given.verb
    try:
        return verb(given)
    except CatalogError as error:
        return fail(str(error))
    except BrokenPipeError:  # `list | head`
        sys.stderr.close()
        return 0


def fail(text: str) -> int:
    """Say what is wrong with the suite or the question, and return the exit code for that."""
    sys.stderr.write(f"kit-conformance: {text}\n")
    return 2


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kit-conformance",
        description=__doc__.partition("\n")[0],
        epilog="exit codes: 0 conformant, 1 not conformant, 2 the suite itself failed",
    )
    parser.add_argument("--version", action="version", version=f"kit-conformance {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    run = verbs.add_parser(
        "run",
        help="run the cases over a subject",
        description="Run the cases over a subject. Each option has a variable that stands in for it: "
        "KIT_CONFORMANCE_PROFILE=contract,restart is --profile contract --profile restart.",
        epilog="what follows -- goes to pytest",
    )
    for option in OPTIONS:
        action = "append" if option.many else "store"
        run.add_argument(option.name, dest=option.dest, action=action, help=option.help)
    run.add_argument(
        "--jobs", "-j", default="", help="cases at a time; as many as there are cores, with pytest-xdist"
    )
    run.add_argument("pytest", nargs="*", help=argparse.SUPPRESS)
    run.set_defaults(verb=_run)
    listing = verbs.add_parser("list", help="list profiles, cases and features")
    listing.add_argument(
        "--profile", action="append", type=current, choices=list(PROFILES), help="only these profiles"
    )
    listing.add_argument("--features", action="store_true", help="list what a subject may claim instead")
    listing.add_argument("--markdown", action="store_true", help="write the catalogue as a page")
    listing.set_defaults(verb=_list)
    explain = verbs.add_parser("explain", help="say what a case or a rule of lint is about")
    explain.add_argument("id", help="the id of a case, or the name of a rule")
    explain.set_defaults(verb=_explain)
    from kit_conformance.verbs import add  # noqa: PLC0415  (they import what `run` has no use for)

    add(verbs)
    return parser


def _run(given: argparse.Namespace) -> int:
    import pytest  # noqa: PLC0415  (`list` and `lint` need none)

    words: list[str] = []
    for option in OPTIONS:
        value = getattr(given, option.dest)
        values = value if isinstance(value, list) else [value] if value else []
        words += [f"{option.pytest}={each}" for each in values]
    if not given.kc_subject:
        if not given.kc_kit:
            return fail("run needs --subject command:…, image:… or pod:…, or a --kit to be the subject")
        try:
            words += _kit_subject(given)
        except Exception as error:  # noqa: BLE001  (a download may fail in any way)
            return fail(str(error))
    jobs = given.jobs or ("logical" if importlib.util.find_spec("xdist") else "0")
    if importlib.util.find_spec("xdist"):
        words += [f"--numprocesses={jobs}", f"--maxprocesses={_MANY_WORKERS}", "--dist=worksteal"]
    elif jobs not in {"0", "1"}:
        return fail("--jobs needs pytest-xdist: install kit-conformance[parallel]")
    if not any(each.name == "kit-conformance" for each in entry_points(group="pytest11")):
        words = ["-p", "kit_conformance.plugin", *words]  # run from its sources
    base = ["-c", str(_CASES / "pytest.ini"), f"--rootdir={_CASES}", f"--confcutdir={_CASES}"]
    code = pytest.main([*base, "-p", "no:cacheprovider", "-q", "-rN", *words, *given.pytest, str(_CASES)])
    return int(code) if code in {0, 1} else 2


def _kit_subject(given: argparse.Namespace) -> list[str]:
    from kit_conformance.testbed import kitcli  # noqa: PLC0415

    path = kitcli.find(given.kc_kit, mirror=given.kc_kit_mirror or "")
    config = given.kc_subject_config or "kit-unpack"
    return [f"--subject=command:{shlex.quote(str(path))}", f"--subject-config={config}"]


def _list(given: argparse.Namespace) -> int:
    if given.features:
        for name, meaning in FEATURES.items():
            say(f"{name:<16} {meaning}")
        return 0
    if given.markdown:
        from kit_conformance.page import catalogue  # noqa: PLC0415

        sys.stdout.write(catalogue())
        return 0
    chosen = given.profile or list(PROFILES)
    for name in chosen:
        cases = [each for each in catalog().values() if each.profile == name]
        say(f"{name}: {PROFILES[name].title} ({len(cases)} cases)")
        for each in cases:
            say(f"  {each.id:<44} {each.level.value:<6} {each.title}")
    return 0


def _explain(given: argparse.Namespace) -> int:
    found = catalog().get(current(given.id))
    if found is None:
        return _explain_rule(given.id)
    say(f"{found.id} ({found.level.value}, since {found.since})\n{found.title}\n")
    say(textwrap.fill(found.why, 100))
    if found.features:
        say(f"\nasked of subjects that claim: {', '.join(sorted(found.features))}")
    say(f"registry: {'any' if found.any_registry else 'the one of the testbed'}")
    if found.reaches:
        say(f"also reaches: {found.reaches}")
    say(f"stands on: {found.ref}")
    return 0


def _explain_rule(name: str) -> int:
    from kit_conformance.lint import RULES  # noqa: PLC0415

    rule: Any = RULES.get(name)
    if rule is None:
        return fail(
            f"there is neither a case nor a rule of lint called {name!r}; `kit-conformance list` has them"
        )
    say(
        f"{rule.name}: {rule.title}\n\n{textwrap.fill(rule.consequence, 100)}\n\nfix: {rule.remedy}\nsee: {rule.ref}"
    )
    return 0


def entry() -> int:
    """Run as the console script."""
    return main(sys.argv[1:])
