"""The tables of docs/coverage.md that follow from the code: `python -m conformance.tests.coverage` writes them anew.

Which case uses which fault is read from the syntax of its function and of all functions of the cases' package
that it calls by name, however deep.
"""

from __future__ import annotations

import ast
import inspect
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kit_conformance.cases import test_modelkit_hostile as hostile_cases
from kit_conformance.catalog import catalog
from kit_conformance.testbed.kits import hostile
from kit_conformance.testbed.registry import faults

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE: Final = Path(__file__).parents[2] / "docs" / "coverage.md"
FAULTS: Final = sorted(set(faults.__all__) - {"BodyFault", "Exchange", "Fault"})
_CASES: Final = Path(inspect.getfile(hostile_cases)).parent


@cache
def _functions(module: Path) -> dict[str, ast.FunctionDef]:
    tree = ast.parse(module.read_text("utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


@cache
def _shared() -> dict[str, ast.FunctionDef]:
    """Return the steps that modules of cases import from each other."""
    modules = (path for path in _CASES.glob("*.py") if not path.name.startswith("test_"))
    return {name: node for module in modules for name, node in _functions(module).items()}


def _uses(module: Path, name: str, seen: set[str]) -> set[str]:
    """Return the faults that a function uses, itself or by others."""
    node = _functions(module).get(name) or _shared().get(name)
    if node is None or name in seen:
        return set()
    seen.add(name)
    found = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id == "faults":
            found.add(each.attr)
        elif isinstance(each, ast.Name):
            found |= _uses(module, each.id, seen)
    return found & set(FAULTS)


@cache
def cases_by_fault() -> dict[str, list[str]]:
    """Return the ids of the cases that use each fault of the testbed."""
    used: dict[str, list[str]] = {fault: [] for fault in FAULTS}
    for case in catalog().values():
        module = _CASES / f"{case.module.rpartition('.')[2]}.py"
        for fault in _uses(module, case.function, set()):
            used[fault].append(case.id)
    return used


def kits_by_case() -> dict[str, list[str]]:
    """Return the names of the hostile kits that each case tries."""
    tried: dict[str, list[str]] = {f"modelkit.{family}": [] for family in hostile_cases.FAMILIES}
    for each in hostile.ALL:
        tried[f"modelkit.{hostile_cases.family(each.name)}"].append(each.name)
    return tried


def tables() -> dict[str, str]:
    """Return each table by the name of its mark in the page."""
    by_fault = ((f"`{name}`", _names(cases)) for name, cases in cases_by_fault().items())
    by_case = ((f"`{case}`", ", ".join(sorted(names))) for case, names in kits_by_case().items())
    return {"faults": _table("fault", "used by", by_fault), "hostile": _table("case", "kits", by_case)}


def _names(cases: Iterable[str]) -> str:
    return ", ".join(f"`{case}`" for case in cases)


def _table(one: str, other: str, rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(
        [f"| {one} | {other} |", "|---|---|", *(f"| {first} | {rest} |" for first, rest in rows)]
    )


def page(text: str) -> str:
    """Return the page with the tables of today between its marks."""
    for name, table in tables().items():
        begin, end = text.index(f"<!-- {name}: "), text.index("<!-- end -->", text.index(f"<!-- {name}: "))
        mark = text[begin : text.index("\n", begin) + 1]
        text = f"{text[:begin]}{mark}{table}\n{text[end:]}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
