"""What the rules about URIs look for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kit_conformance.lint import reference
from kit_conformance.lint.reach import JOB, POD, candidates, chosen, containers, enabled, matches, workload
from kit_conformance.lint.uris import CACHES, COMPONENTS, cached, kits, uris
from kit_conformance.lint.values import as_map

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kit_conformance.lint.objects import Object, Path_
    from kit_conformance.lint.uris import Named

Place = tuple["Object", "Path_", str]

_MOVING: Final = frozenset({"latest", "next", "main", "master", "edge", "nightly", "dev"})
_SHIPPED: Final = "default"  # KServe's own ClusterStorageContainer


def moves(reference_: str) -> bool:
    """Say whether a reference is something else tomorrow."""
    if "@" in reference_:
        return False
    tag = reference_.rpartition("/")[2].partition(":")[2]
    return not tag or tag in _MOVING


def moving_tag(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        image = str(each.get("spec", "container", "image") or "")
        if image and "$" not in image and "{{" not in image and moves(image):
            yield each, ("spec", "container", "image"), image
    for named in kits(objects):
        if named.subject.kind not in CACHES and moves(named.uri[len("kit://") :]):
            yield named.subject, named.path, named.uri


def cache_tag(objects: Sequence[Object]) -> Iterator[Place]:
    for named in kits(objects):
        if named.subject.kind in CACHES and "@" not in named.uri:
            yield named.subject, named.path, named.uri


def invalid_reference(objects: Sequence[Object]) -> Iterator[Place]:
    for named in kits(objects):
        wrong = reference.wrong(named.uri)
        if wrong and (named.subject.kind in CACHES or not cached(objects, named)):
            # what stands before an @ may be a password
            yield named.subject, named.path, wrong if "@" in named.uri else f"{named.uri}: {wrong}"


def uri_without_container(objects: Sequence[Object]) -> Iterator[Place]:
    for named in kits(objects):
        if named.pod and not named.container and not cached(objects, named) and not chosen(objects, named):
            yield named.subject, named.path, named.uri


def local_model_container(objects: Sequence[Object]) -> Iterator[Place]:
    for named in kits(objects):
        if named.subject.kind in CACHES and not candidates(objects, named.uri, JOB):
            yield named.subject, named.path, named.uri


def storage_container_name(objects: Sequence[Object]) -> Iterator[Place]:
    where = ("spec", "predictor", "storageContainerName")
    known = {each.name: each for each in containers(objects)}
    for service in objects:
        name = str(service.get(*where) or "") if service.kind == "InferenceService" else ""
        if not name or "$" in name or "{{" in name:
            continue
        each = known.get(name)
        if each is None:
            wrong = "" if name == _SHIPPED else f"there is none called {name}"
        elif not enabled(each):
            wrong = f"{name} is disabled"
        elif workload(each) != POD:
            wrong = f"{name} has workloadType {workload(each)}"
        else:
            mine = [named for named in uris([service]) if named.pod == "predictor"]
            foreign = next((named.uri for named in _first(mine) if matches(each, named.uri) is False), "")
            wrong = f"{name} does not match {foreign}" if foreign else ""
        if wrong:
            yield service, where, wrong


def _first(found: list[Named]) -> list[Named]:
    """Return those by which a container is chosen: of a list the first one alone."""
    return [named for named in found if "storageUris" not in named.path or named.path[-2] == 0]


def mixed_schemes(objects: Sequence[Object]) -> Iterator[Place]:
    for service in objects:
        for component in COMPONENTS if service.kind == "InferenceService" else ():
            pod = [named for named in uris([service]) if named.pod == component and "env" not in named.path]
            kit = next((named for named in pod if named.is_kit), None)
            for named in pod if kit else ():
                if named.is_kit or named.scheme in {"", "pvc"}:
                    continue  # a volume is mounted beside, nothing is brought
                fetched = named.scheme.startswith("oci")
                takers = (
                    [] if fetched else [each for each in chosen(objects, pod[0]) if matches(each, pod[0].uri)]
                )
                if not takers or any(matches(each, named.uri) is False for each in takers):
                    yield service, named.path, f"{named.uri} beside {kit.uri}" if kit else ""


def two_containers(objects: Sequence[Object]) -> Iterator[Place]:
    found = [each for each in containers(objects) if enabled(each)]
    for number, each in enumerate(found):
        for other in found[:number]:
            if workload(each) == workload(other) and each.name != other.name:
                uri = _contested(objects, each, other)
                if uri:
                    yield each, ("spec", "supportedUriFormats"), f"{other.name} matches {uri}, too"


def _contested(objects: Sequence[Object], each: Object, other: Object) -> str:
    """Return a URI for which nobody says which of two containers is meant, nothing if there is none.

    Where services of such URIs are there, they decide: they may all name their container.
    """

    def both(uri: str) -> bool:
        return matches(each, uri) is True and matches(other, uri) is True

    asking = [named for named in uris(objects) if named.pod and both(named.uri)]
    if asking and workload(each) == POD:
        return next((named.uri for named in asking if not named.container), "")
    return next((uri for uri in (*_samples(each), *_samples(other)) if both(uri)), "")


def _samples(each: Object) -> list[str]:
    formats = each.get("spec", "supportedUriFormats")
    entries = [as_map(entry) for entry in formats] if isinstance(formats, list) else []
    return [str(entry["prefix"]) for entry in entries if entry.get("prefix")] + [
        "kit://registry.example/models/iris:v1"
    ]


def storage_path(objects: Sequence[Object]) -> Iterator[Place]:
    for service in objects:
        for component in COMPONENTS if service.kind == "InferenceService" else ():
            for key, value in as_map(service.get("spec", component)).items():
                storage = as_map(as_map(value).get("storage"))
                if storage.get("path") and as_map(storage.get("parameters")).get("type") == "kit":
                    yield service, ("spec", component, key, "storage", "path"), str(storage["path"])


def llm_with_kit(objects: Sequence[Object]) -> Iterator[Place]:
    for named in kits(objects):
        if named.subject.kind == "LLMInferenceService":
            adapter = "adapters" in named.path  # a cache serves the model, not its adapters
            off = as_map(named.subject.get("spec", "storageInitializer")).get("enabled") is False
            if adapter or not (off or cached(objects, named)):
                yield named.subject, named.path, named.uri


def trained_model_with_kit(objects: Sequence[Object]) -> Iterator[Place]:
    for named in kits(objects):
        if named.subject.kind == "TrainedModel":
            yield named.subject, named.path, named.uri
