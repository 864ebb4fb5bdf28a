"""Manifests as objects that know where they stand: files, folders, kustomizations, standard input."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Path_ = tuple[str | int, ...]
_KUSTOMIZATIONS: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
_BUILD_SECONDS: Final = 60.0


class LintError(Exception):
    """Input that cannot be read."""


@dataclass(frozen=True)
class Object:
    """One Kubernetes object, with the YAML node it came from and the line on which its document begins."""

    value: dict[str, Any]
    node: yaml.Node
    source: str

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


def parse(text: str, source: str) -> list[Object]:
    """Return the objects of a YAML text; lists are taken apart, documents that are no objects left out."""
    loader = yaml.SafeLoader(text)
    found: list[Object] = []
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                found += _objects(loader.construct_document(node), node, source)
    except yaml.YAMLError as error:
        raise LintError(f"{source} is not YAML: {_where(error)}") from error
    finally:
        loader.dispose()
    return found


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
    """Return the objects of files, folders, kustomizations, and of standard input ("-"). Raises LintError."""
    found: list[Object] = []
    for name in paths:
        if name == "-":
            found += parse(sys.stdin.read(), "standard input")
            continue
        path = Path(name)
        if path.is_dir():
            found += _folder(path)
        elif path.name in _KUSTOMIZATIONS:
            found += _built(path.parent)
        else:
            found += parse(_read(path), name)
    return _once(found)


def _once(objects: list[Object]) -> list[Object]:
    """Drop objects that come twice with the same content: overlays repeat what their bases have."""
    seen: list[dict[str, Any]] = []
    found = []
    for each in objects:
        if each.value not in seen:
            seen.append(each.value)
            found.append(each)
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LintError(f"{path} cannot be read: {error}") from error


def sources(folder: Path) -> list[Path]:
    """Return every YAML or JSON file below a folder that may hold objects."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix in _SUFFIXES and path.is_file() and path.name not in _KUSTOMIZATIONS
    ]


def _folder(folder: Path) -> list[Object]:
    """Build each kustomization of a folder, and read what belongs to none."""
    found: list[Object] = []
    taken: set[Path] = set()
    for path in sorted(folder.rglob("*")):
        if path.name in _KUSTOMIZATIONS:
            taken |= _members(path)
            if not _is_component(path):
                found += _built(path.parent)
    for path in sources(folder):
        if path.resolve() not in taken:
            found += parse(_read(path), str(path))
    return found


def _kustomization(path: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(_read(path))
    except yaml.YAMLError as error:
        raise LintError(f"{path} is not YAML: {_where(error)}") from error
    return value if isinstance(value, dict) else {}


def _is_component(path: Path) -> bool:
    return _kustomization(path).get("kind") == "Component"


def _members(path: Path) -> set[Path]:
    """Return the files that a kustomization speaks of: they are looked at as it makes them."""
    value = _kustomization(path)
    names: list[str] = []
    for key in ("resources", "configurations", "crds", "patchesStrategicMerge", "transformers", "generators"):
        names += [each for each in value.get(key) or [] if isinstance(each, str)]
    for key in ("patches", "replacements"):
        names += [each["path"] for each in value.get(key) or [] if isinstance(each, dict) and "path" in each]
    return {(path.parent / name).resolve() for name in names if "\n" not in name}


def _built(folder: Path) -> list[Object]:
    """Return what a kustomization makes, by kustomize or kubectl where there is one."""
    label = f"{folder} (kustomization)"
    tool = shutil.which("kustomize")
    kubectl = shutil.which("kubectl")
    command = [tool, "build"] if tool else [kubectl, "kustomize"] if kubectl else None
    if command is None:
        return _built_simply(folder)
    try:
        done = subprocess.run(  # noqa: S603  (found on the PATH)
            [*map(str, command), str(folder)],
            capture_output=True,
            text=True,
            timeout=_BUILD_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LintError(f"{folder}: the kustomization cannot be built: {error}") from error
    if done.returncode:
        raise LintError(f"{folder}: the kustomization cannot be built: {done.stderr.strip()[-300:]}")
    return parse(done.stdout, label)


def _built_simply(folder: Path) -> list[Object]:
    """Return a kustomization's resources with its images set; one with patches needs kustomize itself."""
    path = next(folder / name for name in _KUSTOMIZATIONS if (folder / name).exists())
    value = _kustomization(path)
    for key in (
        "patches",
        "patchesStrategicMerge",
        "patchesJson6902",
        "components",
        "replacements",
        "transformers",
    ):
        if value.get(key):
            raise LintError(f"{folder} has {key}: put kustomize or kubectl on the PATH")
    found: list[Object] = []
    for name in value.get("resources") or []:
        target = folder / str(name)
        if "://" in str(name):
            continue  # somebody else's
        found += _built(target) if target.is_dir() else parse(_read(target), str(target))
    images = {each.get("name"): each for each in value.get("images") or [] if isinstance(each, dict)}
    for each in found:
        container = each.get("spec", "container")
        if isinstance(container, dict) and container.get("image") in images:
            container["image"] = _image(images[container["image"]])
    return found


def _image(given: dict[str, Any]) -> str:
    name = str(given.get("newName", given.get("name", "")))
    if given.get("digest"):
        return f"{name}@{given['digest']}"
    return f"{name}:{given['newTag']}" if given.get("newTag") else name
