"""Which ClusterStorageContainer KServe takes for a URI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kit_conformance.lint.patterns import judge
from kit_conformance.lint.values import as_list, as_map

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kit_conformance.lint.objects import Object
    from kit_conformance.lint.uris import Named

POD: Final = "initContainer"
JOB: Final = "localModelDownloadJob"
WORKLOADS: Final = (POD, JOB)


def containers(objects: Sequence[Object]) -> Iterator[Object]:
    """Yield the ClusterStorageContainers."""
    yield from (each for each in objects if each.kind == "ClusterStorageContainer")


def injected(objects: Sequence[Object]) -> Iterator[Object]:
    """Yield those that become part of a service's pod, in its namespace; the others are for download jobs."""
    yield from (each for each in containers(objects) if workload(each) != JOB)


def formats(each: Object) -> list[dict[str, Any]]:
    """Return the entries of supportedUriFormats."""
    return [as_map(entry) for entry in as_list(each.get("spec", "supportedUriFormats"))]


def enabled(each: Object) -> bool:
    """Say whether KServe looks at a container at all."""
    return each.get("disabled") is not True


def workload(each: Object) -> str:
    """Return what a container is for."""
    return str(each.get("spec", "workloadType") or POD)


def regexes(objects: Sequence[Object]) -> Iterator[tuple[Object, int, str]]:
    """Yield each regex that counts: where there is a prefix, too, the prefix wins."""
    for each in containers(objects):
        for number, entry in enumerate(formats(each)):
            if entry.get("regex") and not entry.get("prefix"):
                yield each, number, str(entry["regex"])


def matches(each: Object, uri: str) -> bool | None:
    """Say whether a container matches a URI, as KServe does; None if its regexes cannot be judged."""
    found: list[bool | None] = []
    for entry in formats(each):
        prefix, regex = str(entry.get("prefix") or ""), str(entry.get("regex") or "")
        if prefix:
            found.append(uri.startswith(prefix))
        elif regex:
            found.append(judge(regex).matches(uri))
    return True if True in found else None if None in found else False


def candidates(objects: Sequence[Object], uri: str, kind: str) -> list[Object]:
    """Return the containers that KServe may choose for a URI by itself, those that cannot be judged included."""
    return [
        each
        for each in containers(objects)
        if enabled(each) and workload(each) == kind and matches(each, uri) is not False
    ]


def chosen(objects: Sequence[Object], named: Named) -> list[Object]:
    """Return the container that a service asks for, else those that match."""
    if named.container:
        return [each for each in containers(objects) if each.name == named.container]
    return candidates(objects, named.uri, POD)
