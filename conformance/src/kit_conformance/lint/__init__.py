"""Kubernetes manifests against what KServe really does with them.

KServe has no admission check for a ClusterStorageContainer: most of what is wrong in one is accepted, and found
out when a pod does not start, or starts without its model.
"""

from __future__ import annotations

from kit_conformance.lint.check import Finding, Report, check
from kit_conformance.lint.fix import fix
from kit_conformance.lint.objects import LintError, Object, load, parse, sources
from kit_conformance.lint.rules import RULES, Rule

__all__ = [
    "RULES",
    "Finding",
    "LintError",
    "Object",
    "Report",
    "Rule",
    "check",
    "fix",
    "load",
    "parse",
    "sources",
]
