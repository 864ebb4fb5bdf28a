"""What the rules about signature policies look for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kit_conformance.lint import policy
from kit_conformance.lint.reach import containers, enabled, formats, injected
from kit_conformance.lint.values import as_list, as_map

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kit_conformance.lint.objects import Object, Path_

Place = tuple["Object", "Path_", str]

_ENV: Final = ("spec", "container", "env")
_TEMPLATES: Final = ("{{", "${", "$(")


def _variables(each: Object) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield place, name and entry of each variable of a container."""
    for number, entry in enumerate(as_list(each.get(*_ENV))):
        yield number, str(as_map(entry).get("name") or ""), as_map(entry)


def signature_policy_invalid(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        if not _brings_kits(each):
            continue
        found = list(_variables(each))
        wrong = policy.names([name for _, name, _ in found])
        if wrong:
            yield each, _ENV, wrong
        for number, name, entry in found:
            text = entry.get("value", "")
            if name not in policy.CARRIERS or "valueFrom" in entry or not isinstance(text, str):
                continue
            wrong = policy.value(name, text)
            if wrong and not any(mark in text for mark in _TEMPLATES):
                yield each, (*_ENV, number), wrong


def signature_policy_reference(objects: Sequence[Object]) -> Iterator[Place]:
    for each in injected(objects):
        for number, name, entry in _variables(each):
            for kind, reference in as_map(entry.get("valueFrom")).items():
                if name in policy.CARRIERS:
                    source = as_map(reference).get("name") or as_map(reference).get("fieldPath") or kind
                    yield each, (*_ENV, number, "valueFrom", kind), f"{name} from {source}"


def signature_policy_missing(objects: Sequence[Object]) -> Iterator[Place]:
    found = [each for each in containers(objects) if enabled(each) and _brings_kits(each)]
    demanding = [(each, demand) for each in found if (demand := _demand(each))]
    for each in found:
        mine = _demand(each)
        other = next((other for other, demand in demanding if demand != mine), None)
        if other is not None and (not mine or each.name > other.name):  # of two that differ, one is told of
            yield each, _ENV, f"{other.name} has {'another one' if mine else 'one'}"


def _demand(each: Object) -> dict[str, object]:
    """Return the variables of a container's policy with their values, nothing if it has none."""
    found = {
        name: entry.get("valueFrom") or entry.get("value")
        for _, name, entry in _variables(each)
        if name in policy.CARRIERS
    }
    return found if set(policy.DEMANDS) & set(found) else {}


def _brings_kits(each: Object) -> bool:
    """Say whether a container can be chosen for some kit:// URI; of a regex that names kits it is assumed."""
    for entry in formats(each):
        prefix, regex = str(entry.get("prefix") or ""), str(entry.get("regex") or "")
        if prefix.startswith("kit:") or (prefix and "kit://".startswith(prefix)):
            return True
        if not prefix and "kit" in regex:
            return True
    return False
