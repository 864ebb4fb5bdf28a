"""The options of a run, as the command line and pytest both take them."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kit_conformance.catalog import PROFILES, Case, catalog, select
from kit_conformance.nearest import meant
from kit_conformance.renamed import current

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kit_conformance.subject import Config


_YES: Final = frozenset({"1", "true", "yes", "on"})
BARE: Final = "bare"  # the configuration of a subject of which nothing is known


class Option(NamedTuple):
    """One option: its name on our command line, pytest's name for it, the variable that stands in for it."""

    name: str
    pytest: str
    metavar: str
    help: str
    many: bool = False
    switch: bool = False

    @property
    def variable(self) -> str:
        return "KIT_CONFORMANCE_" + self.name.removeprefix("--").replace("-", "_").upper()

    @property
    def dest(self) -> str:
        return "kc_" + self.name.removeprefix("--").replace("-", "_")

    @property
    def action(self) -> dict[str, Any]:
        """Return what argparse and pytest are told about the option."""
        if self.switch:
            return {"action": "store_true", "dest": self.dest, "help": self.help}
        action = "append" if self.many else "store"
        return {"action": action, "dest": self.dest, "help": self.help, "metavar": self.metavar}


OPTIONS: Final = (
    Option("--subject", "--subject", "SUBJECT", "what is tested: command:…, image:… or pod:…"),
    Option(
        "--subject-config",
        "--subject-config",
        "FILE",
        "how to ask the subject for what cases need: a subject.yaml, or the name of one that ships with the suite "
        "(default: bare, which asks for nothing)",
    ),
    Option(
        "--profile",
        "--kc-profile",
        "PROFILE",
        "run this profile; may be given several times (default: those that the subject's configuration names)",
        many=True,
    ),
    Option(
        "--case", "--kc-case", "ID", "run only cases whose id matches; * and ? as in file names", many=True
    ),
    Option(
        "--skip", "--kc-skip", "ID", "leave out cases whose id matches; the report says skipped", many=True
    ),
    Option("--as-of", "--kc-as-of", "VERSION", "run only cases that this version of the suite had"),
    Option(
        "--baseline",
        "--kc-baseline",
        "FILE",
        "known failures, with reasons: a file, or the name of one that ships with the suite",
    ),
    Option(
        "--write-baseline",
        "--kc-write-baseline",
        "FILE",
        "write what fails to this file, as a baseline to begin with; reasons of --baseline are kept",
    ),
    Option(
        "--results",
        "--kc-results",
        "FOLDER",
        "where report.json, report.html, junit.xml and summary.md are written (default: results)",
    ),
    Option("--keep", "--kc-keep", "", "keep what each case leaves: volumes, output, requests", switch=True),
    Option(
        "--no-preflight",
        "--kc-no-preflight",
        "",
        "run the cases even if the subject does not download an ordinary kit",
        switch=True,
    ),
    Option(
        "--kit",
        "--kc-kit",
        "KIT",
        "a Kit binary or a version of Kit, for the subject's PATH and for profile kit",
    ),
    Option("--kit-mirror", "--kc-kit-mirror", "URL", "where to download releases of Kit (default: GitHub)"),
    Option(
        "--registry",
        "--kc-registry",
        "HOST:PORT",
        "a registry with plain HTTP, for the cases that need no faults",
    ),
    Option(
        "--manifest",
        "--kc-manifest",
        "PATH",
        "manifests for profile manifest: a file, a folder or a kustomization; may be given several times",
        many=True,
    ),
    Option(
        "--mlserver",
        "--kc-mlserver",
        "PYTHON",
        "the Python of an environment with mlserver, for profile serving",
    ),
    Option("--kube-context", "--kc-kube-context", "NAME", "the kubeconfig context of a pod: subject"),
    Option(
        "--address",
        "--kc-address",
        "ADDRESS",
        "an address of this machine that pods reach (default: detected)",
    ),
    Option(
        "--helper-image",
        "--kc-helper-image",
        "IMAGE",
        "an image with sh and tar for the helper pods of a pod: subject (default: busybox)",
    ),
    Option("--kserve", "--kc-kserve", "VERSION", "the version of KServe to name in the report"),
    Option("--slow", "--kc-slow", "FACTOR", "give every run this many times as long (default: 1)"),
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

    def on(self, name: str) -> bool:
        """Say whether a switch is given."""
        return bool(self.values.get(name))

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
                known = ", ".join(PROFILES)
                raise OptionError(f"there is no profile {name!r}: {known}{meant(name, PROFILES)}")
            needs = PROFILES[name].needs
            if needs and not self.values.get(needs):
                raise OptionError(f"the profile {name} needs {needs}")
        return tuple(dict.fromkeys(chosen))

    def cases(self, config: Config) -> list[Case]:
        """Return the cases that are selected; OptionError when there are none."""
        patterns = self.many("--case")
        for name in (*patterns, *self.many("--skip")):
            if name not in catalog() and not {*name} & {*"*?["}:
                raise OptionError(f"there is no case {name!r}{meant(name, catalog())}")
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
            raise OptionError("no case is selected: the profiles have none that --case and --as-of allow")
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
            value = text.lower() in _YES if option.switch else value
        values[option.name] = value
    return Options(values)
