"""Broken Kits: a program that does what a real Kit does, with one thing done wrong.

    python broken_kits.py MUTANT KIT WORD…

Without a mutant ("") it is a Kit with two known mistakes fixed: it verifies what it unpacks, because it pulls first,
and it unpacks over what is there. So each of these can be broken like anything else. It knows the words of Kit
1.0 and later. For the mutants of `kit.subject-…` it is the subject that is broken: see `others.py`.
"""

# ruff: noqa: D401  (a docstring says what the mutant does wrong)

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

ACCEPT = {"Accept": "application/vnd.oci.image.manifest.v1+json"}


@dataclass
class Call:
    """One call of Kit."""

    real: str
    words: list[str]
    pulls: bool = field(default=True)
    overwrites: bool = field(default=True)

    @property
    def verb(self) -> str:
        return self.words[0] if self.words else ""

    @property
    def reference(self) -> str:
        return self.words[1] if len(self.words) > 1 else ""

    @property
    def repository(self) -> str:
        return self.reference.partition("/")[2].rpartition(":")[0]

    @property
    def folder(self) -> Path:
        return Path(self.words[self.words.index("-d") + 1])

    def kit(self, *words: str) -> int:
        """Run the real Kit."""
        return subprocess.run([self.real, *words], check=False).returncode

    def run(self) -> int:
        """Do what was asked, with the two mistakes fixed."""
        if self.verb != "unpack" or "--plain-http=false" in self.words:  # from a store that was pulled into
            return self.kit(*self.words)
        plain = [word for word in self.words if word == "--plain-http"]
        code = self.kit("pull", self.reference, *plain) if self.pulls else 0
        # from the registry and not from the store: Kit 1.7 finds no parents of a kit that is in its store
        shutil.rmtree(Path(os.environ["KITOPS_HOME"], "storage"), ignore_errors=True)
        told = {"--overwrite", "--ignore-existing"} & {*self.words}
        return code or self.kit(*self.words, *([] if told or not self.overwrites else ["--overwrite"]))

    def get(self, path: str) -> http.client.HTTPResponse:
        """Ask the registry, as nobody in particular."""
        host = self.reference.partition("/")[0]
        connection = http.client.HTTPConnection(host, timeout=10)
        connection.request("GET", path, headers=ACCEPT)
        return connection.getresponse()

    def manifest(self) -> dict[str, Any]:
        """Return the kit's manifest, an empty one where it takes a login."""
        answer = self.get(f"/v2/{self.repository}/manifests/{self.reference.rpartition(':')[2]}")
        found = json.loads(answer.read())
        return found if isinstance(found, dict) and answer.status == 200 else {}

    def loses(self, path: str) -> int:
        """Do what was asked, and lose a file of it."""
        code = self.run()
        (self.folder / path).unlink(missing_ok=True)
        return code

    def loses_of(self, version: str, *, compressed: bool = False) -> int:
        """Lose a file of kits that are not its own, of this version and with or without compression."""
        if self.verb != "unpack" or self.repository != "given":
            return self.run()
        manifest = self.manifest()
        by = str(manifest.get("annotations", {}).get("ml.kitops.modelkit.cli-version", ""))
        gzipped = any("gzip" in layer["mediaType"] for layer in manifest.get("layers", ()))
        return self.loses("README.md") if by.startswith(version) and gzipped == compressed else self.run()


class BrokenKit(NamedTuple):
    """What is broken, and which other cases find it as well."""

    broken: Callable[[Call], int]
    kin: tuple[str, ...]

    @property
    def what(self) -> str:
        return (self.broken.__doc__ or "").strip().partition("\n")[0]


BROKEN_KITS: dict[str, BrokenKit] = {}
# What every Kit at hand does wrong and a wrapper cannot fix: Kit itself is the mutant.
BY_NATURE = frozenset({"kit.odd-names"})


def broken_kit(case: str, *kin: str) -> Callable[[Callable[[Call], int]], Callable[[Call], int]]:
    """Declare a broken Kit; its name is that of its case."""

    def declare(broken: Callable[[Call], int]) -> Callable[[Call], int]:
        BROKEN_KITS[case] = BrokenKit(broken, kin)
        return broken

    return declare


@broken_kit("kit.packs-as-expected")
def compresses(call: Call) -> int:
    """Compresses where nobody has asked for it."""
    if call.verb == "pack" and "--compression" not in call.words:
        call.words += ["--compression", "gzip"]
    return call.run()


@broken_kit("kit.packs-reproducibly")
def moody(call: Call) -> int:
    """Compresses every second time."""
    mark = Path(os.environ["HOME"], "packed-before")
    if call.verb == "pack":
        if mark.exists():
            call.words += ["--compression", "gzip"]
        mark.touch()
    return call.run()


@broken_kit("kit.roundtrip", "kit.login", "kit.token-login")
def forgetful(call: Call) -> int:
    """Loses a file of what it has packed itself."""
    own = call.verb == "unpack" and call.repository == "packed"
    return call.loses("data/train.csv") if own else call.run()


@broken_kit("kit.unpacks-current", "kit.overwrite", "kit.second-unpack")
def not_the_current(call: Call) -> int:
    """Loses a file of kits of version 1.7."""
    return call.loses_of("1.7")


@broken_kit("kit.unpacks-0.4")
def not_the_old(call: Call) -> int:
    """Loses a file of kits of version 0.4."""
    return call.loses_of("0.4")


@broken_kit("kit.unpacks-1.10")
def not_the_new(call: Call) -> int:
    """Loses a file of kits of version 1.10."""
    return call.loses_of("1.10")


@broken_kit("kit.unpacks-gzip")
def not_the_compressed(call: Call) -> int:
    """Loses a file of kits that are compressed."""
    return call.loses_of("", compressed=True)


@broken_kit("kit.kitfile")
def other_words(call: Call) -> int:
    """Writes another name into the Kitfile."""
    code = call.run()
    if call.verb == "unpack" and (path := call.folder / "Kitfile").exists():
        path.write_text(path.read_text("utf-8").replace("roundtrip", "another"), "utf-8")
    return code


@broken_kit("kit.filter")
def everything(call: Call) -> int:
    """Knows nothing of filters."""
    call.words = [word for word in call.words if not word.startswith("--filter")]
    return call.run()


@broken_kit("kit.digest")
def unverified(call: Call) -> int:
    """Verifies nothing that it unpacks from a registry."""
    call.pulls = False
    return call.run()


@broken_kit("kit.pull-digest")
def pulls_anything(call: Call) -> int:
    """Succeeds with every pull."""
    return call.run() * (call.verb != "pull")


@broken_kit("kit.second-unpack")
def once(call: Call) -> int:
    """Unpacks into empty folders only."""
    call.overwrites = False
    return call.run()


@broken_kit("kit.overwrite")
def keeps(call: Call) -> int:
    """Keeps what is there where it shall overwrite it."""
    call.words = ["--ignore-existing" if word == "--overwrite" else word for word in call.words]
    return call.run()


def _challenge(call: Call) -> str:
    return call.get("/v2/").getheader("WWW-Authenticate", "") if call.verb == "login" else ""


@broken_kit("kit.login")
def no_basic(call: Call) -> int:
    """Takes a login by user and password, and forgets it."""
    return 0 if _challenge(call).startswith("Basic") else call.run()


@broken_kit("kit.token-login")
def no_tokens(call: Call) -> int:
    """Takes a login at a registry with tokens, and forgets it."""
    return 0 if _challenge(call).startswith("Bearer") else call.run()


@broken_kit("kit.parent")
def no_parent(call: Call) -> int:
    """Loses what a parent brings."""
    return call.loses("model.joblib") if call.verb == "unpack" else call.run()


def wrap(folder: Path, name: str, real: str) -> Path:
    """Write a program into a folder that is this broken Kit (the fixed one, for ""), and return its path."""
    path = folder / f"kit-{name or 'fixed'}"
    words = " ".join(f"'{word}'" for word in (sys.executable, "-I", __file__, name, real))
    path.write_text(f'#!/bin/sh\nexec {words} "$@"\n', "utf-8")
    path.chmod(0o755)
    return path


if __name__ == "__main__":
    mutant, kit, *given = sys.argv[1:]
    asked = Call(kit, given)
    sys.exit(BROKEN_KITS[mutant].broken(asked) if mutant else asked.run())
