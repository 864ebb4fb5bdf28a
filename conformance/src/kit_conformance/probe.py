"""`kit-conformance init`: try out how a subject is asked for what cases need, and write that as subject.yaml."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from kit_conformance import lab
from kit_conformance.catalog import FEATURES
from kit_conformance.subject import Ask, Config, ConfigError, SubjectError, connect, load, own_name
from kit_conformance.testbed.registry import Basic, Registry

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping

    from kit_conformance.result import Result
    from kit_conformance.subject import Subject

_SECONDS: Final = 20.0
_LOGIN: Final = ("ann", "a-good-password")
_HOME: Final[Mapping[str, str]] = {"HOME": "{home}"}
_COMMANDS: Final[tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = (
    ((), ("{source}", "{destination}")),
    ((), ("{reference}", "{destination}")),
    (("unpack",), ("{reference}", "-d", "{destination}")),
    (("pull",), ("{reference}", "{destination}")),
)


def _flag(text: str) -> tuple[Ask, Ask]:
    return Ask({"KIT_UNPACK_FLAGS": text}), Ask(arguments=(text,))


_PLAIN: Final = (Ask(), *_flag("--plain-http"), Ask(arguments=("--insecure",)))
# What is tried for each ask, the first that works is taken.
_ASKS: Final[Mapping[str, tuple[Ask, ...]]] = {
    "login": (
        Ask({"KIT_USER": "{user}", "KIT_PASSWORD": "{password}"}),
        Ask({"DOCKER_CONFIG": "{docker_folder}"}),
        Ask(arguments=("--username={user}", "--password={password}")),
    ),
    "docker-config": (Ask({"DOCKER_CONFIG": "{docker_folder}"}),),
    "ca": (
        Ask({"KIT_CA_CERT": "{ca_pem}"}),
        *_flag("--tls-cert={ca_file}"),
        Ask({"SSL_CERT_FILE": "{ca_file}"}),
    ),
    "insecure": _flag("--tls-verify=false"),
    "filter": _flag("--filter={filter}"),
    "overwrite": _flag("--overwrite"),
    "keep": _flag("--ignore-existing"),
    "termination-log": (
        Ask({"KIT_TERMINATION_LOG": "{termination_log}"}),
        Ask({"TERMINATION_LOG": "{termination_log}"}),
    ),
}
_FEATURE: Final[Mapping[str, str]] = {"filter": "filters"}
_VERSIONS: Final = (("--version",), ("version",))


def _arrives(made: lab.Lab, **wish: Any) -> Result | None:  # noqa: ANN401  (of Wish)
    """Run on an ordinary kit, and return the result if the kit has arrived."""
    from kit_conformance.cases import kits  # noqa: PLC0415  (imports the whole testbed)

    result = made.run(made.place(kits.plain()), seconds=_SECONDS, **wish)
    node = result.tree.get(kits.MODEL)
    right = node is not None and node.sha256 == kits.plain().files[kits.MODEL].sha256
    return result if result.outcome.code == 0 and right else None


def _collides(made: lab.Lab, ask: str) -> bool:
    """Say whether a file that is in the way is replaced ("overwrite") or left ("keep"), as the ask says."""
    from kit_conformance.cases import kits  # noqa: PLC0415

    folder = made.destination()
    (folder / kits.MODEL).write_bytes(b"in the way")
    result = made.run(made.place(kits.plain()), to=folder, ask={ask: {}}, seconds=_SECONDS)
    kept = (folder / kits.MODEL).read_bytes() == b"in the way"
    return result.outcome.code == 0 and kept == (ask == "keep")


def _filters(made: lab.Lab) -> bool:
    from kit_conformance.cases import kits  # noqa: PLC0415

    result = made.run(made.place(kits.plain()), ask={"filter": {"filter": "model"}}, seconds=_SECONDS)
    names = {path for path, node in result.tree.items() if node.kind == "file"}
    return result.outcome.code == 0 and kits.MODEL in names and "src/predict.py" not in names


def _explains(made: lab.Lab) -> bool:
    registry = made.registry()
    result = made.run(f"kit://{registry.host}/no/such-kit:v1", seconds=_SECONDS)
    return result.outcome.code not in {0, None} and bool(result.outcome.message.strip())


def _logs_in(made: lab.Lab) -> bool:
    made.registry(auth=Basic({_LOGIN[0]: _LOGIN[1]}))
    return _arrives(made, login=_LOGIN) is not None


def _reads_docker(made: lab.Lab) -> bool:
    registry: Registry = made.registry(auth=Basic({_LOGIN[0]: _LOGIN[1]}))
    login = {"username": _LOGIN[0], "password": _LOGIN[1]}
    return _arrives(made, docker={"auths": {registry.host: login}}) is not None


def _trusts(made: lab.Lab) -> bool:
    made.registry(tls=True)
    return _arrives(made) is not None


def _accepts(made: lab.Lab) -> bool:
    made.registry(tls=True)
    return _arrives(made, trust=False, ask={"insecure": {}}) is not None


_PROOFS: Final[Mapping[str, Callable[[lab.Lab], bool]]] = {
    "login": _logs_in,
    "docker-config": _reads_docker,
    "ca": _trusts,
    "insecure": _accepts,
    "filter": _filters,
    "overwrite": lambda made: _collides(made, "overwrite"),
    "keep": lambda made: _collides(made, "keep"),
    "termination-log": _explains,
}


def probe(subject: Subject, name: str, say: Callable[[str], None]) -> Config:
    """Return a configuration by which the subject does all that was found. Raises SubjectError: nothing arrives."""
    settings = lab.Settings()
    config = _basic(subject, name, settings)
    say(f"a kit arrives with {' '.join([*config.before, *config.arguments])}")
    for ask, candidates in _ASKS.items():
        found = next((each for each in candidates if _holds(subject, config, ask, each, settings)), None)
        say(f"{ask}: {_shown(found) if found else 'not found'}")
        if found:
            feature = _FEATURE.get(ask, ask)
            config = replace(config, ask={**config.ask, ask: found}, features=config.features | {feature})
    subject.config = config
    return replace(config, version=_version(subject, config))


def _basic(subject: Subject, name: str, settings: lab.Settings) -> Config:
    last = "it was never run"
    for before, arguments in _COMMANDS:
        for environment in ({}, _HOME):
            for plain in _PLAIN:
                config = Config(
                    name=name,
                    source="init",
                    before=before,
                    arguments=arguments,
                    environment=environment,
                    ask={"plain-http": plain},
                )
                subject.config = config
                with lab.new(subject, settings) as made:
                    result = _arrives(made)
                    if result:
                        return replace(config, record=_record(result))
                    last = " ".join(map(str, made.runs[-1]["log"][-3:])) or last
    raise SubjectError(f"no way was found to make it download a kit; its last words: {last}")


def _record(result: Result) -> str:
    """Return the one file that the subject keeps for itself, "" if there is none or several."""
    from kit_conformance.cases import kits  # noqa: PLC0415

    known = {*kits.plain().files, "Kitfile"}
    others = [path for path, node in result.tree.items() if node.kind == "file" and path not in known]
    return others[0] if len(others) == 1 else ""


def _holds(subject: Subject, config: Config, ask: str, candidate: Ask, settings: lab.Settings) -> bool:
    """Say whether what is asked for like this is done, and is not done without being asked for."""
    subject.config = replace(config, ask={**config.ask, ask: candidate})
    try:
        with lab.new(subject, settings) as made:
            return _PROOFS[ask](made)
    except (ConfigError, SubjectError):
        return False


def _version(subject: Subject, config: Config) -> tuple[str, ...]:
    if subject.identity.kind != "command":
        return ()
    for words in _VERSIONS:
        if connect(subject.identity.given, replace(config, version=words)).identity.version:
            return words
    return ()


def _shown(ask: Ask) -> str:
    return (
        " ".join([*(f"{key}={value}" for key, value in ask.environment.items()), *ask.arguments])
        or "by itself"
    )


def dump(config: Config, given: str) -> str:
    """Return a configuration as subject.yaml."""
    document: dict[str, Any] = {"name": config.name, "features": sorted(config.features)}
    document |= {
        key: value
        for key, value in (
            ("before", list(config.before)),
            ("arguments", list(config.arguments)),
            ("environment", dict(config.environment)),
            ("version", list(config.version)),
            ("record", config.record),
        )
        if value
    }
    document["ask"] = {name: dict(_parts(ask)) for name, ask in config.ask.items()}
    rest = ", ".join(sorted(set(FEATURES) - config.features - {"record"}))
    head = f"# Found out by `kit-conformance init --subject '{given}'`: read it before you rely on it.\n"
    tail = f"# Not claimed; add to features what it can do besides (kit-conformance list --features):\n#   {rest}\n"
    return head + yaml.safe_dump(document, sort_keys=False, width=110) + tail


def _parts(ask: Ask) -> Iterator[tuple[str, object]]:
    if ask.environment:
        yield "environment", dict(ask.environment)
    if ask.arguments:
        yield "arguments", list(ask.arguments)


def add(verbs: Any) -> None:  # noqa: ANN401  (argparse has no public name for it)
    """Add the verb."""
    starting = verbs.add_parser(
        "init",
        help="try out a subject and write its subject.yaml",
        description="Find out how a subject is asked for plain HTTP, a login, a CA and so on, and write subject.yaml.",
    )
    starting.add_argument("--subject", required=True, metavar="SUBJECT", help="command:… or image:…")
    starting.add_argument(
        "--file", default="subject.yaml", metavar="FILE", help="default: subject.yaml; - prints it"
    )
    starting.add_argument("--force", action="store_true", help="replace a file that is there")
    starting.set_defaults(verb=_init)


def _init(given: argparse.Namespace) -> int:
    path = Path(given.file)
    if given.file != "-" and path.exists() and not given.force:
        return _fail(f"{path} exists: name another file with --file, or use --force")
    try:
        subject = connect(given.subject, load("bare"))
        config = probe(subject, own_name(given.subject), _note)
        subject.close()
    except (SubjectError, ConfigError) as error:
        return _fail(str(error))
    text = dump(config, given.subject)
    if given.file == "-":
        sys.stdout.write(text)
        return 0
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        return _fail(f"{path} cannot be written: {error}")
    _note(f"{path} is written; next: kit-conformance run --subject '{given.subject}' --subject-config {path}")
    return 0


def _note(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _fail(text: str) -> int:
    _note(f"kit-conformance: {text}")
    return 2
