"""A baseline: which cases a subject is known to fail, and why. Strict both ways.

    restart.second-run:
      reason: kit unpack refuses files that are there already
      url: https://github.com/kitops-ml/kitops/issues/448

An entry for a case that holds after all is a failure (xpass), one that names no case is an error.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from kit_conformance.report import CaseRecord


class BaselineError(Exception):
    """A baseline that cannot be used."""


class Entry(NamedTuple):
    """Why a case is known to fail, and where that is discussed."""

    reason: str
    url: str


def load(path: Path | str, known: Collection[str]) -> dict[str, Entry]:
    """Read a baseline; every id must be one of `known`. Raises BaselineError."""
    try:
        return parse(Path(path).read_text("utf-8"), str(path), known)
    except OSError as error:
        raise BaselineError(f"{path} cannot be read: {error}") from error


def parse(text: str, source: str, known: Collection[str]) -> dict[str, Entry]:
    """Make a baseline of YAML text."""
    try:
        given = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise BaselineError(f"{source} is not YAML: {error}") from error
    if not isinstance(given, dict):
        raise BaselineError(f"{source} is not a map of case ids")
    if unknown := sorted(str(each) for each in given if each not in known):
        raise BaselineError(f"{source} names cases that do not exist: {', '.join(unknown)}")
    return {identifier: _entry(source, identifier, value) for identifier, value in given.items()}


def _entry(source: str, identifier: str, value: object) -> Entry:
    if not isinstance(value, dict) or value.keys() != {"reason", "url"}:
        raise BaselineError(f"{source}: {identifier} needs a reason and a url, and nothing else")
    reason, url = str(value["reason"]).strip(), str(value["url"])
    if not reason or not url.startswith("https://"):
        raise BaselineError(f"{source}: {identifier} needs a reason and an https url")
    return Entry(reason, url)


def write(records: Iterable[CaseRecord], old: Mapping[str, Entry]) -> str:
    """Return a baseline of everything that does not hold in a run; reasons that are known are kept.

    New entries have what was found as their reason and the case's own reference: a start, to be edited.
    """
    document = {}
    for record in records:
        if record.result.value in {"fail", "warn", "xfail"}:
            entry = old.get(record.id) or Entry(record.message.splitlines()[0], record.ref)
            document[record.id] = entry._asdict()
    return yaml.safe_dump(document, sort_keys=True, allow_unicode=True, width=110)
