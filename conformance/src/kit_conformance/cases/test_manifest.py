"""Each rule of lint as a case, over the manifests that a run was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kit_conformance.catalog import MUST, SHOULD, case
from kit_conformance.lint import RULES, check, load
from kit_conformance.lint.rules import ERROR
from kit_conformance.result import Finding

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit_conformance.lab import Lab
    from kit_conformance.lint import Rule


def _of(rule: Rule) -> Callable[[Lab], None]:
    """Make the case of one rule."""

    def test(lab: Lab) -> None:
        objects = load(lab.settings.manifests)
        if not objects:
            raise Finding("there is no Kubernetes object in what was given")
        found = check(objects, [rule.name]).findings
        if found:
            lines = [f"{each.place}: {each.what}" for each in found]
            raise Finding(f"{rule.title}: {rule.remedy}", lines)

    test.__name__ = test.__qualname__ = f"test_{rule.name.replace('-', '_')}"
    test.__doc__ = f"Nowhere: {rule.title}.\n\n{rule.consequence}"
    level = MUST if rule.level == ERROR else SHOULD
    return case(f"manifest.{rule.name}", level=level, since="0.1", ref=rule.ref, any_registry=True)(test)


def _all() -> dict[str, Any]:
    made = [_of(rule) for rule in RULES.values()]
    return {test.__name__: test for test in made}


globals().update(_all())
