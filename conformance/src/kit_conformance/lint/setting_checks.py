"""What the rules about variables, flags, keys and images look for."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from kit_conformance.lint import policy, settings
from kit_conformance.lint.reach import containers, matches
from kit_conformance.lint.uris import CACHES, COMPONENTS
from kit_conformance.lint.values import as_list, as_map

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kit_conformance.lint.objects import Object, Path_

Place = tuple["Object", "Path_", str]

_KIT: Final = "kit://registry.example/models/iris:v1"
_TEMPLATES: Final = ("$(", "${", "{{")
_SECRETS: Final = ("KIT_PASSWORD", "KIT_DOCKER_CONFIG_JSON", "STORAGE_CONFIG")
_KEYS: Final = ("storageUri", "storageUris")
_LIKENESS: Final = 0.85  # storageURI and storageUrl are like storageUri, storage and storageKey are not


def _variables(objects: Sequence[Object]) -> Iterator[tuple[Object, Path_, str, str, bool]]:
    """Yield object, place, name and value of each variable of a container for kits, and whether KitOps made it."""
    for each in containers(objects):
        if matches(each, _KIT) is not True:
            continue
        theirs = _name(str(each.get("spec", "container", "image") or "")).startswith("kitops")
        for number, entry in enumerate(as_list(each.get("spec", "container", "env"))):
            value = as_map(entry).get("value")
            if value is None or any(mark in str(value) for mark in _TEMPLATES):
                value = ""
            place = ("spec", "container", "env", number)
            yield each, place, str(as_map(entry).get("name") or ""), str(value), theirs


def _name(image: str) -> str:
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def variable_value(objects: Sequence[Object]) -> Iterator[Place]:
    for each, place, name, value, theirs in _variables(objects):
        problem = "" if theirs else settings.value_problem(name, value)
        if problem:
            yield each, (*place, "value"), f"{name} is {value.strip()[:40]!r}: {problem}"


def variable_unknown(objects: Sequence[Object]) -> Iterator[Place]:
    for each, place, name, _, theirs in _variables(objects):
        # a name that begins like those of a signature policy has its own error
        question = "" if theirs or policy.misspelt([name]) else settings.unknown(name)
        if question:
            yield each, (*place, "name"), f"{name}; {question}"


def unpack_flags(objects: Sequence[Object]) -> Iterator[Place]:
    found = list(_variables(objects))
    for each, place, name, value, theirs in found:
        if name == "KIT_UNPACK_FLAGS":
            kit = any(it is each and key == "KIT_ENGINE" and text == "kit" for it, _, key, text, _ in found)
            engine = "kit" if kit else "native"
            for problem in settings.flag_problems(value, engine=engine, strict=not theirs):
                yield each, (*place, "value"), problem


def secret_in_plain_text(objects: Sequence[Object]) -> Iterator[Place]:
    for each in objects:
        for path, entry in _entries(each):
            value = str(entry.get("value") or "")
            if entry.get("name") in _SECRETS and value and not any(mark in value for mark in _TEMPLATES):
                yield each, (*path, "value"), str(entry["name"])


def _entries(each: Object) -> Iterator[tuple[Path_, dict[str, object]]]:
    """Yield each variable of a ClusterStorageContainer, and of every container of a service."""
    if each.kind == "ClusterStorageContainer":
        above: list[tuple[Path_, object]] = [(("spec", "container"), each.get("spec", "container"))]
    elif each.kind == "InferenceService":
        above = []
        for component in COMPONENTS:
            for key, value in as_map(each.get("spec", component)).items():
                for number, container in enumerate(as_list(value)):
                    above.append((("spec", component, key, number), container))
                above.append((("spec", component, key), value))
    else:
        return
    for path, container in above:
        for number, entry in enumerate(as_list(as_map(container).get("env"))):
            yield (*path, "env", number), as_map(entry)


def image_registry(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        image = str(each.get("spec", "container", "image") or "")
        host, slash, _ = image.partition("/")
        named = slash and ("." in host or ":" in host or host == "localhost")
        if image and not named and "$" not in image and "{{" not in image:
            yield each, ("spec", "container", "image"), image


def uri_key(objects: Sequence[Object]) -> Iterator[Place]:
    for each in objects:
        if each.kind in CACHES:
            for key in as_map(each.get("spec")):
                if _misspelt(key, ("sourceModelUri", "sourceModelUris")):
                    yield each, ("spec", key), f"{key}, where sourceModelUri is meant"
        for component in COMPONENTS if each.kind == "InferenceService" else ():
            spec = as_map(each.get("spec", component))
            places: list[tuple[Path_, object]] = [(("spec", component), spec)]
            places += [(("spec", component, key), value) for key, value in spec.items()]
            for path, value in places:
                for key in as_map(value):
                    if _misspelt(key, _KEYS):
                        yield each, (*path, key), f"{key}, where storageUri is meant"


def _misspelt(key: object, right: tuple[str, str]) -> bool:
    if not isinstance(key, str) or key in right:
        return False
    word = key.lower().replace("_", "").replace("-", "")
    return bool(difflib.get_close_matches(word, [right[0].lower()], 1, _LIKENESS))


def uri_twice(objects: Sequence[Object]) -> Iterator[Place]:
    for each in objects:
        for component in COMPONENTS if each.kind == "InferenceService" else ():
            spec = as_map(each.get("spec", component))
            for key, value in spec.items():
                if as_list(spec.get("storageUris")) and as_map(value).get("storageUri"):
                    yield each, ("spec", component, key, "storageUri"), str(value["storageUri"])


CHECKS: Final = (
    variable_value,
    variable_unknown,
    unpack_flags,
    secret_in_plain_text,
    image_registry,
    uri_key,
    uri_twice,
)
