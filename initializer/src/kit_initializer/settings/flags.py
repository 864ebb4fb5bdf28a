"""KIT_UNPACK_FLAGS: the flags of `kit unpack`, one table for reading them and for the documentation.

Read as Kit reads them (pflag): `--flag=value`, `--flag value`, `-f value`, `-fvalue`, combined switches
(`-oi`, `-vv`), `=true` and `=false` on switches. Of a flag given twice the last one counts, except where a
list is meant.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from kit_initializer.errors import UsageError
from kit_initializer.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping


class Flag(NamedTuple):
    """One flag. `native` and `kit` say, in Markdown, what each engine does with it, if it may be given.

    `kind` is "switch", "text", "list", "count" or "optional" (a value only after "="). `refused` is why the
    flag cannot be given, "" if it can; `kit_only` leaves it to KIT_ENGINE=kit; `network` says that it is about reaching
    a registry, so that `kit unpack`, which must not, is not given it.
    """

    name: str
    short: str
    kind: str
    native: str
    kit: str
    refused: str = ""
    kit_only: bool = False
    network: bool = False


_PASSED = "passed on"
_TO_PULL = "passed on to `kit login` and `kit pull`"
_DEPRECATED = "the same as `--filter={0}`; several are one selection, and win over `--filter`"

FLAGS: tuple[Flag, ...] = (
    Flag(
        "dir",
        "d",
        "text",
        "",
        "",
        refused="the destination is the initializer's second argument",
    ),
    Flag("overwrite", "o", "switch", "replaces files that are in the way", _PASSED),
    Flag("ignore-existing", "i", "switch", "keeps files that are in the way", _PASSED),
    Flag(
        "filter",
        "f",
        "list",
        "`types[:names]`; `./m` is `m` and `code/` is `code`; no match is exit 11",
        _PASSED,
    ),
    Flag("kitfile", "", "switch", _DEPRECATED.format("kitfile"), _PASSED),
    Flag("model", "", "switch", _DEPRECATED.format("model"), _PASSED),
    Flag("code", "", "switch", _DEPRECATED.format("code"), _PASSED),
    Flag("datasets", "", "switch", _DEPRECATED.format("datasets"), _PASSED),
    Flag("docs", "", "switch", _DEPRECATED.format("docs"), _PASSED),
    Flag("plain-http", "", "switch", "HTTP without TLS", _TO_PULL, network=True),
    Flag("tls-verify", "", "switch", "`=false` accepts any certificate", _TO_PULL, network=True),
    Flag("tls-cert", "", "list", "file with CAs to trust besides the system's", _TO_PULL, network=True),
    Flag("cert", "", "text", "file with a client certificate", _TO_PULL, network=True),
    Flag("key", "", "text", "file with the key of the client certificate", _TO_PULL, network=True),
    Flag("proxy", "", "text", "proxy for everything, whatever NO_PROXY says", _TO_PULL, network=True),
    Flag(
        "concurrency",
        "",
        "text",
        "maximum parallel connections; wins over KIT_CONCURRENCY",
        _TO_PULL,
        network=True,
    ),
    Flag("label", "l", "list", "`key=value`, picks a kit of an index; all must match", _PASSED),
    Flag("log-level", "", "text", "`trace` and `debug` are one level", _PASSED),
    Flag(
        "progress",
        "",
        "text",
        "`none` prints no progress, `plain` lines; `fancy`, the default, a bar on a terminal and lines elsewhere",
        "always `none`",
    ),
    Flag("verbose", "v", "count", "once or more: log level debug", _PASSED),
    Flag("include-remote", "", "switch", "", "", refused="what it fetches has no digest in the kit"),
    Flag("as-skill", "", "optional", "", _PASSED, kit_only=True),
    Flag("config", "", "text", "", "", refused="the Kit engine keeps a store where each digest is checked"),
)

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


def split(text: str) -> tuple[str, ...]:
    """Split KIT_UNPACK_FLAGS as a shell splits words, newlines included. Raises UsageError: an open quote."""
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(
            f"KIT_UNPACK_FLAGS cannot be split into words: {error}", hint="close the quote"
        ) from None


def read(words: tuple[str, ...], *, native: bool) -> dict[str, tuple[str, ...]]:
    """Return the values given for each flag, by its long name; a switch has the value "true" or "false".

    Raises UsageError for a flag that is unknown, refused or without its value, whichever engine: what Kit would make of
    an unknown one, nobody here has checked.
    """
    found: dict[str, tuple[str, ...]] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("--") and word != "--":
            _long(word, rest, found, native=native)
        elif word.startswith("-") and word not in ("-", "--"):
            _short(word, rest, found, native=native)
        else:
            raise UsageError(
                f"KIT_UNPACK_FLAGS contains {word[:80]!r}, which is not a flag",
                hint="the kit is named by storageUri",
            )
    return found


def for_unpack(given: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return what `kit unpack` is given of these flags, each written out in its long form."""
    words = []
    for flag in FLAGS:
        if not flag.network and flag.name != "progress":
            values = given.get(flag.name, ())
            words += [f"--{flag.name}={value}" if value else f"--{flag.name}" for value in values]
    return tuple(words)


def truth(name: str, value: str) -> bool:
    """Read a switch as Go does. Raises UsageError."""
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise UsageError(
        f"--{name} is a switch and cannot be {value[:80]!r}", hint=f"write --{name}=true or --{name}=false"
    )


def _long(word: str, rest: list[str], found: dict[str, tuple[str, ...]], *, native: bool) -> None:
    name, equals, value = word[2:].partition("=")
    flag = next((flag for flag in FLAGS if flag.name == name), None)
    if flag is None:
        raise _unknown(f"--{name[:80]}")
    _check(flag, native=native)
    if not equals:
        value = _value(flag, rest)
    _add(found, flag, value)


def _short(word: str, rest: list[str], found: dict[str, tuple[str, ...]], *, native: bool) -> None:
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        flag = next((flag for flag in FLAGS if flag.short == letter), None)
        if flag is None:
            raise _unknown(f"-{letter}")
        _check(flag, native=native)
        if letters.startswith("="):
            value, letters = letters[1:], ""
        elif letters and flag.kind in ("text", "list"):
            value, letters = letters, ""
        else:
            value = _value(flag, rest)
        _add(found, flag, value)


def _value(flag: Flag, rest: list[str]) -> str:
    if flag.kind in ("text", "list"):
        if not rest:
            raise UsageError(
                f"--{flag.name} in KIT_UNPACK_FLAGS has no value", hint=f"write --{flag.name}=VALUE"
            )
        return rest.pop(0)
    return "true" if flag.kind == "switch" else ""


def _add(found: dict[str, tuple[str, ...]], flag: Flag, value: str) -> None:
    if flag.kind == "switch":
        value = "true" if truth(flag.name, value) else "false"
    found[flag.name] = (*found.get(flag.name, ()), value)


def _check(flag: Flag, *, native: bool) -> None:
    if flag.refused:
        raise UsageError(
            f"--{flag.name} cannot be given in KIT_UNPACK_FLAGS: {flag.refused}", hint="leave it out"
        )
    if flag.kit_only and native:
        raise UsageError(f"--{flag.name} is something only the Kit CLI can do", hint="set KIT_ENGINE=kit")


def _unknown(shown: str) -> UsageError:
    near = nearest(shown, (f"--{flag.name}" for flag in FLAGS if not flag.refused))
    hint = f"did you mean {near}?" if near else "the flags are those of kit unpack"
    return UsageError(f"{shown} in KIT_UNPACK_FLAGS is not a flag of kit unpack", hint=hint)
