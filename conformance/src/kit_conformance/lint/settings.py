"""Values of the initializer's variables and flags, judged by its own tables.

`initializer.json` is made from the initializer by docs/lint_tables.py, and a test holds the two equal.
"""

from __future__ import annotations

import json
import shlex
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from kit_conformance.nearest import meant

if TYPE_CHECKING:
    from collections.abc import Iterator

_FLAGS: Final = "KIT_UNPACK_FLAGS"
_SWITCH: Final = frozenset({"1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"})
_SHOWN: Final = 40
_LIKENESS: Final = 0.85  # KIT_RETRY is like KIT_RETRIES, and KIT_PORT, of a service named kit, like none


@cache
def _tables() -> dict[str, dict[str, Any]]:
    text = (files("kit_conformance.lint") / "initializer.json").read_text("utf-8")
    return json.loads(text)  # type: ignore[no-any-return]


def value_problem(name: str, value: str) -> str:
    """Return why the initializer refuses a value, "" if it takes it. An empty value is as good as none."""
    shape = _tables()["variables"].get(name, {})
    text = value.strip()
    if not shape or not text:
        return ""
    if (
        "choices" in shape
        and text not in shape["choices"]
        and not (shape.get("path") and text.startswith("/"))
    ):
        more = ", or an absolute path" if shape.get("path") else ""
        return f"write one of {', '.join(shape['choices'])}{more}"
    if "whole" in shape:
        least, most = shape["whole"]
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else -1
        return "" if least <= number <= most else f"write a whole number from {least} to {most}"
    if "seconds" in shape:
        return _seconds(text, shape)
    if "contains" in shape and shape["contains"] not in value:
        return "write the PEM text itself, not the name of a file"
    return ""


def _seconds(text: str, shape: dict[str, Any]) -> str:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if 0 < number <= shape["seconds"] or (shape.get("none") and number == 0):
        return ""
    least = "0 for no limit, or more" if shape.get("none") else "more than 0"
    return f"write seconds as a number, {least} and at most {shape['seconds']}"


def unknown(name: str) -> str:
    """Return a question for a name that looks misspelt, "" for one that is known or not like any."""
    names = _tables()["variables"]
    if name in names or not name.upper().startswith("KIT_"):
        return ""
    return meant(name.upper(), (each for each in names if each.startswith("KIT_")), _LIKENESS).removeprefix(
        "; "
    )


def flag_problems(text: str, *, engine: str = "native", strict: bool = True) -> Iterator[str]:
    """Yield what is wrong with KIT_UNPACK_FLAGS. Without `strict` only flags that Kit does not have."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        yield f"it cannot be split into words: {error}"
        return
    while words:
        word = words.pop(0)
        if word.startswith("--") and word != "--":
            yield from _long(word, words, engine, strict=strict)
        elif word.startswith("-") and word not in {"-", "--"}:
            yield from _short(word, words, engine, strict=strict)
        elif strict:
            yield f"{word[:_SHOWN]} is not a flag"


def _long(word: str, rest: list[str], engine: str, *, strict: bool) -> Iterator[str]:
    flags = _tables()["flags"]
    name, equals, value = word[2:].partition("=")
    flag = flags.get(name)
    if flag is None:
        taken = (f"--{each}" for each, known in flags.items() if not known["refused"])
        yield f"there is no --{name[:_SHOWN]}{meant(f'--{name}', taken)}"
        return
    yield from _given(name, flag, engine, strict=strict)
    if not equals and flag["kind"] in {"text", "list"}:
        if not rest:
            yield f"--{name} has no value"
            return
        value = rest.pop(0)
    if flag["kind"] == "switch" and equals and value not in _SWITCH:
        yield f"--{name} is true or false, not {value[:_SHOWN]}"
    if name == "label" and not value.partition("=")[2] and "=" not in value[1:]:
        yield f"--label is KEY=VALUE, not {value[:_SHOWN]}"


def _short(word: str, rest: list[str], engine: str, *, strict: bool) -> Iterator[str]:
    by_letter = {flag["short"]: name for name, flag in _tables()["flags"].items() if flag["short"]}
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        name = by_letter.get(letter)
        if name is None:
            yield f"there is no -{letter}"
            return
        flag = _tables()["flags"][name]
        yield from _given(name, flag, engine, strict=strict)
        if flag["kind"] in {"text", "list"}:
            if not letters and not rest:
                yield f"-{letter} has no value"
            elif not letters:
                rest.pop(0)
            return
        if letters.startswith("="):
            if letters[1:] not in _SWITCH:
                yield f"-{letter} is true or false, not {letters[1:][:_SHOWN]}"
            return


def _given(name: str, flag: dict[str, Any], engine: str, *, strict: bool) -> Iterator[str]:
    if strict and flag["refused"]:
        yield f"--{name}: {flag['refused']}"
    elif strict and flag["kit_only"] and engine == "native":
        yield f"--{name} needs KIT_ENGINE=kit"
