"""What each rule looks for: functions from objects to places."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kit_conformance.lint.objects import Object, Path_

Place = tuple["Object", "Path_", str]  # where, and words for this very finding

CONTAINER: Final = "storage-initializer"
WORKLOADS: Final = ("initContainer", "localModelDownloadJob")
_SAMPLE: Final = "kit://registry.example/models/iris:v1"
_MODELS: Final = "/mnt/models"
_MOVING: Final = frozenset({"latest", "next", "main", "master", "edge", "nightly", "dev"})
# What Python's regexes know and RE2 does not.
_NOT_RE2: Final = re.compile(r"\(\?(?:=|!|<=|<!|P=|>|\()|\\[1-9]|[*+?}]\+")


def containers(objects: Sequence[Object]) -> Iterator[Object]:
    """Yield the ClusterStorageContainers."""
    yield from (each for each in objects if each.kind == "ClusterStorageContainer")


def services(objects: Sequence[Object]) -> Iterator[Object]:
    """Yield the InferenceServices."""
    yield from (each for each in objects if each.kind == "InferenceService")


def _map(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _formats(each: Object) -> list[dict[str, Any]]:
    return [_map(entry) for entry in _list(each.get("spec", "supportedUriFormats"))]


def _enabled(each: Object) -> bool:
    return each.get("disabled") is not True


def container_name(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        name = each.get("spec", "container", "name")
        if name != CONTAINER:
            yield each, ("spec", "container", "name"), f"it is called {name}" if name else "it has no name"


def formats_place(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        if each.get("spec", "container", "supportedUriFormats") is not None:
            yield each, ("spec", "container", "supportedUriFormats"), ""


def formats_missing(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        nested = each.get("spec", "container", "supportedUriFormats") is not None
        if not nested and not any(entry.get("prefix") or entry.get("regex") for entry in _formats(each)):
            yield each, ("spec", "supportedUriFormats"), ""


def container_args(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        if each.get("spec", "container", "args"):
            yield each, ("spec", "container", "args"), ""


def workload_type_missing(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        if each.get("spec", "workloadType") in {None, ""}:
            yield each, ("spec",), ""


def workload_type_unknown(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        given = each.get("spec", "workloadType")
        if given not in {None, "", *WORKLOADS}:
            yield each, ("spec", "workloadType"), f"it is {given}"


def multi_model_missing(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        if each.get("spec", "supportsMultiModelDownload") is None:
            yield each, ("spec",), ""


def multi_model_needed(objects: Sequence[Object]) -> Iterator[Place]:
    for service in services(objects):
        uris = [_map(entry).get("uri") for entry in _list(service.get("spec", "predictor", "storageUris"))]
        first = str(uris[0]) if uris else ""
        for each in _for(objects, first, "initContainer") if first else ():
            if each.get("spec", "supportsMultiModelDownload") is not True:
                yield service, ("spec", "predictor", "storageUris"), f"{each.name} does not"


def regex_invalid(objects: Sequence[Object]) -> Iterator[Place]:
    for each, number, regex in _regexes(objects):
        if not _compiles(regex):
            yield each, ("spec", "supportedUriFormats", number, "regex"), regex


def regex_unanchored(objects: Sequence[Object]) -> Iterator[Place]:
    for each, number, regex in _regexes(objects):
        if _compiles(regex) and not regex.startswith(("^", "\\A")):
            yield each, ("spec", "supportedUriFormats", number, "regex"), regex


def _regexes(objects: Sequence[Object]) -> Iterator[tuple[Object, int, str]]:
    for each in containers(objects):
        for number, entry in enumerate(_formats(each)):
            if entry.get("regex") and not entry.get("prefix"):  # a prefix wins
                yield each, number, str(entry["regex"])


def _compiles(regex: str) -> bool:
    try:
        re.compile(regex)
    except re.error:
        return False
    return _NOT_RE2.search(regex) is None


def _matches(each: Object, uri: str) -> bool:
    for entry in _formats(each):
        prefix, regex = str(entry.get("prefix") or ""), str(entry.get("regex") or "")
        if prefix:
            if uri.startswith(prefix):
                return True
        elif regex and _compiles(regex) and re.search(regex, uri):
            return True
    return False


def _for(objects: Sequence[Object], uri: str, workload: str) -> list[Object]:
    """Return the containers that KServe may choose for a URI."""
    return [
        each
        for each in containers(objects)
        if _enabled(each)
        and _matches(each, uri)
        and (each.get("spec", "workloadType") or workload) == workload
    ]


def two_containers(objects: Sequence[Object]) -> Iterator[Place]:
    found = [each for each in containers(objects) if _enabled(each)]
    for number, each in enumerate(found):
        for other in found[:number]:
            if _workload(each) == _workload(other) and each.name != other.name:
                uri = next((uri for uri in _samples(each) + _samples(other) if _both(each, other, uri)), "")
                if uri:
                    yield each, ("spec", "supportedUriFormats"), f"{other.name} matches {uri}, too"


def _workload(each: Object) -> str:
    return str(each.get("spec", "workloadType") or "initContainer")


def _samples(each: Object) -> list[str]:
    return [str(entry["prefix"]) for entry in _formats(each) if entry.get("prefix")] + [_SAMPLE]


def _both(each: Object, other: Object, uri: str) -> bool:
    return _matches(each, uri) and _matches(other, uri)


def disabled_place(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        if each.get("spec", "disabled") is not None:
            yield each, ("spec", "disabled"), ""


def secret_optional(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        for number, entry in enumerate(_list(each.get("spec", "container", "env"))):
            for kind, reference in _map(_map(entry).get("valueFrom")).items():
                if (
                    kind in {"secretKeyRef", "configMapKeyRef"}
                    and _map(reference).get("optional") is not True
                ):
                    where = ("spec", "container", "env", number, "valueFrom", kind)
                    yield each, where, f"{_map(entry).get('name')} from {_map(reference).get('name')}"
        for number, entry in enumerate(_list(each.get("spec", "container", "envFrom"))):
            for kind, reference in _map(entry).items():
                if kind in {"secretRef", "configMapRef"} and _map(reference).get("optional") is not True:
                    place = ("spec", "container", "envFrom", number, kind)
                    yield each, place, f"all of {_map(reference).get('name')}"


def security_context(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        context = _map(each.get("spec", "container", "securityContext"))
        missing = [
            name
            for name, there in (
                ("allowPrivilegeEscalation: false", context.get("allowPrivilegeEscalation") is False),
                ("capabilities.drop: [ALL]", "ALL" in _list(_map(context.get("capabilities")).get("drop"))),
                ("runAsNonRoot: true", context.get("runAsNonRoot") is True),
                (
                    "seccompProfile",
                    _map(context.get("seccompProfile")).get("type") in {"RuntimeDefault", "Localhost"},
                ),
            )
            if not there
        ]
        if missing and each.get("spec", "container") is not None:
            yield each, ("spec", "container", "securityContext"), f"without {', '.join(missing)}"


def mount_without_volume(objects: Sequence[Object]) -> Iterator[Place]:
    declared = set()
    for each in objects:
        if each.kind in {"ServingRuntime", "ClusterServingRuntime"}:
            declared |= {_map(volume).get("name") for volume in _list(each.get("spec", "volumes"))}
        elif each.kind == "InferenceService":
            declared |= {
                _map(volume).get("name") for volume in _list(each.get("spec", "predictor", "volumes"))
            }
    for each in containers(objects):
        for number, mount in enumerate(_list(each.get("spec", "container", "volumeMounts"))):
            if _map(mount).get("name") not in declared:
                where = ("spec", "container", "volumeMounts", number)
                yield each, where, f"{_map(mount).get('name')} at {_map(mount).get('mountPath')}"


def mount_over_model(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        for number, mount in enumerate(_list(each.get("spec", "container", "volumeMounts"))):
            if str(_map(mount).get("mountPath", "")).rstrip("/") == _MODELS:
                yield each, ("spec", "container", "volumeMounts", number), ""


def image_missing(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        if each.get("spec", "container") is not None and not each.get("spec", "container", "image"):
            yield each, ("spec", "container"), ""


def moving_tag(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        image = str(each.get("spec", "container", "image") or "")
        if image and "$" not in image and _moves(image):
            yield each, ("spec", "container", "image"), image
    for each, where, uri in _uris(objects):
        if _moves(uri.removeprefix("kit://")):
            yield each, where, uri


def _moves(reference: str) -> bool:
    if "@" in reference:
        return False
    tag = reference.rpartition("/")[2].partition(":")[2]
    return not tag or tag in _MOVING


def _uris(objects: Sequence[Object]) -> Iterator[tuple[Object, Path_, str]]:
    """Yield every kit:// that an object names."""
    for each in services(objects):
        model = ("spec", "predictor", "model", "storageUri")
        if str(each.get(*model) or "").startswith("kit://"):
            yield each, model, str(each.get(*model))
        for number, entry in enumerate(_list(each.get("spec", "predictor", "storageUris"))):
            uri = str(_map(entry).get("uri", ""))
            if uri.startswith("kit://"):
                yield each, ("spec", "predictor", "storageUris", number, "uri"), uri
    for each in objects:
        if each.kind == "LocalModelCache":
            uri = str(each.get("spec", "sourceModelUri") or "")
            if uri.startswith("kit://"):
                yield each, ("spec", "sourceModelUri"), uri


def uri_without_container(objects: Sequence[Object]) -> Iterator[Place]:
    for each, where, uri in _uris(objects):
        if each.kind == "InferenceService" and not _for(objects, uri, "initContainer"):
            yield each, where, uri


def local_model_container(objects: Sequence[Object]) -> Iterator[Place]:
    for each, where, uri in _uris(objects):
        if each.kind == "LocalModelCache" and not _for(objects, uri, "localModelDownloadJob"):
            yield each, where, uri


def storage_path(objects: Sequence[Object]) -> Iterator[Place]:
    for each in services(objects):
        storage = _map(each.get("spec", "predictor", "model", "storage"))
        if storage.get("path") and _map(storage.get("parameters")).get("type") == "kit":
            yield each, ("spec", "predictor", "model", "storage", "path"), str(storage["path"])


def llm_with_kit(objects: Sequence[Object]) -> Iterator[Place]:
    for each in objects:
        uri = str(each.get("spec", "model", "uri") or "")
        if each.kind == "LLMInferenceService" and uri.startswith("kit://"):
            yield each, ("spec", "model", "uri"), uri


CHECKS: Final[Mapping[str, Callable[[Sequence[Object]], Iterator[Place]]]] = {
    check.__name__.replace("_", "-"): check
    for check in (
        container_name,
        formats_place,
        formats_missing,
        container_args,
        workload_type_missing,
        workload_type_unknown,
        multi_model_missing,
        multi_model_needed,
        regex_invalid,
        regex_unanchored,
        two_containers,
        disabled_place,
        secret_optional,
        security_context,
        mount_without_volume,
        mount_over_model,
        image_missing,
        moving_tag,
        uri_without_container,
        local_model_container,
        storage_path,
        llm_with_kit,
    )
}
