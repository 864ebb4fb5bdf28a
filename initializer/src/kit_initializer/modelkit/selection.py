"""The filters of `kit unpack`: `types[:names]`, each part split on commas.

Read as Kit reads them, with two differences: a path is compared by where it leads, so that `./m` is `m` and
`code/` is `code`, and a filter that selects nothing is an error (raised where the plan is made).
"""

from __future__ import annotations

import posixpath
from typing import NamedTuple

from kit_initializer.errors import UsageError
from kit_initializer.nearest import nearest

# What a filter may name, and which kinds of layers that covers.
TYPES: dict[str, tuple[str, ...]] = {
    "kitfile": ("kitfile",),
    "model": ("model", "modelpart"),
    "datasets": ("dataset",),
    "code": ("code",),
    "docs": ("docs",),
    "prompts": ("prompt",),
    "mcpservers": ("mcpb",),
}


class Filter(NamedTuple):
    """Kinds of layers, and the names or paths among them; `names` None covers all of them."""

    kinds: tuple[str, ...]
    names: tuple[str, ...] | None


def parse(filters: tuple[str, ...]) -> tuple[Filter, ...]:
    """Read filters. Raises UsageError."""
    return tuple(_parse(text) for text in filters)


def of_parent(filters: tuple[Filter, ...]) -> tuple[Filter, ...]:
    """Return what the filters select of a kit that only lends its model. Empty: nothing."""
    model = TYPES["model"]
    if not filters:
        return (Filter(model, None),)
    return tuple(Filter(model, each.names) for each in filters if "model" in each.kinds)


def selects(filters: tuple[Filter, ...], kind: str, *names: str) -> bool:
    """Say whether something of this kind with these names and paths is selected; without filters all is."""
    return not filters or any(_matches(each, kind, names) for each in filters)


def _parse(text: str) -> Filter:
    types, colon, names = text.partition(":")
    if ":" in names:
        raise UsageError(
            f"the filter {text[:80]!r} holds more than one ':'",
            hint="write --filter=type1,type2[:name1,name2]",
        )
    kinds: list[str] = []
    for name in types.split(","):
        if name not in TYPES:
            raise _unknown(name)
        kinds += TYPES[name]
    return Filter(tuple(kinds), tuple(names.split(",")) if colon else None)


def _unknown(name: str) -> UsageError:
    near = nearest(name.strip().lower(), TYPES)
    hint = (
        f"did you mean {near}?" if near else f"the types are {', '.join(TYPES)}, joined by ',' without spaces"
    )
    return UsageError(f"{name[:80]!r} is not a type that a filter can name", hint=hint)


def _matches(each: Filter, kind: str, names: tuple[str, ...]) -> bool:
    if kind not in each.kinds:
        return False
    if each.names is None or kind == "kitfile":
        return True  # there is one Kitfile, whatever is named beside it
    wanted = {_clean(name) for name in each.names}
    return any(_clean(name) in wanted for name in names)


def _clean(name: str) -> str:
    return posixpath.normpath(name.replace("\\", "/")) if name else ""
