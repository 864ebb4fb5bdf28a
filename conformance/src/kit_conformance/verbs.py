"""The verbs that need no subject: lint, report, gate, completion."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit_conformance import by_hand, gate, lint, probe
from kit_conformance.report import Report, ReportError, load
from kit_conformance.report.files import put
from kit_conformance.report.html import page
from kit_conformance.report.summary import matrix, summary

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence


def add(verbs: Any) -> None:  # noqa: ANN401  (argparse has no public name for it)
    """Add the verbs to the parser."""
    checking = verbs.add_parser(
        "lint",
        help="check manifests against what KServe makes of them",
        epilog="exit codes: 0 no error, 1 errors (with --strict also warnings), 2 there is nothing to judge",
    )
    checking.add_argument("path", nargs="+", help="files, folders, kustomizations, or - for standard input")
    checking.add_argument("--fix", action="store_true", help="fix in place what can be fixed by rule")
    checking.add_argument("--strict", action="store_true", help="let warnings count as errors")
    checking.add_argument(
        "--allow-empty", action="store_true", help="exit 0 where the files hold no Kubernetes object"
    )
    checking.add_argument("--json", action="store_true", help="print the findings as JSON")
    checking.set_defaults(verb=_lint)
    reporting = verbs.add_parser("report", help="merge the reports of several runs into one page")
    reporting.add_argument("report", nargs="+", help="report.json files, or the folders that hold them")
    reporting.add_argument("--results", default="", help="the folder for matrix.html and matrix.md")
    reporting.set_defaults(verb=_report)
    gating = verbs.add_parser("gate", help="say whether the reports satisfy a policy")
    gating.add_argument("report", nargs="+", help="report.json files, or the folders that hold them")
    gating.add_argument("--policy", required=True, help="what must be shown: a YAML file")
    gating.add_argument(
        "-o", "--output", choices=["text", "json"], default="text", help="how to print it (default: text)"
    )
    gating.set_defaults(verb=_gate)
    probe.add(verbs)
    by_hand.add(verbs)
    completing = verbs.add_parser(
        "completion",
        help="print a script that completes flags and case ids in a shell",
        epilog="bash: source <(kit-conformance completion bash); zsh: the same, after compinit; "
        "fish: kit-conformance completion fish | source",
    )
    completing.add_argument("shell", choices=["bash", "zsh", "fish"])
    completing.set_defaults(verb=_completion)


def _fail(text: str) -> int:
    sys.stderr.write(f"kit-conformance: {text}\n")
    return 2


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _lint(given: argparse.Namespace) -> int:
    try:
        if given.fix:
            _mend(given.path)
        found = lint.check(lint.load(given.path))
    except lint.LintError as error:
        return _fail(str(error))
    if given.json:
        _say(json.dumps([_json(each) for each in found.findings], indent=1))
    else:
        for each in found.findings:
            _say(f"{each.place}: {each.rule.level} {each.rule.name}\n  {each.what}")
            _say(f"  KServe: {each.rule.consequence}\n  fix: {each.rule.remedy}")
        warnings = len(found.findings) - found.errors
        _say(f"{found.objects} objects: {found.errors} errors, {warnings} warnings")
    if not found.objects and not (given.allow_empty and not found.findings):
        return _fail("there is no Kubernetes object that can be read in what was given")
    return 1 if found.errors or (given.strict and found.findings) else 0


def _mend(paths: Iterable[str]) -> None:
    for name in paths:
        if name == "-":
            raise lint.LintError("standard input cannot be fixed in place")
        path = Path(name)
        for each in lint.sources(path) if path.is_dir() else [path]:
            try:
                before = each.read_text("utf-8")
                after, fixed = lint.fix(before, str(each))
                if after != before:
                    put(each, after)
            except UnicodeDecodeError:
                continue  # named by what follows
            except OSError as error:
                raise lint.LintError(f"{each} cannot be fixed: {error}") from error
            for finding in fixed:
                _say(f"{each}: fixed {finding.rule.name}")


def _json(each: lint.Finding) -> dict[str, object]:
    return {
        "rule": each.rule.name,
        "level": each.rule.level,
        "source": each.subject.source,
        "line": each.subject.line(each.path),
        "kind": each.subject.kind,
        "name": each.subject.name,
        "path": list(each.path),
        "what": each.what,
        "consequence": each.rule.consequence,
        "remedy": each.rule.remedy,
        "fixable": each.rule.fixable,
        "ref": each.rule.ref,
    }


def _load(paths: Iterable[str]) -> list[Report]:
    return [load(path / "report.json" if path.is_dir() else path) for path in map(Path, paths)]


def _report(given: argparse.Namespace) -> int:
    try:
        columns = _columns(_load(given.report))
    except ReportError as error:
        return _fail(str(error))
    text = matrix(columns) if len(columns) > 1 else summary(columns[0][1])
    if not given.results:
        sys.stdout.write(text)
        return 0
    try:
        folder = Path(given.results)
        folder.mkdir(parents=True, exist_ok=True)
        put(folder / "matrix.md", text)
        put(folder / "matrix.html", page(columns))
    except OSError as error:
        return _fail(f"the page could not be written: {error}")
    _say(str(folder / "matrix.html"))
    return 0


def _columns(reports: Sequence[Report]) -> list[tuple[str, Report]]:
    """Return the reports with the names of their columns, which say as much as it takes to tell them apart."""
    labels = Counter(each.label for each in reports)
    found = []
    for report in reports:
        words = [report.label]
        if labels[report.label] > 1:
            words.append(str(report.subject.get("kind") or ""))
        if kserve := report.suite.get("kserve"):
            words.append(f"KServe {kserve}")
        found.append((", ".join(filter(None, words)), report))
    return found


def _gate(given: argparse.Namespace) -> int:
    try:
        rules = gate.policy(Path(given.policy).read_text("utf-8"))
        reports = _load(given.report)
    except (gate.PolicyError, ReportError, OSError) as error:
        return _fail(str(error))
    reasons = gate.judge(reports, rules, dt.datetime.now(dt.UTC))
    if given.output == "json":
        labels = [report.label for report in reports]
        _say(json.dumps({"released": not reasons, "reasons": reasons, "reports": labels}, indent=1))
        return 1 if reasons else 0
    for reason in reasons:
        _say(reason)
    _say(f"{len(reports)} reports: {'not ' if reasons else ''}released")
    return 1 if reasons else 0


def _completion(given: argparse.Namespace) -> int:
    from argcomplete.shell_integration import shellcode  # noqa: PLC0415

    _say(shellcode(["kit-conformance"], shell=given.shell))
    return 0
