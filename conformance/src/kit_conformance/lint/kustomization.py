"""Kustomizations: what they speak of, and what they make, by kustomize or kubectl where there is one."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import yaml

from kit_conformance.lint.values import as_list, as_map

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_SECONDS: Final = 60.0
_PATCHING: Final = (
    "patches",
    "patchesStrategicMerge",
    "patchesJson6902",
    "components",
    "replacements",
    "transformers",
)


_NAMING: Final = (
    *("resources", "bases", "components", "configurations", "crds", "generators", "validators"),
    *("transformers", "patches", "patchesStrategicMerge", "patchesJson6902", "replacements"),
)
_REMOTE: Final = ("://", "git@", "git::", "?ref=", "github.com/", "gitlab.com/", "bitbucket.org/", ".git")


class Unbuilt(NamedTuple):
    """A kustomization that cannot be built, and why."""

    why: str


class Plain(NamedTuple):
    """A kustomization of files alone, with the images that it sets."""

    files: tuple[Path, ...]
    images: dict[str, str]


def is_component(path: Path) -> bool:
    """Say whether a kustomization is only a part of others."""
    return _read(path).get("kind") == "Component"


def members(path: Path) -> set[Path]:
    """Return the files that a kustomization speaks of: they are looked at as it makes them."""
    value = _read(path)
    names: list[object] = []
    for key in ("resources", "configurations", "crds", "patchesStrategicMerge", "transformers", "generators"):
        names += as_list(value.get(key))
    for key in ("patches", "replacements"):
        names += [as_map(each).get("path") for each in as_list(value.get(key))]
    return {
        (path.parent / name).resolve()
        for name in names
        if isinstance(name, str) and not {"\n", "\0"}.intersection(name)
    }


def built(folder: Path) -> str | Plain | Unbuilt:
    """Return what a kustomization makes: as text, or without the tools as files and images.

    One that names something remote is not built: kustomize would fetch it, and the one who lints a folder has not asked
    for that. Its local files are judged, unless it changes them by patches.
    """
    tool = shutil.which("kustomize")
    kubectl = shutil.which("kubectl")
    command = [tool, "build"] if tool else [kubectl, "kustomize"] if kubectl else None
    remote = next(_remotes(folder, ()), "")
    if command is None or remote:
        plain = _plain(folder, ())
        if remote and isinstance(plain, Unbuilt):
            return Unbuilt(
                f"it names {remote}, which lint does not fetch; build it yourself: "
                f"kustomize build {folder} | kit-conformance lint -"
            )
        return plain
    try:
        done = subprocess.run(  # noqa: S603  (found on the PATH)
            [*map(str, command), str(folder)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Unbuilt(f"it cannot be built: {error}")
    if done.returncode:
        return Unbuilt(f"it cannot be built: {done.stderr.strip()[-300:]}")
    return done.stdout


def _remotes(folder: Path, above: tuple[Path, ...]) -> Iterator[str]:
    """Yield what a kustomization, or one of its bases, has elsewhere: whatever is named and is not a local path."""
    path = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    if path is None or folder.resolve() in above:
        return
    value = _read(path)
    for key in _NAMING:
        for name in as_list(value.get(key)):
            text = as_map(name).get("path") if isinstance(name, dict) else name
            if not isinstance(text, str) or "\n" in text:
                continue
            target = folder / text
            if target.is_dir():
                yield from _remotes(target, (*above, folder.resolve()))
            elif not target.exists() and any(mark in text for mark in _REMOTE):
                yield text


def _read(path: Path) -> dict[str, Any]:
    try:
        return as_map(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}  # building it says what is wrong


def _plain(folder: Path, above: tuple[Path, ...]) -> Plain | Unbuilt:
    """Return a kustomization's resources with its images set; one with patches needs kustomize itself."""
    path = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    value = _read(path) if path else {}
    if not value:
        return Unbuilt(f"{path or folder} holds no kustomization that can be read")
    if folder.resolve() in above:
        return Unbuilt(f"{folder} holds itself")
    patched = [key for key in _PATCHING if value.get(key)]
    if patched:
        return Unbuilt(f"{folder} has {patched[0]}: put kustomize or kubectl on the PATH")
    files: list[Path] = []
    images: dict[str, str] = {}
    for name in as_list(value.get("resources")):
        target = folder / str(name)
        if not target.exists() and any(mark in str(name) for mark in _REMOTE):
            continue  # somebody else's
        if not target.is_dir():
            files.append(target)
            continue
        below = _plain(target, (*above, folder.resolve()))
        if isinstance(below, Unbuilt):
            return below
        files += below.files
        images |= below.images
    mine = {str(as_map(each).get("name")): _image(as_map(each)) for each in as_list(value.get("images"))}
    renamed = {old: mine.get(new, new) for old, new in images.items()}
    return Plain(tuple(files), mine | renamed)


def _image(given: dict[str, Any]) -> str:
    name = str(given.get("newName", given.get("name", "")))
    if given.get("digest"):
        return f"{name}@{given['digest']}"
    return f"{name}:{given['newTag']}" if given.get("newTag") else name
