"""What a case is: its id, what it asks and of whom, declared beside the test and nowhere else.

    @case("integrity.layer-digest", level=MUST, since="0.1", ref=refs.KIT_VERIFIES)
    def test_layer_digest(lab: Lab) -> None:
        '''A layer with one changed byte is refused.

        Why a user is hurt when it is not.
        '''

The profile is the first part of the id. Ids are never renamed nor used again.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_Function = TypeVar("_Function", bound="Callable[..., object]")
_ATTRIBUTE: Final = "__conformance_case__"


class Level(StrEnum):
    """How much a case asks: a MUST that fails is a failure, a SHOULD that fails is a warning."""

    MUST = "MUST"
    SHOULD = "SHOULD"


MUST: Final = Level.MUST
SHOULD: Final = Level.SHOULD


class Profile(NamedTuple):
    """A set of cases that is asked for as a whole. `needs` names the option without which it cannot run."""

    name: str
    title: str
    needs: str = ""


PROFILES: Final[Mapping[str, Profile]] = {
    profile.name: profile
    for profile in (
        Profile("contract", "What KServe gives to a storage initializer and expects of it"),
        Profile("restart", "The same destination again: restarts, kills, retries, updates"),
        Profile("integrity", "Bytes that are not those that were packed"),
        Profile("registry", "OCI registries, their logins, their moods and the network before them"),
        Profile("modelkit", "Every shape of ModelKit, and those that nobody should unpack"),
        Profile("signature", "Signatures of kits: what is not signed as it must be is not brought"),
        Profile("kit-initializer", "What kit-initializer promises beyond KServe, OCI and Kit"),
        Profile("kit", "A version of Kit: what it packs, what it unpacks", needs="--kit"),
        Profile("manifest", "Kubernetes manifests, by the rules of lint", needs="--manifest"),
        Profile("serving", "Predictions through a real model server", needs="--mlserver"),
    )
}

# Profiles that reports of other origin have, in the same shape: the scenarios of `nox -s e2e`.
REPORTED: Final = frozenset({"cluster"})

# What a subject may claim. A case that asks for a feature which is not claimed is "not-supported", never failed.
FEATURES: Final[Mapping[str, str]] = {
    "ca": "trusts a given authority besides the system's",
    "ca-bundle": "trusts KServe's CA bundle (CA_BUNDLE_CONFIGMAP_NAME, CA_BUNDLE_VOLUME_MOUNT_POINT)",
    "client-cert": "shows a client certificate",
    "docker-config": "reads logins from a Docker config.json",
    "filters": "unpacks only what is asked for (kit unpack --filter)",
    "identity-token": "exchanges an identity token of a Docker config.json",
    "index": "chooses a kit of an index by labels (Kit 1.17)",
    "insecure": "can be told to accept any certificate",
    "keep": "can be told to keep files that are in the way (kit unpack --ignore-existing)",
    "keyless": "verifies signatures of an identity, by a trusted_root.json of Sigstore",
    "kit-engine": "can be told to unpack with a Kit CLI",
    "login": "takes a user and a password",
    "modelpack": "unpacks CNCF ModelPacks",
    "overwrite": "can be told to replace files that are in the way (kit unpack --overwrite)",
    "parents": "brings the model of a parent kit that model.path names",
    "patience": "can be told how long to wait for a registry",
    "patterns": "honours STORAGE_ALLOW_PATTERNS and STORAGE_IGNORE_PATTERNS",
    "proxy": "honours HTTP_PROXY and NO_PROXY",
    "raw": "unpacks raw layers (Kit 1.15)",
    "record": "keeps a record of what it has published in the destination",
    "signature-policy": "verifies signatures by a policy document (docs/signatures.md)",
    "signatures": "verifies signatures of kits by a public key",
    "termination-log": "writes the cause of a failure to the termination message",
    "zstd": "unpacks zstd layers (Kit 1.15)",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One case as the catalogue, the reports and the baselines know it.

    `any_registry` says that it needs no fault and no ledger, and so runs on any registry too. `reaches` is
    what the subject must be able to reach beside the registry.
    """

    id: str
    title: str
    why: str
    level: Level
    features: frozenset[str]
    since: str
    ref: str
    any_registry: bool
    reaches: str
    module: str
    function: str

    @property
    def profile(self) -> str:
        """Return the theme, which is the first part of the id."""
        return self.id.partition(".")[0]

    @property
    def node(self) -> str:
        """Return what a pytest node id of the case ends with."""
        return f"{self.module.rpartition('.')[2]}.py::{self.function}"


class CatalogError(Exception):
    """A case that is declared wrongly, or an id that no case has."""


def case(
    identifier: str,
    *,
    level: Level,
    since: str,
    ref: str,
    features: Iterable[str] = (),
    any_registry: bool = False,
    reaches: str = "",
) -> Callable[[_Function], _Function]:
    """Declare a test function as a case. Title and reason are the docstring's first line and the rest."""

    def declare(function: _Function) -> _Function:
        title, _, why = inspect.cleandoc(function.__doc__ or "").partition("\n")
        declared = Case(
            id=identifier,
            title=title.strip(),
            why=" ".join(why.split()),
            level=level,
            features=frozenset(features),
            since=since,
            ref=ref,
            any_registry=any_registry,
            reaches=reaches,
            module=function.__module__,
            function=function.__name__,
        )
        _check(declared)
        setattr(function, _ATTRIBUTE, declared)
        return function

    return declare


def _check(declared: Case) -> None:
    theme, _, name = declared.id.partition(".")
    if (
        theme not in PROFILES
        or not name
        or not all(part.isalnum() for part in name.replace(".", "-").split("-"))
    ):
        raise CatalogError(f"{declared.id!r} is no id: it begins with a profile and a dot")
    if not declared.title or not declared.why:
        raise CatalogError(f"{declared.id}: the docstring needs a title, a blank line and a reason")
    if unknown := declared.features - FEATURES.keys():
        raise CatalogError(f"{declared.id}: unknown features {', '.join(sorted(unknown))}")
    if not declared.ref.startswith("https://") and not declared.ref.startswith("docs/"):
        raise CatalogError(f"{declared.id}: a case needs the reference that it stands on")


def case_of(function: object) -> Case | None:
    """Return the case that a test function is, if it is one."""
    found = getattr(function, _ATTRIBUTE, None)
    return found if isinstance(found, Case) else None


@cache
def catalog() -> Mapping[str, Case]:
    """Return every case by its id, in the order of the profiles and then of the ids."""
    package = importlib.import_module("kit_conformance.cases")
    found: dict[str, Case] = {}
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if not module.name.rpartition(".")[2].startswith("test_"):
            continue
        for function in vars(importlib.import_module(module.name)).values():
            declared = case_of(function)
            if declared is None:
                continue
            if declared.id in found:
                raise CatalogError(f"two cases are called {declared.id}")
            found[declared.id] = declared
    order = list(PROFILES)
    return {
        each.id: each for each in sorted(found.values(), key=lambda one: (order.index(one.profile), one.id))
    }


def select(
    cases: Iterable[Case], *, profiles: Iterable[str], patterns: Iterable[str] = (), as_of: str = ""
) -> list[Case]:
    """Return the cases of the profiles whose ids match one of the patterns (any, if there are none).

    With `as_of` only those that release of the suite had: a gate does not fail because the suite has grown.
    """
    wanted, globs = set(profiles), tuple(patterns)
    limit = _version(as_of) if as_of else None
    return [
        each
        for each in cases
        if each.profile in wanted
        and (not globs or any(fnmatchcase(each.id, glob) for glob in globs))
        and (limit is None or _version(each.since) <= limit)
    ]


def _version(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split("."))
    except ValueError:
        raise CatalogError(f"{text!r} is no version of the suite") from None
