"""The catalogue as a page: every case and every rule of lint, from the code itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_conformance.catalog import FEATURES, PROFILES, Case, catalog
from kit_conformance.lint import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator


def catalogue() -> str:
    """Return docs/cases.md."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    cases = catalog().values()
    yield "# Cases of the conformance suite"
    yield "This page is made by `kit-conformance list --markdown`. A MUST that does not hold is a failure, a SHOULD a"
    yield "warning. A case that asks for a feature which the subject does not claim is not-supported."
    yield ""
    yield f"{len(cases)} cases, {len(RULES)} rules of lint."
    for profile in PROFILES.values():
        found = [each for each in cases if each.profile == profile.name]
        needs = f" (with `{profile.needs}`)" if profile.needs else ""
        yield f"\n## {profile.name}: {profile.title}{needs}"
        if profile.name == "manifest":
            yield "A case for each rule of `kit-conformance lint`.\n"
            yield from _rules()
        else:
            for each in found:
                yield from _case(each)
    yield "\n## Features that a subject may claim"
    yield "| feature | a subject that claims it |\n|---|---|"
    for name, meaning in FEATURES.items():
        yield f"| `{name}` | {meaning} |"


def _case(each: Case) -> Iterator[str]:
    ref = each.ref if each.ref.startswith("https://") else each.ref.removeprefix("docs/")
    features = (
        f", asks for {', '.join(f'`{name}`' for name in sorted(each.features))}" if each.features else ""
    )
    anywhere = ", on any registry" if each.any_registry else ""
    yield f"\n### {each.id}"
    yield f"**{each.title}** {each.why}\n"
    yield f"{each.level.value} since {each.since}{features}{anywhere} ([reference]({ref}))"


def _rules() -> Iterator[str]:
    yield "| rule | level | what is wrong | what KServe makes of it | remedy | `--fix` |\n|---|---|---|---|---|---|"
    for rule in RULES.values():
        fixed = "yes" if rule.fixable else ""
        cells = (f"[`{rule.name}`]({rule.ref})", rule.level, rule.title, rule.consequence, rule.remedy, fixed)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
