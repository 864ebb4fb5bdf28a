"""A baseline: which cases a subject is known to fail, and why. Strict both ways.

    restart.second-run:
      reason: kit unpack refuses files that are there already
      url: https://github.com/kitops-ml/kitops/issues/448

An entry for a case that holds after all is a failure (xpass), one that names no case is an error. The url, where
the matter is discussed or can be read, may be left out. Baselines that ship with the suite go by their names.

`only-with: released-kit` limits an entry to Kits that say a version: a build from source does not look for updates.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import yaml

from kit_conformance.renamed import current
from kit_conformance.shipped import shipped

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from kit_conformance.report import CaseRecord


RELEASED_KIT: Final = "released-kit"
_KEPT: Final = frozenset({"fail", "warn", "xfail"})


class BaselineError(Exception):
    """A baseline that cannot be used."""


class Entry(NamedTuple):
    """Why a case is known to fail, and where that is discussed."""

    reason: str
    url: str = ""
    only_with: str = ""


def builtin() -> dict[str, str]:
    """Return the baselines that ship with the suite, name to text."""
    return shipped("baselines")


def load(path: Path | str, known: Collection[str]) -> dict[str, Entry]:
    """Read a baseline, a file or the name of one that ships with the suite. Raises BaselineError.

    Every id must be one of `known`.
    """
    ours = builtin()
    if str(path) in ours:
        return parse(ours[str(path)], str(path), known)
    try:
        return parse(Path(path).read_text("utf-8"), str(path), known)
    except (OSError, UnicodeDecodeError) as error:
        raise BaselineError(f"{path} cannot be read ({error}), and is none of {', '.join(ours)}") from error


def parse(text: str, source: str, known: Collection[str]) -> dict[str, Entry]:
    """Make a baseline of YAML text."""
    try:
        given = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise BaselineError(f"{source} is not YAML: {error}") from error
    if not isinstance(given, dict):
        raise BaselineError(f"{source} is not a map of case ids")
    given = {current(str(each)): value for each, value in given.items()}
    if unknown := sorted(str(each) for each in given if each not in known):
        raise BaselineError(f"{source} names cases that do not exist: {', '.join(unknown)}")
    return {identifier: _entry(source, identifier, value) for identifier, value in given.items()}


def _entry(source: str, identifier: str, value: object) -> Entry:
    if not isinstance(value, dict) or not {"reason"} <= value.keys() <= {"reason", "url", "only-with"}:
        raise BaselineError(
            f"{source}: {identifier} needs a reason, may have url and only-with, and nothing else"
        )
    only_with = str(value.get("only-with") or "")
    if only_with not in {"", RELEASED_KIT}:
        raise BaselineError(f"{source}: {identifier}: only-with is {RELEASED_KIT}, not {only_with!r}")
    entry = Entry(str(value["reason"] or "").strip(), str(value.get("url") or ""), only_with)
    if not entry.reason:
        raise BaselineError(f"{source}: {identifier} needs a reason")
    if entry.url and not entry.url.startswith("https://"):
        raise BaselineError(f"{source}: the url of {identifier} is not one of https")
    return entry


def write(records: Iterable[CaseRecord], old: Mapping[str, Entry]) -> str:
    """Return a baseline of everything that does not hold in a run; entries that are known are kept.

    New ones have what was found as their reason: a start, to be put into words.
    """
    document = {}
    for record in records:
        if record.result.value in _KEPT:
            found = (record.message.splitlines() or [record.title])[0]
            entry = old.get(record.id) or Entry(found)
            more = {"url": entry.url, "only-with": entry.only_with}
            document[record.id] = {
                "reason": entry.reason,
                **{key: text for key, text in more.items() if text},
            }
    return yaml.safe_dump(document, sort_keys=True, allow_unicode=True, width=110)
