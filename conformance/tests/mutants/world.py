"""What a mutant has to break things with: the real initializer as a process, its folder, and the network."""

from __future__ import annotations

import base64
import contextlib
import http.client
import importlib
import io
import json
import os
import re
import shutil
import signal
import ssl
import sys
import tarfile
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

ACCEPT = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
RECORD = ".kit-initializer.json"


class Answer(NamedTuple):
    """What a registry answered to one request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Done(NamedTuple):
    """How a run of the real initializer ended."""

    code: int
    text: str

    @property
    def ok(self) -> bool:
        return self.code == 0


@dataclass
class World:
    """One run of a mutant. `run` is the honest way to do what was asked; everything else is there to spoil it."""

    arguments: list[str]
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    process: int | None = None
    on_term: Callable[[], None] | None = None

    # what was asked

    @property
    def pairs(self) -> list[tuple[str, Path]]:
        """Return URI and folder of each pair."""
        return [
            (uri, Path(folder))
            for uri, folder in zip(self.arguments[::2], self.arguments[1::2], strict=False)
        ]

    @property
    def uri(self) -> str:
        return self.arguments[0] if self.arguments else ""

    @property
    def folder(self) -> Path:
        return Path(self.arguments[1]) if len(self.arguments) > 1 else Path("nowhere")

    @property
    def host(self) -> str:
        return self.uri.removeprefix("kit://").partition("/")[0]

    @property
    def repository(self) -> str:
        return self._parsed()[0]

    @property
    def target(self) -> str:
        """Return the tag or digest that the URI names."""
        return self._parsed()[1]

    def _parsed(self) -> tuple[str, str]:
        rest = self.uri.removeprefix("kit://").partition("/")[2]
        name, _, digest = rest.partition("@")
        repository, colon, tag = name.rpartition(":")
        return (repository if colon else name), digest or (tag if colon else "latest")

    @property
    def flags(self) -> str:
        return self.environ.get("KIT_UNPACK_FLAGS", "")

    @property
    def plain(self) -> bool:
        """Say whether plain HTTP was asked for."""
        return "--plain-http" in self.flags

    @property
    def user(self) -> str:
        return self.environ.get("KIT_USER", "")

    @property
    def signed(self) -> bool:
        """Say whether signatures were asked for; mutants of other things are honest then."""
        return any(name.startswith(("COSIGN_", "KIT_SIG")) for name in self.environ)

    # the honest way

    def run(self, *arguments: str, **environ: str | None) -> Done:
        """Run the real initializer; a variable that is None is taken away. Signals are passed on to it.

        It is a process of its own, forked from this one: what makes a run slow is to start an interpreter.
        """
        environment = {**self.environ, **{name: text for name, text in environ.items() if text is not None}}
        for name, text in environ.items():
            if text is None:
                environment.pop(name, None)
        reader, writer = os.pipe()
        self.process = os.fork()
        if not self.process:
            os.close(reader)
            _become_real(writer, list(arguments or self.arguments), environment)
        os.close(writer)
        signal.signal(signal.SIGTERM, self._terminated)
        with open(reader, "rb") as output:
            text = output.read().decode("utf-8", "replace")
        _, status = os.waitpid(self.process, 0)
        self.process = None
        sys.stdout.write(text)
        sys.stdout.flush()
        code = os.waitstatus_to_exitcode(status)
        return Done(code if code >= 0 else 128 - code, text)

    def _terminated(self, number: int, _: FrameType | None) -> None:
        if self.on_term is not None:
            self.on_term()
        elif self.process is not None:
            os.kill(self.process, number)

    def again(self, flag: str) -> Done:
        """Run the real initializer with one more flag of kit unpack."""
        return self.run(KIT_UNPACK_FLAGS=f"{self.flags} {flag}")

    def without(self, pattern: str) -> Done:
        """Run the real initializer without the flags that match."""
        return self.run(KIT_UNPACK_FLAGS=re.sub(pattern, "", self.flags))

    def message(self, text: str) -> None:
        """Leave this as the termination message."""
        Path(self.environ["KIT_TERMINATION_LOG"]).write_text(text, "utf-8")

    def fails(self, why: str = "broken on purpose", *, keep: bool = False) -> int:
        """Fail, and leave nothing (or what there is) behind."""
        if not keep:
            self.empty()
        sys.stdout.write(why + "\n")
        return 1

    def empty(self) -> None:
        """Remove everything from the folders."""
        for _, folder in self.pairs:
            for path in folder.iterdir() if folder.is_dir() else ():
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def has(self, path: str) -> bool:
        """Say whether the folder holds a file."""
        return (self.folder / path).exists()

    @property
    def beside(self) -> Path:
        """Return a file beside the folder, for what shall survive this run and not be in the tree."""
        return self.folder.parent / f".mutant-{self.folder.name}"

    # the network

    def get(
        self, path: str, *, method: str = "GET", host: str = "", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask a registry for something, with no care at all; status 0 when nobody answers."""
        connection: http.client.HTTPConnection
        if self.plain:
            connection = http.client.HTTPConnection(host or self.host, timeout=5)
        else:
            trusting = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection(host or self.host, timeout=5, context=trusting)
        try:
            connection.request(method, path, headers={"Accept": ACCEPT, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        except (OSError, http.client.HTTPException):
            return Answer(0, {}, b"")
        finally:
            connection.close()

    @property
    def basic(self) -> str:
        """Return the value of a Basic Authorization header."""
        pair = f"{self.user}:{self.environ.get('KIT_PASSWORD', '')}"
        return "Basic " + base64.b64encode(pair.encode()).decode()

    @property
    def challenge(self) -> str:
        """Return how the registry wants to be logged in to, "" for not at all."""
        answer = self.get("/v2/")
        return answer.headers.get("www-authenticate", "") if answer.status == 401 else ""

    @property
    def realm(self) -> str:
        """Return the host of the token endpoint, "" without one."""
        found = re.search(r'realm="https?://([^/"]+)', self.challenge)
        return found[1] if found and self.challenge.startswith("Bearer") else ""

    def authorization(self) -> dict[str, str]:
        """Return the headers that a login makes, by token where the registry wants one."""
        challenge = self.challenge
        if challenge.startswith("Basic"):
            return {"Authorization": self.basic}
        if not challenge.startswith("Bearer"):
            return {}
        path = f"/token?service=fixture&scope=repository:{self.repository}:pull"
        answer = self.get(path, host=self.realm, headers={"Authorization": self.basic} if self.user else {})
        return {"Authorization": f"Bearer {json.loads(answer.body)['token']}"} if answer.status == 200 else {}

    def manifest(self) -> dict[str, Any]:
        """Return the manifest, an empty one when it cannot be had."""
        answer = self.get(f"/v2/{self.repository}/manifests/{self.target}", headers=self.authorization())
        with contextlib.suppress(ValueError):
            found = json.loads(answer.body)
            if isinstance(found, dict):
                return found
        return {}

    def layers(self) -> list[dict[str, Any]]:
        return list(self.manifest().get("layers") or [])

    @property
    def packed_by(self) -> str:
        """Return the version of Kit that the manifest names."""
        return str((self.manifest().get("annotations") or {}).get("ml.kitops.modelkit.cli-version", ""))

    def config(self) -> dict[str, Any]:
        """Return the kit's config."""
        descriptor = self.manifest().get("config") or {}
        answer = self.blob(str(descriptor.get("digest", "")))
        with contextlib.suppress(ValueError):
            found = json.loads(answer.body)
            return found if isinstance(found, dict) else {}
        return {}

    def blob(self, digest: str, *, method: str = "GET", headers: Mapping[str, str] | None = None) -> Answer:
        """Ask for a blob, with whatever login there is."""
        every = {**self.authorization(), **(headers or {})}
        return self.get(f"/v2/{self.repository}/blobs/{digest}", method=method, headers=every)

    def careless(self) -> int:
        """Bring the kit as somebody would who checks nothing, and claim success."""
        for layer in self.layers():
            answer = self.blob(layer["digest"])
            if answer.status in {301, 302, 307, 308}:
                with urllib.request.urlopen(answer.headers["location"], timeout=5) as other:
                    answer = Answer(200, {}, other.read())
            with (
                contextlib.suppress(tarfile.TarError, EOFError, OSError),
                tarfile.open(fileobj=io.BytesIO(answer.body)) as tar,
            ):
                tar.extraction_filter = lambda entry, _: entry
                tar.extractall(self.folder)
        return 0


def _become_real(output: int, arguments: list[str], environ: dict[str, str]) -> NoReturn:
    """Be the real initializer in this process, with what it says going to a pipe."""
    code = 70
    try:
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(environ)
        code = importlib.import_module("kit_initializer.cli").main(arguments, os.environ)
    finally:
        os._exit(code)


@dataclass(frozen=True)
class Mutant:
    """A subject with one thing broken: the case that must find it, and the kin that find it as well."""

    case: str
    kin: tuple[str, ...]
    broken: Callable[[World], int]

    @property
    def what(self) -> str:
        return (self.broken.__doc__ or "").strip().partition("\n")[0]


MUTANTS: dict[str, Mutant] = {}


def mutant(case: str, *kin: str) -> Callable[[Callable[[World], int]], Callable[[World], int]]:
    """Declare a mutant of the initializer; its name is that of its case."""

    def declare(broken: Callable[[World], int]) -> Callable[[World], int]:
        if case in MUTANTS:
            raise ValueError(f"two mutants for {case}")
        MUTANTS[case] = Mutant(case, kin, broken)
        return broken

    return declare
