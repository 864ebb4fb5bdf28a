"""What a command really runs: the files to hash, and the name it goes by.

A console script is a few lines that pip wrote, with the path of an interpreter in the first one. Its digest says
nothing about the program. So for a command in Python the files of its package are hashed, for an interpreter with a
script the script, and for anything else the file itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SECONDS: Final = 20.0  # for an interpreter to say where a package is
_HEAD: Final = 4096  # bytes; a shebang has at most 256
_PYTHON: Final = re.compile(r"(?:python|pypy)[0-9.]*")
_SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "zsh", "node", "perl", "ruby"})
_TAKE_VALUES: Final = frozenset({"-W", "-X", "--check-hash-based-pycs"})
# Long paths do not fit into a shebang; pip and uv then write a script that is both sh and Python.
_POLYGLOT: Final = re.compile(r"^'''exec' (\S.*?) \"\$0\" \"\$@\"$", re.MULTILINE)
# Runs in the subject's interpreter: where is the package of a module, or of the entry point of a script?
_ASK: Final = """
import importlib.metadata as metadata, importlib.util as util, json, os, sys
module, script = sys.argv[1:3]
dist = None
if script:
    for each in metadata.distributions():
        points = [p for p in each.entry_points if p.group == "console_scripts" and p.name == os.path.basename(script)]
        held = any(os.path.realpath(each.locate_file(f)) == os.path.realpath(script) for f in each.files or ())
        if points and held:
            dist, module = each, points[0].module
            break
top = module.partition(".")[0]
if not top:
    sys.exit(3)
if dist is None:
    names = metadata.packages_distributions().get(top, [])
    dist = metadata.distribution(names[0]) if names else None
tops = {top}
for file in (dist.files if dist else None) or ():
    first = file.parts[0]
    if first not in ("..", "__pycache__") and not first.endswith((".dist-info", ".egg-info", ".pth", ".data", ".pyc")):
        tops.add(first[:-3] if first.endswith(".py") and len(file.parts) == 1 else first)
places = {}
for each in sorted(tops):
    spec = util.find_spec(each) if each.isidentifier() and not each.startswith("__editable__") else None
    if spec is not None and spec.origin not in (None, "built-in", "frozen"):
        places[each] = os.path.dirname(spec.origin) if spec.submodule_search_locations else spec.origin
if top not in places:
    sys.exit(3)
name, version = (dist.metadata["Name"], dist.version) if dist else ("", "")
json.dump({"module": module, "name": name, "version": version, "places": places}, sys.stdout)
"""


class Program(NamedTuple):
    """What is hashed: `digest` over `files`, which have the names that `details` explains."""

    name: str
    digest: str
    version: str
    details: dict[str, Any]


def identify(command: Sequence[str], environment: Mapping[str, str]) -> Program:
    """Return what a command runs. Raises OSError when its file cannot be read."""
    path, rest = os.path.realpath(command[0]), list(command[1:])
    name = os.path.basename(command[0])
    if _PYTHON.fullmatch(name):
        module, script = _target(rest)
        if module:
            return _package(command[0], module, "", environment) or _file(module, path)
        return identify([script], environment) if os.path.isfile(script) else _file(name, path)
    if name in _SHELLS:
        script = next((word for word in rest if not word.startswith("-")), "")
        return _file(os.path.basename(script), script) if os.path.isfile(script) else _file(name, path)
    interpreter = _interpreter(path, environment)
    found = _package(interpreter, "", command[0], environment) if interpreter else None
    return found._replace(name=name) if found else _file(name, path)


def name_of(command: Sequence[str]) -> str:
    """Return the name that a command goes by in reports: that of its file, its script or its module."""
    name = os.path.basename(command[0])
    if _PYTHON.fullmatch(name):
        module, script = _target(command[1:])
        return module or os.path.basename(script) or name
    if name in _SHELLS:
        return os.path.basename(next((word for word in command[1:] if not word.startswith("-")), name))
    return name


def _file(name: str, path: str) -> Program:
    with open(path, "rb") as file:
        digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    return Program(name, digest, "", {"path": os.path.realpath(path)})


def _target(words: Sequence[str]) -> tuple[str, str]:
    """Return the module or the script that a Python is started with."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("-m"):
            return word[2:] or (rest[0] if rest else ""), ""
        if word in _TAKE_VALUES and rest:
            rest.pop(0)
        elif not word.startswith("-"):
            return "", word
    return "", ""


def _interpreter(path: str, environment: Mapping[str, str]) -> str:
    """Return the Python that a script names, "" for a file that is not a script of Python's."""
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD).decode("utf-8", "replace")
    except OSError:
        return ""
    if not head.startswith("#!"):
        return ""
    polyglot = _POLYGLOT.search(head)
    first = polyglot[1] if polyglot else head[2:].partition("\n")[0]
    try:
        words = shlex.split(first)
    except ValueError:
        return ""
    if words and os.path.basename(words[0]) == "env":
        words = [word for word in words[1:] if word != "-S"]
        words[:1] = [shutil.which(words[0], path=environment.get("PATH")) or ""] if words else []
    if not words or not _PYTHON.fullmatch(os.path.basename(words[0])):
        return ""
    return words[0]


def _package(python: str, module: str, script: str, environment: Mapping[str, str]) -> Program | None:
    """Return the package of a module or of a console script, None when the interpreter knows none."""
    try:
        done = subprocess.run(  # noqa: S603  (the subject's own interpreter)
            [python, "-c", _ASK, module, script],
            env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
        said = json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    if not isinstance(said, dict):
        return None
    files = {name: path for top, place in said["places"].items() for name, path in _below(top, place)}
    details = {"module": said["module"], "distribution": said["name"], "files": len(files)}
    return Program(said["module"], digest_of(files), said["version"], details)


def _below(top: str, place: str) -> list[tuple[str, str]]:
    if os.path.isfile(place):
        return [(os.path.basename(place), place)]
    found = []
    for folder, folders, names in os.walk(place):
        folders[:] = [each for each in folders if each != "__pycache__"]
        for name in names:
            path = os.path.join(folder, name)
            if not name.endswith((".pyc", ".pyo")) and os.path.isfile(path):
                found.append((f"{top}/{os.path.relpath(path, place)}", path))
    return found


def digest_of(files: Mapping[str, str]) -> str:
    """Return one digest over files, by name: that of what `sha256sum` prints of them, in the order of their names."""
    total = hashlib.sha256()
    for name in sorted(files):
        digest = hashlib.sha256(Path(files[name]).read_bytes()).hexdigest()
        total.update(f"{digest}  {name}\n".encode("utf-8", "surrogateescape"))
    return "sha256:" + total.hexdigest()
