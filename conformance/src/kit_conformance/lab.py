"""What a case works with: registries and kits to arrange, the subject to run, and a record of it all."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, TypedDict, Unpack

from kit_conformance import tree as trees
from kit_conformance.evidence import Redactor, last, line
from kit_conformance.result import Finding, Result
from kit_conformance.subject import ALWAYS, Ask, Invocation, Subject, Volume
from kit_conformance.subject.base import SOME_UID
from kit_conformance.testbed.kits import push
from kit_conformance.testbed.registry import TLS, Registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kit_conformance.subject import Process
    from kit_conformance.testbed.kits import ModelKit
    from kit_conformance.testbed.registry.auth import Auth

SECONDS: Final = 60.0  # in which a run of a case must end; what a case moves are kilobytes on loopback
_IMPATIENT: Final = 20.0  # the same where a subject has been told to wait for 2 s at most
_SEARCHED: Final = 1024 * 1024  # bytes of a file in which a secret is looked for
_PATIENT: Final = 100.0  # and where it cannot be told: longer than anybody's default for a dead connection


class NotSupportedError(Exception):
    """A case that does not apply to this subject, as it turned out."""


@dataclass(frozen=True)
class Settings:
    """What a whole run of the suite was given. `registry` is a registry that is there already, `host:port`."""

    factor: float = 1.0
    registry: str = ""
    kit: str = ""
    mlserver: str = ""
    manifests: tuple[str, ...] = ()
    keep: bool = False  # whether what a case leaves is kept


class Wish(TypedDict, total=False):
    """What a run is like beside the URIs that it is given; all of it may be left out."""

    to: Path | Sequence[Path]  # the destinations: new volumes, without it
    login: tuple[str, str] | None  # a user and a password for the registry
    login_host: str  # of which registry the login is, instead of the first URI's
    docker: Mapping[str, object] | None  # the contents of a Docker config.json
    ask: Mapping[str, Mapping[str, str]]  # other things to ask for, with their values
    environment: Mapping[str, str]
    arguments: Sequence[str]  # instead of those that are made of the URIs
    trust: bool  # whether it is told to trust the registries' authority
    plain_http: bool  # whether it is told which registries speak plain HTTP
    home: bool  # whether there is a home to write to
    uid: int | None
    only_volumes: bool  # whether everything but the volumes is unwritable
    open_files: int | None
    umask: int
    memory: int | None  # bytes
    patience: bool  # whether it is told to wait 2 s at most, if it can be told
    seconds: float | None  # in which it has to end


@dataclass
class Running:
    """A run under way."""

    lab: Lab
    process: Process
    destinations: tuple[Path, ...]
    record: dict[str, Any]
    seconds: float

    def kill(self) -> Result:
        """Kill it as a kubelet does at the end of its patience, and return what is left."""
        self.process.signal(9)
        return self.finish()

    def terminate(self, number: int = 15) -> None:
        """Send a signal to the main process."""
        self.process.signal(number)

    def finish(self, seconds: float | None = None) -> Result:
        """Wait for the end and return the result."""
        return self.lab.finish(self, seconds or self.seconds)


@dataclass
class Lab:
    """One case's: nothing of it is shared, everything of it ends with the case."""

    subject: Subject
    settings: Settings
    folder: Path
    redactor: Redactor = field(default_factory=Redactor)
    registries: list[Registry] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    _volumes: list[Volume] = field(default_factory=list)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _count: int = 0

    # what a case arranges

    def registry(
        self, *, auth: Auth | None = None, tls: bool | TLS = False, address: str = "", absolute: bool = False
    ) -> Registry:
        """Start a registry that the subject can reach, until the end of the case."""
        where = address or self.subject.address
        names = ("127.0.0.1", "::1", "localhost", where)
        authority = (
            (TLS(names=tuple(dict.fromkeys(names))) if tls else None) if isinstance(tls, bool) else tls
        )
        registry = Registry(address=where, auth=auth, tls=authority, absolute=absolute)
        self._stack.enter_context(registry)
        self.registries.append(registry)
        return registry

    def place(self, kit: ModelKit, repository: str = "iris", tag: str = "v1") -> str:
        """Put a kit on a registry, whichever, and return its reference; for cases that need no faults."""
        if self.settings.registry:
            own = self.folder.name.replace("_", "0")  # two `_` may be no name
            return push(kit, self.settings.registry, f"conformance/{own}/{repository}", tag)
        registry = self.registries[0] if self.registries else self.registry()
        return registry.add(kit, repository, tag)

    def enter(self, manager: contextlib.AbstractContextManager[Any]) -> Any:  # noqa: ANN401  (whatever it gives)
        """Enter a context that ends with the case."""
        return self._stack.enter_context(manager)

    def volume(self) -> Volume:
        """Make a new, empty volume, as a new pod has."""
        self._count += 1
        volume = self.subject.volume(self.folder / f"volume-{self._count}")
        self._volumes.append(volume)
        return volume

    def destination(self) -> Path:
        """Return a new, empty destination: the root of a new volume."""
        return self.volume().host

    def scratch(self, name: str) -> Path:
        """Return a new folder for what the case itself needs."""
        self._count += 1
        folder = self.folder / f"{name}-{self._count}"
        folder.mkdir()
        return folder

    # what it does with the subject

    def run(self, *uris: str, **wish: Unpack[Wish]) -> Result:
        """Run the subject to its end; arguments as of `start`."""
        return self.start(*uris, **wish).finish()

    def works(self, *uris: str, **wish: Unpack[Wish]) -> Result:
        """Show that without what the case is about all is well: the same run into a new volume succeeds.

        Every case that expects a failure begins with this, or a subject that always fails would pass it.
        """
        result = self.run(*uris, **wish)
        if result.outcome.code != 0 or not any(node.kind == "file" for node in result.tree.values()):
            raise Finding(
                "it does not bring an ordinary kit, so nothing can be said of this case",
                [f"exit code {result.outcome.code}", *result.outcome.log.splitlines()[-4:]],
            )
        return result

    def start(self, *uris: str, **wish: Unpack[Wish]) -> Running:
        """Start the subject on these URIs, each into its own destination.

        How to speak to the registries of this lab is asked for by itself, unless the wish says otherwise.
        """
        destinations = self._destinations(wish.get("to"), len(uris))
        self._count += 1
        folder = self.folder / f"run-{self._count}"
        folder.mkdir()
        wanted = dict(wish.get("ask", {}))
        patience = wish.get("patience", False)
        if patience and "patience" in self.subject.config.ask:
            factor = self.settings.factor
            wanted["patience"] = {"seconds": f"{2 * factor:g}", "limit": f"{6 * factor:g}"}
        values = self._values(folder, uris, wish)
        for name in self._manners(wish):
            wanted.setdefault(name, {})
        if wish.get("login") is not None:
            wanted["login"] = {}
        if wish.get("docker") is not None:
            wanted["docker-config"] = {}
        if "termination-log" in self.subject.config.ask:
            wanted["termination-log"] = {}
        asks = [
            self.subject.config.asks(name, {**values, **given, **self._files(folder, given)})
            for name, given in wanted.items()
        ]
        invocation = Invocation(
            arguments=self._arguments(uris, destinations, asks, wish.get("arguments")),
            environment=self._environment(folder, asks, wish),
            volumes=tuple(self._volumes),
            folder=folder,
            uid=wish.get("uid"),
            only_volumes=wish.get("only_volumes", False),
            open_files=wish.get("open_files"),
            umask=wish.get("umask", 0o022),
            memory=wish.get("memory"),
        )
        record: dict[str, Any] = {
            "command": [self.subject.config.name, *invocation.arguments],
            "environment": self.redactor.environment(
                (name, value) for name, value in invocation.environment.items() if ALWAYS.get(name) != value
            ),
        }
        self.runs.append(record)
        bound = wish.get("seconds") or (
            SECONDS if not patience else _IMPATIENT if "patience" in wanted else _PATIENT
        )
        process = self.subject.start(invocation)
        return Running(self, process, destinations, record, bound * self.settings.factor)

    def finish(self, running: Running, seconds: float) -> Result:
        """Wait for a run that was started; `Running.finish` is the way to say it."""
        outcome = running.process.wait(seconds)
        ending: object = (
            outcome.code if outcome.code is not None else f"not ended after {outcome.seconds:.1f} s"
        )
        running.record.update(
            exit=ending,
            seconds=round(outcome.seconds, 3),
            message=self.redactor.text(outcome.message.strip()),
            log=last(self.redactor.text(outcome.output).splitlines(), 30),
        )
        if outcome.peak:
            running.record["memory"] = outcome.peak
        found = tuple(trees.read(each) for each in running.destinations)
        own = frozenset(filter(None, [self.subject.config.record]))
        return Result(outcome, found, own, tuple(self._leaks(running, outcome.output, outcome.message)))

    def _leaks(self, running: Running, output: str, message: str) -> Iterable[str]:
        if self.redactor.found_in(output):
            yield "the log"
        if self.redactor.found_in(message):
            yield "the termination message"
        for folder in running.destinations:
            for path, content in trees.contents(folder, _SEARCHED):
                if self.redactor.found_in(content.decode("latin-1")):
                    yield f"the file {trees.shown(path)}"

    # how a run is put together

    def _destinations(self, to: Path | Sequence[Path] | None, count: int) -> tuple[Path, ...]:
        if to is None:
            return tuple(self.destination() for _ in range(max(1, count)))
        return (to,) if isinstance(to, Path) else tuple(to)

    def _arguments(
        self,
        uris: Sequence[str],
        destinations: Sequence[Path],
        asks: Sequence[Ask],
        given: Sequence[str] | None,
    ) -> tuple[str, ...]:
        config = self.subject.config
        words = [*config.before]
        if given is not None:
            return (*words, *given)
        for uri, destination in zip(uris, destinations, strict=True):
            values = {
                "source": uri,
                "reference": uri.removeprefix("kit://"),
                "destination": self._seen(destination),
            }
            words += [text.format_map(values) for text in config.arguments]
        return (*words, *(word for each in asks for word in each.arguments))

    def _seen(self, path: Path) -> str:
        volume = next(each for each in self._volumes if path.is_relative_to(each.host))
        return volume.seen(path)

    def _environment(self, folder: Path, asks: Sequence[Ask], wish: Wish) -> dict[str, str]:
        config, home = self.subject.config, wish.get("home", True)
        (folder / "home").mkdir()
        values = {
            "home": self.subject.seen(folder / "home", folder),
            "kit": self.settings.kit,
        }
        found = dict(ALWAYS)
        found |= {
            name: text.format_map(values)
            for name, text in config.environment.items()
            if home or "{home}" not in text
        }
        if not home:  # as HOME=/ is for a user that the image does not know: there, and not to be written
            (folder / "no-home").mkdir(mode=0o555)
            found["HOME"] = self.subject.seen(folder / "no-home", folder)
        joined: dict[str, list[str]] = {}
        for each in (*(ask.environment for ask in asks), wish.get("environment", {})):
            for name, value in each.items():
                joined.setdefault(name, []).append(value)
        return found | {name: " ".join(filter(None, texts)) for name, texts in joined.items()}

    def _manners(self, wish: Wish) -> Iterable[str]:
        if self.settings.registry and wish.get("plain_http", True) and not self.registries:
            yield "plain-http"
        encrypted = [each.tls is not None for each in self.registries]
        if wish.get("plain_http", True) and False in encrypted:
            yield "plain-http"
        if wish.get("trust", True) and True in encrypted:
            yield "ca"

    def _values(self, folder: Path, uris: Sequence[str], wish: Wish) -> dict[str, str]:
        """Return the values of all placeholders, with the files that they name in place."""
        login, docker = wish.get("login"), wish.get("docker")
        values = {"termination_log": self.subject.seen(folder / "message", folder)}
        tls = next((each.tls for each in self.registries if each.tls is not None), None)
        if tls is not None:
            for name, path in (
                ("ca_file", tls.ca_file),
                ("cert_file", tls.client_cert),
                ("key_file", tls.client_key),
            ):
                copy = folder / path.name
                shutil.copyfile(path, copy)
                copy.chmod(0o644)
                values[name] = self.subject.seen(copy, folder)
            values["ca_pem"] = tls.ca_pem
        if login is not None:
            registry = wish.get("login_host") or (
                uris[0].removeprefix("kit://").partition("/")[0] if uris else ""
            )
            self.redactor.add(login[1], login[0])
            values |= {"user": login[0], "password": login[1], "registry": registry}
            docker = docker or {"auths": {registry: {"auth": b64encode(":".join(login).encode()).decode()}}}
        if docker is not None:
            text = json.dumps(docker)
            (folder / "docker").mkdir()
            (folder / "docker" / "config.json").write_text(text, "utf-8")
            values |= {
                "docker_config": text,
                "docker_folder": self.subject.seen(folder / "docker", folder),
            }
        return values

    def _files(self, folder: Path, given: Mapping[str, str]) -> dict[str, str]:
        """Return values that name a file with what another one holds: `key_file` for `key_pem`."""
        found: dict[str, str] = {}
        for name, file in (("key_pem", "key_file"), ("trusted_root", "trusted_root_file")):
            if name in given:
                (folder / file).write_text(given[name], "utf-8")
                found[file] = self.subject.seen(folder / file, folder)
        return found

    # what is left of it

    def evidence(self) -> dict[str, Any]:
        """Return the runs and the requests, without secrets, as they go into the report."""
        requests = []
        for number, registry in enumerate(self.registries):
            registry.ledger.settle(1.0)
            label = f"registry {number + 1}" if len(self.registries) > 1 else "registry"
            requests += [f"{label}: {line(entry)}" for entry in registry.ledger]
            requests += [f"{label}, second origin: {line(entry)}" for entry in registry.elsewhere.ledger]
        return {"runs": self.runs, "requests": last([self.redactor.text(each) for each in requests])}

    def close(self) -> None:
        """End every registry and remove every file."""
        for registry in self.registries:
            registry.heal()
        self._stack.close()
        if not self.settings.keep:
            trees.remove(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def does_not_apply(self, why: str) -> NoReturn:
        """End a case that cannot be asked of this subject: it is then not-supported."""
        raise NotSupportedError(why)

    @property
    def some_uid(self) -> int:
        """Return a user id that no image knows."""
        return SOME_UID


def new(subject: Subject, settings: Settings) -> Lab:
    """Make a lab with a folder of its own."""
    return Lab(subject, settings, Path(tempfile.mkdtemp(prefix="kc-")).resolve())
