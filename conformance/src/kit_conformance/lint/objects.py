"""Manifests as objects that know where they stand: files, folders, kustomizations, standard input."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from kit_conformance.lint.kustomization import NAMES, Unbuilt, built, is_component, members

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Path_ = tuple[str | int, ...]
_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
_SEPARATOR: Final = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_VISIBLE: Final = re.compile(r"[^\r\n]")
# Beside what YAML itself refuses: a date that is none, more depth than Python has.
_UNREADABLE: Final = (yaml.YAMLError, ValueError, OverflowError, RecursionError)


class LintError(Exception):
    """Input that cannot be changed."""


@dataclass(frozen=True)
class Object:
    """One Kubernetes object, with the YAML node it came from and the line on which its document begins."""

    value: dict[str, Any]
    node: yaml.Node
    source: str
    problem: str = ""  # why a document could not be read; there is nothing else then

    @property
    def kind(self) -> str:
        return str(self.value.get("kind", ""))

    @property
    def name(self) -> str:
        metadata = self.value.get("metadata")
        return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""

    def get(self, *path: str) -> Any:  # noqa: ANN401  (YAML)
        """Return what is at a path of keys, None if there is nothing."""
        found: Any = self.value
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        return found

    def line(self, path: Path_) -> int:
        """Return the line (from 1) of what is at a path, or of the nearest thing above it."""
        return find(self.node, path).start_mark.line + 1


def find(node: yaml.Node, path: Path_) -> yaml.Node:
    """Return the node at a path, or the nearest one above it. A map's node is that of its key."""
    for key in path:
        if isinstance(node, yaml.MappingNode) and isinstance(key, str):
            pairs = {
                name.value: (name, value) for name, value in node.value if isinstance(name, yaml.ScalarNode)
            }
            if key not in pairs:
                return node
            node = pairs[key][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
        else:
            return node
    return node


def _where(error: yaml.YAMLError) -> str:
    """Return what is wrong and in which line, in one line."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return str(error).splitlines()[0]
    return f"line {error.problem_mark.line + 1}: {error.problem}"


def unread(source: str, problem: str, line: int = 0) -> Object:
    """Return what stands for a document that cannot be read."""
    mark = yaml.Mark(source, 0, line, 0, "", 0)
    return Object({}, yaml.ScalarNode("", "", mark, mark), source, " ".join(problem.split()))


def parse(text: str, source: str) -> list[Object]:
    """Return the objects of a YAML text; lists are taken apart, documents that are no objects left out.

    A document that cannot be read does not hide the others: they are then read one by one.
    """
    try:
        return list(_documents(text, source))
    except _UNREADABLE:
        return [each for part in _parts(text) for each in _part(part, source)]


def _parts(text: str) -> Iterator[str]:
    """Yield each document with blanks for all that stands before it, so that it keeps its place."""
    starts = [0, *(found.start() for found in _SEPARATOR.finditer(text) if found.start()), len(text)]
    for start, stop in pairwise(starts):
        yield _VISIBLE.sub(" ", text[:start]) + text[start:stop]


def _part(text: str, source: str) -> list[Object]:
    try:
        return list(_documents(text, source))
    except _UNREADABLE as error:
        why = _where(error) if isinstance(error, yaml.YAMLError) else str(error) or type(error).__name__
        helm = "a Helm template, " if "{{" in text else ""
        begin = len(text) - len(text.lstrip())
        return [unread(source, f"{helm}not YAML: {why}", text.count("\n", 0, begin))]


def _documents(text: str, source: str) -> Iterator[Object]:
    loader = yaml.SafeLoader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                yield from _objects(loader.construct_document(node), node, source)
    finally:
        loader.dispose()


def _objects(value: object, node: yaml.Node, source: str) -> Iterator[Object]:
    if not isinstance(value, dict) or "kind" not in value or "apiVersion" not in value:
        return
    items = value.get("items")
    if str(value["kind"]).endswith("List") and isinstance(items, list):
        for number, item in enumerate(items):
            yield from _objects(item, find(node, ("items", number)), source)
        return
    if str(value["apiVersion"]).startswith("kustomize.config.k8s.io/"):
        return
    yield Object(value, node, source)


def load(paths: Iterable[str]) -> list[Object]:
    """Return the objects of files, folders, kustomizations, and of standard input ("-").

    What cannot be read is among them, with its `problem`.
    """
    found: list[Object] = []
    for name in paths:
        path = Path(name)
        if name == "-":
            found += _standard_input()
        elif path.is_dir():
            found += _folder(path)
        elif path.name in NAMES and path.is_file():
            found += _built(path.parent)
        else:
            found += _file(path)
    return _once(found)


def _standard_input() -> list[Object]:
    try:
        return parse(sys.stdin.read(), "standard input")
    except UnicodeDecodeError as error:
        return [unread("standard input", f"not UTF-8: {error}")]


def _once(objects: list[Object]) -> list[Object]:
    """Drop objects that come twice with the same content: overlays repeat what their bases have."""
    seen: list[dict[str, Any]] = []
    found = []
    for each in objects:
        if each.problem or each.value not in seen:
            seen.append(each.value)
            found.append(each)
    return found


def _file(path: Path) -> list[Object]:
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        why = f"not UTF-8: {error}" if isinstance(error, UnicodeDecodeError) else str(error)
        return [unread(str(path), why)]
    return parse(text, str(path))


def sources(folder: Path) -> list[Path]:
    """Return every YAML or JSON file below a folder that may hold objects."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix in _SUFFIXES and path.is_file() and path.name not in NAMES
    ]


def _folder(folder: Path) -> list[Object]:
    """Build each kustomization of a folder, and read what belongs to none."""
    found: list[Object] = []
    taken: set[Path] = set()
    for path in sorted(folder.rglob("*")):
        if path.name in NAMES and path.is_file():
            taken |= members(path)
            if not is_component(path):
                found += _built(path.parent)
    for path in sources(folder):
        if path.resolve() not in taken:
            found += _file(path)
    return found


def _built(folder: Path) -> list[Object]:
    made = built(folder)
    if isinstance(made, Unbuilt):
        return [unread(f"{folder} (kustomization)", made.why)]
    if isinstance(made, str):
        return parse(made, f"{folder} (kustomization)")
    found: list[Object] = []
    for path in made.files:
        found += _file(path)
    for each in found:
        container = each.get("spec", "container")
        if isinstance(container, dict):
            container["image"] = made.images.get(str(container.get("image")), container.get("image"))
    return found
