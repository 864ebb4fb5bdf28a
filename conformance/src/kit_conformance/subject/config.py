"""subject.yaml: how to ask a subject for what the cases need, and what it claims to be able to do.

    name: my-initializer
    features: [login, ca]
    arguments: ["{source}", "{destination}"]     # for each pair, after the command
    environment: {LOG_LEVEL: debug}              # for each run
    ask:
      plain-http: {environment: {FLAGS: --plain-http}}
      ca: {environment: {FLAGS: "--tls-cert={ca_file}"}}
      login: {environment: {USER: "{user}", PASSWORD: "{password}"}}

When several things are asked for that set the same variable, their values are joined by a space.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from kit_conformance.catalog import FEATURES, PROFILES
from kit_conformance.renamed import current
from kit_conformance.shipped import shipped

if TYPE_CHECKING:
    from collections.abc import Mapping

# What can be asked for, with the placeholders that its templates may use.
ASKS: Final[Mapping[str, frozenset[str]]] = {
    "ca": frozenset({"ca_file", "ca_pem"}),
    "client-cert": frozenset({"cert_file", "key_file"}),
    "docker-config": frozenset({"docker_config", "docker_folder"}),
    "filter": frozenset({"filter"}),
    "insecure": frozenset(),
    "keep": frozenset(),
    "kit-engine": frozenset({"kit_folder"}),
    "label": frozenset({"label"}),
    "login": frozenset({"user", "password", "registry", "docker_config", "docker_folder"}),
    "overwrite": frozenset(),
    "patience": frozenset({"seconds", "limit"}),
    "plain-http": frozenset(),
    "signature-identity": frozenset({"identity", "issuer"}),
    "signature-key": frozenset({"key_pem", "key_file"}),
    "signature-policy": frozenset({"policy"}),
    "termination-log": frozenset({"termination_log"}),
    "trusted-root": frozenset({"trusted_root", "trusted_root_file"}),
}
# The asks without which a feature cannot be shown.
_FEATURE_ASKS: Final[Mapping[str, tuple[str, ...]]] = {
    "ca": ("ca",),
    "client-cert": ("client-cert",),
    "docker-config": ("docker-config",),
    "filters": ("filter",),
    "identity-token": ("docker-config",),
    "index": ("label",),
    "insecure": ("insecure",),
    "keep": ("keep",),
    "keyless": ("signature-identity", "trusted-root"),
    "kit-engine": ("kit-engine",),
    "login": ("login",),
    "overwrite": ("overwrite",),
    "patience": ("patience",),
    "signature-policy": ("signature-policy", "trusted-root"),
    "signatures": ("signature-key",),
    "termination-log": ("termination-log",),
}
_COMMON: Final = frozenset({"home", "kit"})
_PAIR: Final = frozenset({"source", "destination", "reference"})
_DEFAULT_PROFILES: Final = ("contract", "restart", "integrity", "registry", "modelkit")


class ConfigError(Exception):
    """A subject.yaml that cannot be used; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What is added to a run when one thing is asked for."""

    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Config:
    """A subject.yaml as values. `source` says where it came from."""

    name: str
    source: str
    features: frozenset[str] = frozenset()
    profiles: tuple[str, ...] = _DEFAULT_PROFILES
    before: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ("{source}", "{destination}")
    environment: Mapping[str, str] = field(default_factory=dict)
    inherit: tuple[str, ...] = ()
    ask: Mapping[str, Ask] = field(default_factory=dict)
    record: str = ""
    version: tuple[str, ...] = ()
    network: str = "host"
    project: str = ""

    def asks(self, name: str, values: Mapping[str, str]) -> Ask:
        """Return what asking for one thing adds, with the values filled in."""
        template = self.ask.get(name)
        if template is None:
            raise ConfigError(f"{self.source} does not say how to ask for {name}")
        return Ask(
            {key: fill(text, values) for key, text in template.environment.items()},
            tuple(fill(text, values) for text in template.arguments),
        )


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replace `{name}` by its value; other braces (of JSON, say) are written twice."""
    return string.Formatter().vformat(text, (), values)


def builtin() -> dict[str, str]:
    """Return the configurations that ship with the suite, name to text."""
    return shipped("subject", "data")


def load(name: str) -> Config:
    """Read a configuration: a file, or the name of one that ships with the suite. Raises ConfigError."""
    ours = builtin()
    if name in ours:
        return parse(ours[name], name)
    path = Path(name)
    try:
        return parse(path.read_text("utf-8"), name)
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(ours)
        raise ConfigError(f"{name} cannot be read ({error}), and is none of {known}") from error


def parse(text: str, source: str) -> Config:
    """Make a configuration of YAML text. Raises ConfigError."""
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source} is not YAML: {error}") from error
    where = _Where(source)
    top = where.mapping(given, "the whole")
    known = {each for each in Config.__dataclass_fields__ if each != "source"}
    if unknown := top.keys() - known:
        raise ConfigError(f"{source} has unknown keys: {', '.join(sorted(unknown))}")
    if not isinstance(top.get("name"), str):
        raise ConfigError(f"{source}: name is missing")
    ask = {key: _ask(where, key, value) for key, value in where.mapping(top.get("ask"), "ask").items()}
    config = Config(
        name=top["name"],
        source=source,
        features=frozenset(where.words(top.get("features"), "features")),
        profiles=tuple(map(current, where.words(top.get("profiles"), "profiles"))) or _DEFAULT_PROFILES,
        before=where.words(top.get("before"), "before"),
        arguments=where.words(top.get("arguments"), "arguments") or ("{source}", "{destination}"),
        environment=where.texts(top.get("environment"), "environment"),
        inherit=where.words(top.get("inherit"), "inherit"),
        ask=ask,
        record=str(top.get("record", "")),
        version=where.words(top.get("version"), "version"),
        network=str(top.get("network", "host")),
        project=str(top.get("project", "")),
    )
    _check(config)
    return config


def _ask(where: _Where, name: str, value: object) -> Ask:
    if name not in ASKS:
        raise ConfigError(f"{where.source}: nothing is asked for as {name!r}; {', '.join(ASKS)} are")
    given = where.mapping(value, f"ask.{name}")
    if unknown := given.keys() - {"environment", "arguments"}:
        raise ConfigError(f"{where.source}: ask.{name} has unknown keys: {', '.join(sorted(unknown))}")
    return Ask(
        where.texts(given.get("environment"), f"ask.{name}.environment"),
        where.words(given.get("arguments"), f"ask.{name}.arguments"),
    )


def _check(config: Config) -> None:
    for what, unknown in (
        ("features", set(config.features - FEATURES.keys())),
        ("profiles", set(config.profiles) - PROFILES.keys()),
    ):
        if unknown:
            raise ConfigError(f"{config.source}: unknown {what} {', '.join(sorted(unknown))}")
    if config.network not in {"host", "bridge"}:
        raise ConfigError(f"{config.source}: network is host or bridge, not {config.network!r}")
    _check_features(config)
    for name, ask in config.ask.items():
        for text in (*ask.environment.values(), *ask.arguments):
            _placeholders(config.source, f"ask.{name}", text, ASKS[name] | _COMMON)
    for text in config.environment.values():
        _placeholders(config.source, "environment", text, _COMMON)
    for text in config.arguments:
        _placeholders(config.source, "arguments", text, _PAIR)


def _check_features(config: Config) -> None:
    for feature in sorted(config.features):
        for needed in _FEATURE_ASKS.get(feature, ()):
            if needed not in config.ask:
                raise ConfigError(
                    f"{config.source} claims {feature} and does not say how to ask for {needed}"
                )


def _placeholders(source: str, where: str, text: str, allowed: frozenset[str]) -> None:
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
    except ValueError as error:
        raise ConfigError(f"{source}: {where} {text!r}: {error}") from error
    if unknown := names - allowed:
        raise ConfigError(
            f"{source}: {where} has {', '.join(sorted(unknown))}, where {', '.join(sorted(allowed))} are known"
        )


@dataclass(frozen=True, slots=True)
class _Where:
    """Reads values of YAML, and says in which file and under which key one is wrong."""

    source: str

    def mapping(self, value: object, key: str) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise ConfigError(f"{self.source}: {key} is not a map")
        return value

    def words(self, value: object, key: str) -> tuple[str, ...]:
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise ConfigError(f"{self.source}: {key} is not a list of texts")
        return tuple(value)

    def texts(self, value: object, key: str) -> dict[str, str]:
        return {name: str(text) for name, text in self.mapping(value, key).items()}
