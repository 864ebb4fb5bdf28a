"""Manifests in, findings out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kit_conformance.lint.checks import CHECKS
from kit_conformance.lint.rules import ERROR, RULES, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kit_conformance.lint.objects import Object, Path_


class Finding(NamedTuple):
    """One thing that is wrong: the rule, the object, where in it, and words for this very place."""

    rule: Rule
    subject: Object
    path: Path_
    detail: str

    @property
    def place(self) -> str:
        """Return file and line."""
        return f"{self.subject.source}:{self.subject.line(self.path)}"

    @property
    def what(self) -> str:
        """Return the finding in one line."""
        detail = f" ({self.detail})" if self.detail else ""
        subject = f"{self.subject.kind} {self.subject.name}: " if self.subject.kind else ""
        return f"{subject}{self.rule.title}{detail}"


class Report(NamedTuple):
    """All findings over some objects."""

    findings: tuple[Finding, ...]
    objects: int

    @property
    def errors(self) -> int:
        return sum(finding.rule.level == ERROR for finding in self.findings)


def check(objects: Sequence[Object], names: Iterable[str] = RULES) -> Report:
    """Apply the rules (all, unless named) to objects that belong together."""
    found = [Finding(RULES[name], *place) for name in names for place in CHECKS[name](objects)]
    found.sort(key=lambda one: (one.subject.source, one.subject.line(one.path), one.rule.name))
    return Report(tuple(found), sum(not each.problem for each in objects))
