"""`kit-conformance run | list | explain | lint | report | gate | init | serve-registry | completion`.

Exit codes: 0 conformant · 1 not conformant · 2 the suite itself failed, or cannot do what it was asked for.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shlex
import sys
import textwrap
from dataclasses import asdict
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from kit_conformance import __version__
from kit_conformance.catalog import FEATURES, PROFILES, Case, CatalogError, catalog
from kit_conformance.nearest import meant
from kit_conformance.renamed import current
from kit_conformance.selection import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CASES: Final = Path(__file__).parent / "cases"
_MANY_WORKERS: Final = 8  # more of them disturb each other's clocks
_RESULTS: Final = "results"
_UNKNOWN: Final = re.compile(r"(?:invalid choice: '|unrecognized arguments: .*?(?=--))([^']+?)(?:'|=|\s|$)")


class Parser(argparse.ArgumentParser):
    """A parser that says what may have been meant by a flag or a word that it does not know."""

    words: Final[set[str]] = set()

    def error(self, message: str) -> NoReturn:
        """Print usage and message, and exit with 2."""
        found = _UNKNOWN.search(message)
        super().error(message + (meant(found[1], self.words) if found else ""))

    def add_argument(self, *names: Any, **how: Any) -> argparse.Action:  # noqa: ANN401  (argparse's own)
        """Add an argument, and remember its flags and choices."""
        self.words.update(name for name in names if name.startswith("--"))
        self.words.update(map(str, how.get("choices") or ()))
        return super().add_argument(*names, **how)


def main(arguments: Sequence[str]) -> int:
    """Do what is asked and return the exit code."""
    parser = _parser()
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete  # noqa: PLC0415  (a shell asks, and nobody else)

        argcomplete.autocomplete(parser)
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


def _parser() -> Parser:
    parser = Parser(
        prog="kit-conformance",
        description="Test storage initializers for ModelKits, versions of Kit, and the manifests that name them.",
        epilog="exit codes: 0 conformant, 1 not conformant, 2 the suite itself failed",
    )
    parser.add_argument("--version", action="version", version=f"kit-conformance {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    _run_parser(verbs)
    listing = verbs.add_parser("list", help="list profiles, cases and features")
    listing.add_argument(
        "--profile", action="append", type=current, choices=list(PROFILES), help="only these profiles"
    )
    listing.add_argument("--features", action="store_true", help="list what a subject may claim instead")
    listing.add_argument("--markdown", action="store_true", help="write the catalogue as a page")
    output(listing)
    listing.set_defaults(verb=_list)
    explain = verbs.add_parser("explain", help="say what a case or a rule of lint is about")
    completed(explain.add_argument("id", help="the id of a case, or the name of a rule"), _identifiers)
    output(explain)
    explain.set_defaults(verb=_explain)
    from kit_conformance.verbs import add  # noqa: PLC0415  (they import what `run` has no use for)

    add(verbs)
    Parser.words.update(verbs.choices)
    return parser


def output(parser: argparse.ArgumentParser) -> None:
    """Add the choice between text and JSON."""
    parser.add_argument(
        "-o", "--output", choices=["text", "json"], default="text", help="how to print it (default: text)"
    )


def completed(action: argparse.Action, words: Callable[[], list[str]]) -> None:
    """Let shells complete an argument by these words."""
    vars(action)["completer"] = lambda **_: words()


def _run_parser(verbs: Any) -> None:  # noqa: ANN401  (argparse has no public name for it)
    profiles = "\n".join(
        f"  {each.name:<16} {each.title}{f' (needs {each.needs})' if each.needs else ''}"
        for each in PROFILES.values()
    )
    variables = "\n".join(
        f"  {option.name:<16} {option.variable}" for option in OPTIONS if option.name != "--subject"
    )
    run = verbs.add_parser(
        "run",
        help="run the cases over a subject",
        description="Run the cases over a subject, and write a report.",
        epilog=f"profiles:\n{profiles}\n\n"
        "Each option but --subject has a variable that stands in for it; a comma separates several values, as in\n"
        f"KIT_CONFORMANCE_PROFILE=contract,restart:\n{variables}\n\n"
        "What follows -- goes to pytest.\n"
        "exit codes: 0 conformant, 1 not conformant, 2 the suite itself failed",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    completers = {
        "--profile": lambda: list(PROFILES),
        "--case": _identifiers,
        "--skip": _identifiers,
        "--subject-config": lambda: [*_shipped("subject"), *_files()],
        "--baseline": lambda: [*_shipped("baselines"), *_files()],
    }
    for option in OPTIONS:
        action = run.add_argument(option.name, **option.action)
        if option.name in completers:
            completed(action, completers[option.name])
    run.add_argument(
        "--jobs",
        "-j",
        default="",
        metavar="N",
        help="cases at a time (default: one for each core; needs pytest-xdist)",
    )
    run.add_argument("pytest", nargs="*", help=argparse.SUPPRESS)
    run.set_defaults(verb=_run)


def _identifiers() -> list[str]:
    from kit_conformance.lint import RULES  # noqa: PLC0415

    return [*catalog(), *RULES]


def _shipped(kind: str) -> list[str]:
    from kit_conformance.shipped import shipped  # noqa: PLC0415

    return list(shipped(*(("subject", "data") if kind == "subject" else ("baselines",))))


def _files() -> list[str]:
    return [path.name for path in Path().iterdir() if path.suffix in {".yaml", ".yml"}]


def _run(given: argparse.Namespace) -> int:
    import pytest  # noqa: PLC0415  (`list` and `lint` need none)

    from kit_conformance.progress import Progress, earlier, stream  # noqa: PLC0415

    results = given.kc_results or os.environ.get("KIT_CONFORMANCE_RESULTS", "")
    if not results and os.access(".", os.W_OK):
        results = given.kc_results = _RESULTS
    words: list[str] = []
    for option in OPTIONS:
        value = getattr(given, option.dest)
        values = value if isinstance(value, list) else [value] if value else []
        words += [option.pytest if option.switch else f"{option.pytest}={each}" for each in values]
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
    quiet = ["-p", "no:cacheprovider", "-qq", "-rN", "--tb=no", "--override-ini=console_output_style=classic"]
    progress = Progress(stream(), earlier(Path(results)))
    code = pytest.main([*base, *quiet, *words, *given.pytest, str(_CASES)], plugins=[progress])
    return int(code) if code in {0, 1} else 2


def _kit_subject(given: argparse.Namespace) -> list[str]:
    from kit_conformance.testbed import kitcli  # noqa: PLC0415

    path = kitcli.find(given.kc_kit, mirror=given.kc_kit_mirror or "")
    config = given.kc_subject_config or "kit-unpack"
    return [f"--subject=command:{shlex.quote(str(path))}", f"--subject-config={config}"]


def _document(value: object) -> int:
    say(json.dumps(value, indent=1, ensure_ascii=False))
    return 0


def _case(found: Case) -> dict[str, Any]:
    return {
        **asdict(found),
        "profile": found.profile,
        "level": found.level.value,
        "features": sorted(found.features),
    }


def _list(given: argparse.Namespace) -> int:
    chosen = given.profile or list(PROFILES)
    if given.output == "json":
        profiles = [
            {
                **PROFILES[name]._asdict(),
                "cases": [_case(each) for each in catalog().values() if each.profile == name],
            }
            for name in chosen
        ]
        return _document({"features": dict(FEATURES)} if given.features else {"profiles": profiles})
    if given.features:
        for name, meaning in FEATURES.items():
            say(f"{name:<16} {meaning}")
        return 0
    if given.markdown:
        from kit_conformance.page import catalogue  # noqa: PLC0415

        sys.stdout.write(catalogue())
        return 0
    for name in chosen:
        cases = [each for each in catalog().values() if each.profile == name]
        say(f"{name}: {PROFILES[name].title} ({len(cases)} cases)")
        for each in cases:
            say(f"  {each.id:<44} {each.level.value:<6} {each.title}")
    return 0


def _explain(given: argparse.Namespace) -> int:
    found = catalog().get(current(given.id))
    if found is None:
        return _explain_rule(given)
    if given.output == "json":
        return _document(_case(found))
    say(f"{found.id} ({found.level.value}, since {found.since})\n{found.title}\n")
    say(textwrap.fill(found.why, 100))
    if found.features:
        say(f"\nasked of subjects that claim: {', '.join(sorted(found.features))}")
    say(f"registry: {'any' if found.any_registry else 'the one of the testbed'}")
    if found.reaches:
        say(f"also reaches: {found.reaches}")
    say(f"stands on: {found.ref}")
    return 0


def _explain_rule(given: argparse.Namespace) -> int:
    from kit_conformance.lint import RULES  # noqa: PLC0415

    rule: Any = RULES.get(given.id)
    if rule is None:
        near = meant(given.id, _identifiers())
        return fail(
            f"there is no case and no rule of lint called {given.id!r}{near or '; see kit-conformance list'}"
        )
    if given.output == "json":
        return _document(rule._asdict())
    say(
        f"{rule.name}: {rule.title}\n\n{textwrap.fill(rule.consequence, 100)}\n\nfix: {rule.remedy}\nsee: {rule.ref}"
    )
    return 0


def entry() -> int:
    """Run as the console script."""
    return main(sys.argv[1:])
