"""The gate: may this go out? A pure function of reports, a policy and a point in time.

profiles: [contract, restart, integrity]     # each must have been run, whole
known-failures: [restart.at-once]            # what a baseline may excuse; nothing, without it
features: [login, ca]                        # what the subject must claim
max-age-days: 14
digest: sha256:…                             # of the image or executable that goes out
suite: "0.1.0"                               # the oldest suite whose word counts
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import yaml

from kit_conformance.catalog import FEATURES, PROFILES, REPORTED, catalog
from kit_conformance.renamed import current
from kit_conformance.report import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kit_conformance.report import Report

_KEYS: Final = frozenset({"profiles", "known-failures", "features", "max-age-days", "digest", "suite"})
_REFUSED: Final = frozenset({State.FAIL, State.XPASS, State.ERROR, State.SKIPPED})
_SETTLED: Final = frozenset({State.PASS, State.WARN})
_RAN: Final = frozenset(State) - {State.SKIPPED, State.NOT_SUPPORTED}


class PolicyError(Exception):
    """A policy that cannot be used."""


@dataclass(frozen=True)
class Policy:
    """What a report must show. Empty values ask for nothing."""

    profiles: tuple[str, ...]
    known_failures: frozenset[str] = frozenset()
    features: frozenset[str] = frozenset()
    max_age: dt.timedelta | None = None
    digest: str = ""
    suite: tuple[int, ...] = ()


def policy(text: str) -> Policy:
    """Read a policy. Raises PolicyError."""
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise PolicyError(f"the policy is not YAML: {error}") from error
    if not isinstance(given, dict) or not given.get("profiles"):
        raise PolicyError("the policy names no profiles, and would let everything pass")
    if unknown := given.keys() - _KEYS:
        raise PolicyError(f"the policy has unknown keys: {', '.join(sorted(map(str, unknown)))}")
    lists = {key: _texts(given, key) for key in ("profiles", "known-failures", "features")}
    lists |= {key: tuple(map(current, lists[key])) for key in ("profiles", "known-failures")}
    for key, known in (("profiles", {*PROFILES, *REPORTED}), ("features", set(FEATURES))):
        if unknown := set(lists[key]) - known:
            raise PolicyError(f"{key}: there is no {', '.join(sorted(unknown))}")
    known_ids = catalog()
    for identifier in lists["known-failures"]:
        if identifier not in known_ids and identifier.partition(".")[0] not in REPORTED:
            raise PolicyError(f"known-failures: there is no {identifier}")
    days = given.get("max-age-days")
    if days is not None and (not isinstance(days, (int, float)) or isinstance(days, bool) or days <= 0):
        raise PolicyError("max-age-days is a number of days, more than 0")
    return Policy(
        profiles=lists["profiles"],
        known_failures=frozenset(lists["known-failures"]),
        features=frozenset(lists["features"]),
        max_age=None if days is None else dt.timedelta(days=days),
        digest=str(given.get("digest") or ""),
        suite=_version(str(given.get("suite") or "")),
    )


def _texts(given: dict[str, object], key: str) -> tuple[str, ...]:
    value = given.get(key) or []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise PolicyError(f"{key} is not a list of texts")
    return tuple(value)


def judge(reports: Sequence[Report], rules: Policy, now: dt.datetime) -> list[str]:
    """Return why it may not go out; nothing, if it may."""
    if not reports:
        return ["there is no report"]
    return [*_each(reports, rules, now), *_profiles(reports, rules)]


def _each(reports: Sequence[Report], rules: Policy, now: dt.datetime) -> Iterator[str]:
    for report in reports:
        name = f"{report.label} of {report.started}"
        yield from (f"{name}: {problem}" for problem in report.problems)
        yield from (f"{name}: {entry} is in the baseline without need" for entry in report.stale)
        if rules.digest and report.subject.get("digest") != rules.digest:
            yield f"{name}: it speaks of {report.subject.get('digest') or 'no digest'}, not of {rules.digest}"
        if missing := sorted(rules.features - set(report.subject.get("features", ()))):
            yield f"{name}: the subject does not claim {', '.join(missing)}"
        if rules.suite and _version(str(report.suite.get("version", ""))) < rules.suite:
            yield f"{name}: made by suite {report.suite.get('version')}, which is too old"
        if rules.max_age is not None:
            yield from _age(report, name, rules.max_age, now)


def _age(report: Report, name: str, limit: dt.timedelta, now: dt.datetime) -> Iterator[str]:
    try:
        age = now - dt.datetime.fromisoformat(report.started)
    except (ValueError, TypeError):
        yield f"{name}: it does not say when it was made"
        return
    if age > limit:
        yield f"{name}: it is {age.days} days old"
    if age < -dt.timedelta(minutes=10):
        yield f"{name}: it was made in the future"


def _profiles(reports: Sequence[Report], rules: Policy) -> Iterator[str]:
    settled = {(_digest(each), case.id) for each in reports for case in each.cases if case.result in _SETTLED}
    for profile in rules.profiles:
        found = [(each, case) for each in reports for case in each.cases if case.profile == profile]
        if not any(case.result in _RAN for _, case in found):
            yield f"{profile}: no case of it was run"
        elif not any(_whole(each) and case.result in _RAN for each, case in found):
            yield f"{profile}: only a part of it was run, chosen by --case"
        for report, case in found:
            # what one run leaves out, another one of the same subject may have shown
            if case.result is State.SKIPPED and (_digest(report), case.id) in settled and _digest(report):
                continue
            if case.result in _REFUSED:
                first = (case.message or case.reason).splitlines() or [""]
                yield f"{case.id}: {case.result.value}: {first[0]}"
            elif case.result is State.XFAIL and case.id not in rules.known_failures:
                yield f"{case.id}: excused by a baseline, and the policy does not allow that"


def _whole(report: Report) -> bool:
    options = report.configuration.get("options")
    return not (isinstance(options, dict) and options.get("--case"))


def _digest(report: Report) -> str:
    return str(report.subject.get("digest") or "")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
