"""The options of a run, as the command line and pytest both take them."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kit_conformance.catalog import PROFILES, Case, catalog, select
from kit_conformance.renamed import current

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kit_conformance.subject import Config


BARE: Final = "bare"  # the configuration of a subject of which nothing is known


class Option(NamedTuple):
    """One option: its name on our command line, pytest's name for it, the variable that stands in for it."""

    name: str
    pytest: str
    help: str
    many: bool = False

    @property
    def variable(self) -> str:
        return "KIT_CONFORMANCE_" + self.name.removeprefix("--").replace("-", "_").upper()

    @property
    def dest(self) -> str:
        return "kc_" + self.name.removeprefix("--").replace("-", "_")


OPTIONS: Final = (
    Option("--subject", "--subject", "what is tested: command:…, image:… or pod:…"),
    Option(
        "--subject-config", "--subject-config", "a subject.yaml, or the name of one that ships with the suite"
    ),
    Option(
        "--profile",
        "--kc-profile",
        "the profiles to run, instead of those of the subject's configuration",
        many=True,
    ),
    Option("--case", "--kc-case", "only cases whose id matches (* and ? as in file names)", many=True),
    Option(
        "--skip", "--kc-skip", "leave out cases whose id matches; they are reported as skipped", many=True
    ),
    Option("--as-of", "--kc-as-of", "only cases that this version of the suite had"),
    Option(
        "--baseline",
        "--kc-baseline",
        "known failures, id to reason and url: a file, or the name of one that ships with the suite",
    ),
    Option(
        "--write-baseline",
        "--kc-write-baseline",
        "write what does not hold to this file, as a baseline to begin with; reasons of --baseline are kept",
    ),
    Option("--results", "--kc-results", "the folder for report.json, report.html, junit.xml and summary.md"),
    Option(
        "--kit",
        "--kc-kit",
        "a Kit binary or a version of Kit, for the subject's PATH and for the profile kit",
    ),
    Option("--kit-mirror", "--kc-kit-mirror", "where releases of Kit are, instead of GitHub"),
    Option(
        "--registry",
        "--kc-registry",
        "host:port of a registry with plain HTTP, for the cases that need no faults",
    ),
    Option(
        "--manifest",
        "--kc-manifest",
        "manifests for the profile manifest: files, folders, kustomizations",
        many=True,
    ),
    Option(
        "--mlserver", "--kc-mlserver", "the Python of an environment with mlserver, for the profile serving"
    ),
    Option("--kube-context", "--kc-kube-context", "the kubeconfig context of a pod: subject"),
    Option("--address", "--kc-address", "an address of this machine that pods reach; found out, without it"),
    Option(
        "--helper-image",
        "--kc-helper-image",
        "an image with sh and tar for what pod: needs beside the subject, instead of busybox",
    ),
    Option("--kserve", "--kc-kserve", "the version of KServe that the report shall name"),
    Option("--slow", "--kc-slow", "give every run this many times as long"),
)


class OptionError(Exception):
    """Options that do not go together."""


@dataclass(frozen=True)
class Options:
    """The options of a run, environment included."""

    values: Mapping[str, Any]

    def text(self, name: str) -> str:
        return str(self.values.get(name) or "")

    def many(self, name: str) -> tuple[str, ...]:
        found = tuple(self.values.get(name) or ())
        return tuple(map(current, found)) if name in {"--profile", "--case", "--skip"} else found

    @property
    def subject(self) -> str:
        return self.text("--subject")

    @property
    def config_name(self) -> str:
        """Return the configuration: that of a bare command, unless another one is given."""
        return self.text("--subject-config") or BARE

    @property
    def slow(self) -> float:
        try:
            factor = float(self.text("--slow") or 1)
        except ValueError as error:
            raise OptionError(f"--slow is a number, not {self.text('--slow')!r}") from error
        if factor <= 0:
            raise OptionError("--slow must be more than 0")
        return factor

    def profiles(self, config: Config) -> tuple[str, ...]:
        """Return the profiles to run: those asked for, or the subject's and those whose input was given."""
        chosen = self.many("--profile")
        if not chosen:
            given = tuple(
                each.name for each in PROFILES.values() if each.needs and self.values.get(each.needs)
            )
            chosen = (*config.profiles, *given)
        for name in chosen:
            if name not in PROFILES:
                raise OptionError(f"there is no profile {name!r}: {', '.join(PROFILES)}")
            needs = PROFILES[name].needs
            if needs and not self.values.get(needs):
                raise OptionError(f"the profile {name} needs {needs}")
        return tuple(dict.fromkeys(chosen))

    def cases(self, config: Config) -> list[Case]:
        """Return the cases that are selected; OptionError when there are none."""
        patterns = self.many("--case")
        found = select(
            catalog().values(),
            profiles=PROFILES if patterns and not self.many("--profile") else self.profiles(config),
            patterns=patterns,
            as_of=self.text("--as-of"),
        )
        found = [
            each
            for each in found
            if not PROFILES[each.profile].needs or self.values.get(PROFILES[each.profile].needs)
        ]
        if not found:
            raise OptionError("no case is selected")
        return found


def configuration(options: Options) -> Config:
    """Return the subject's configuration; a bare one has the name of the subject itself. Raises ConfigError."""
    from kit_conformance.subject import load, own_name  # noqa: PLC0415  (the plugin alone needs neither)

    config = load(options.config_name)
    return replace(config, name=own_name(options.subject)) if options.config_name == BARE else config


def read(get: Callable[[str], Any]) -> Options:
    """Return the options of pytest, each with its variable of the environment standing in for it.

    The subject alone must be given on the command line: without it the plugin does nothing.
    """
    values: dict[str, Any] = {}
    for option in OPTIONS:
        value = get(option.dest)
        if not value and option.name != "--subject":
            text = os.environ.get(option.variable, "")
            value = [each for each in text.split(",") if each] if option.many else text
        values[option.name] = value
    return Options(values)
