"""A policy's text as a tree of plain values, and strict readers for what is in it: nothing is guessed or left over."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from kit_initializer.errors import UsageError
from kit_initializer.secret import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ROOT = "the policy"
_TEXT_CHARACTERS = 256 * 1024


class Node:
    """A value of the document and its place in it, such as `rules[1].keys`; every reader raises UsageError."""

    def __init__(self, value: object, where: str) -> None:
        self.value = value
        self.where = where

    def members(self, allowed: Iterable[str]) -> dict[str, Node]:
        """Return the members of an object. One that is not in `allowed` is an error: it might be a condition."""
        if not isinstance(self.value, dict):
            raise self.wrong("is not an object")
        names = sorted(allowed)
        for name in self.value:
            if name not in names:
                raise self.wrong(
                    f"has an unknown member {printable(name, 60)!r}", f"it may have {', '.join(names)}"
                )
        above = "" if self.where == _ROOT else f"{self.where}."
        return {name: Node(value, f"{above}{name}") for name, value in self.value.items()}

    def pairs(self) -> dict[str, Node]:
        """Return the members of an object whose names are free."""
        if not isinstance(self.value, dict) or not self.value:
            raise self.wrong("is not an object with members")
        return {name: Node(value, f"{self.where}[{name!r}]") for name, value in self.value.items()}

    def items(self) -> list[Node]:
        """Return the items of a list that has some."""
        if not isinstance(self.value, list) or not self.value:
            raise self.wrong("is not a list with items")
        return [Node(value, f"{self.where}[{number}]") for number, value in enumerate(self.value)]

    def text(self) -> str:
        """Return a text that is not empty."""
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.wrong("is not a text, or an empty one")
        return self.value

    def choice(self, choices: tuple[str, ...]) -> str:
        """Return one of several words."""
        if self.value not in choices:
            raise self.wrong("is not one of its words", f"write one of {', '.join(choices)}")
        return str(self.value)

    def true(self) -> bool:
        """Return true, the only value that makes sense there."""
        if self.value is not True:
            raise self.wrong("is not true", "write true, or leave the member out")
        return True

    def pattern(self) -> re.Pattern[str]:
        """Return a regular expression, which is to match a whole text."""
        text = self.text()
        try:
            return re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise self.wrong(f"is not a regular expression: {printable(error, 100)}") from None

    def wrong(self, problem: str, hint: str = "") -> UsageError:
        """Return the error for this value. It never shows the value: a key of the wrong kind may be a private one."""
        return UsageError(
            f"KIT_SIGNATURE_POLICY: {self.where} {problem}", hint=hint or "docs/signatures.md has all members"
        )


def read(text: str) -> Node:
    """Read JSON or YAML. Raises UsageError, also for a member that is there twice: which one counts is doubt."""
    if len(text) > _TEXT_CHARACTERS:
        raise UsageError(
            f"KIT_SIGNATURE_POLICY has more than {_TEXT_CHARACTERS} characters", hint="leave only rules in it"
        )
    try:
        return Node(json.loads(text, object_pairs_hook=_once, parse_constant=_refuse), _ROOT)
    except RecursionError:
        raise UsageError("KIT_SIGNATURE_POLICY is nested too deep", hint="write JSON or YAML") from None
    except ValueError as error:
        if text.lstrip().startswith("{"):
            raise UsageError(
                f"KIT_SIGNATURE_POLICY is not JSON: {printable(error, 200)}", hint="write JSON or YAML"
            ) from None
    return Node(_yaml(text), _ROOT)


def _once(pairs: list[tuple[str, object]]) -> Mapping[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the member {twice!r} is there twice")
    return value


def _refuse(token: str) -> None:
    raise ValueError(f"{token} is no number of JSON")


def _yaml(text: str) -> object:
    try:
        import yaml  # noqa: PLC0415 - a policy in JSON needs no parser of YAML
    except ImportError:
        raise UsageError(
            "KIT_SIGNATURE_POLICY is not JSON, and no parser of YAML is installed",
            hint="write JSON, or install kit-initializer[signatures]",
        ) from None

    class Loader(yaml.SafeLoader):
        """The safe loader, without what makes two readers see two documents: aliases, tags, members twice."""

        def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401 - its base has no types
            """Compose a node that is written where it stands."""
            event = self.peek_event()  # type: ignore[no-untyped-call]
            if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None) not in {None, "!"}:
                raise yaml.constructor.ConstructorError(
                    None, None, "aliases and tags are not read", event.start_mark
                )
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: ANN401, FBT001, FBT002
            """Construct a mapping whose names are texts, each there once."""
            names = [self.construct_object(key, deep=True) for key, _ in node.value]
            for name in names:
                if not isinstance(name, str) or names.count(name) > 1:
                    raise yaml.constructor.ConstructorError(
                        None,
                        None,
                        f"{printable(name, 60)!r} is there twice, or is not a text",
                        node.start_mark,
                    )
            return super().construct_mapping(node, deep=deep)

    try:
        return yaml.load(text, Loader)  # noqa: S506 - derived from the safe loader
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        problem = printable(error.problem or "it cannot be read", 200)
    except (yaml.YAMLError, ValueError, RecursionError):
        line, problem = "", "it cannot be read"
    raise UsageError(f"KIT_SIGNATURE_POLICY is not YAML: {line}{problem}", hint="write JSON or YAML")
