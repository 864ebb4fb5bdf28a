"""Where objects name URIs of models: every place from which KServe, its agent or its jobs would bring one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from kit_conformance.lint.values import as_list, as_map

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kit_conformance.lint.objects import Object, Path_

COMPONENTS: Final = ("predictor", "transformer", "explainer")
CACHES: Final = ("LocalModelCache", "LocalModelNamespaceCache")
_ENV: Final = "STORAGE_URI"
_TEMPLATES: Final = ("$", "{{")


class Named(NamedTuple):
    """A URI, and where it stands. `pod` is the component whose pod needs it, "" where there is no such pod."""

    subject: Object
    path: Path_
    uri: str
    pod: str = ""

    @property
    def scheme(self) -> str:
        return self.uri.partition("://")[0].lower()

    @property
    def is_kit(self) -> bool:
        return self.uri.lower().startswith("kit://")

    @property
    def container(self) -> str:
        """Return the name of the ClusterStorageContainer that the object asks for (predictors alone can)."""
        if self.pod != "predictor":
            return ""
        return str(self.subject.get("spec", "predictor", "storageContainerName") or "")

    @property
    def namespace(self) -> str:
        return str(self.subject.get("metadata", "namespace") or "")


def uris(objects: Sequence[Object]) -> Iterator[Named]:
    """Yield every URI of a model; what a template or the shell still fills in is left out."""
    for each in objects:
        for named in _of(each):
            if named.uri and not any(mark in named.uri for mark in _TEMPLATES):
                yield named


def kits(objects: Sequence[Object]) -> Iterator[Named]:
    """Yield those that name a kit."""
    yield from (each for each in uris(objects) if each.is_kit)


def _of(each: Object) -> Iterator[Named]:
    if each.kind == "InferenceService":
        for component in COMPONENTS:
            yield from _component(each, component)
    elif each.kind in CACHES:
        yield _at(each, ("spec", "sourceModelUri"))
    elif each.kind == "TrainedModel":
        yield _at(each, ("spec", "model", "storageUri"))
    elif each.kind == "LLMInferenceService":
        yield _at(each, ("spec", "model", "uri"))
        for number, adapter in enumerate(as_list(each.get("spec", "model", "lora", "adapters"))):
            path = ("spec", "model", "lora", "adapters", number, "uri")
            yield Named(each, path, str(as_map(adapter).get("uri") or ""))


def _at(each: Object, path: tuple[str, ...]) -> Named:
    return Named(each, path, str(each.get(*path) or ""))


def _component(each: Object, component: str) -> Iterator[Named]:
    """Yield the URIs of a predictor, transformer or explainer: typed ones, its list, its containers' environment."""
    above: Path_ = ("spec", component)
    spec = as_map(each.get("spec", component))
    for key, value in spec.items():
        if as_map(value).get("storageUri"):
            yield Named(each, (*above, key, "storageUri"), str(value["storageUri"]), component)
    for number, entry in enumerate(as_list(spec.get("storageUris"))):
        uri = str(as_map(entry).get("uri") or "")
        yield Named(each, (*above, "storageUris", number, "uri"), uri, component)
    for path, container in _containers(above, spec):
        for number, entry in enumerate(as_list(as_map(container).get("env"))):
            if as_map(entry).get("name") == _ENV:
                uri = str(as_map(entry).get("value") or "")
                yield Named(each, (*path, "env", number, "value"), uri, component)


def _containers(above: Path_, spec: dict[str, object]) -> Iterator[tuple[Path_, object]]:
    for key, value in spec.items():
        if key in {"containers", "initContainers"}:
            for number, container in enumerate(as_list(value)):
                yield (*above, key, number), container
        elif isinstance(value, dict):  # a typed predictor is a container itself
            yield (*above, key), value


def cached(objects: Sequence[Object], named: Named) -> bool:
    """Say whether a cache holds what is named: its URI is that of the cache, or lies below it."""
    for cache in objects:
        source = str(cache.get("spec", "sourceModelUri") or "").rstrip("/")
        if cache.kind in CACHES and source and (named.uri == source or named.uri.startswith(f"{source}/")):
            here, there = named.namespace, str(cache.get("metadata", "namespace") or "")
            if cache.kind == "LocalModelCache" or not here or not there or here == there:
                return True
    return False
