"""What each rule looks for: functions from objects to places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kit_conformance.lint import policy, policy_checks, setting_checks, uri_checks
from kit_conformance.lint.patterns import judge
from kit_conformance.lint.reach import WORKLOADS, chosen, containers, formats, injected, regexes
from kit_conformance.lint.uris import uris
from kit_conformance.lint.values import as_list, as_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kit_conformance.lint.objects import Object, Path_

Place = tuple["Object", "Path_", str]  # where, and words for this very finding

CONTAINER: Final = "storage-initializer"
_MODELS: Final = "/mnt/models"
_VOLUME: Final = "kserve-provision-location"  # KServe's own, which every pod with an initializer has


def unreadable(objects: Sequence[Object]) -> Iterator[Place]:
    yield from ((each, (), each.problem) for each in objects if each.problem)


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
        if not nested and not any(entry.get("prefix") or entry.get("regex") for entry in formats(each)):
            yield each, ("spec", "supportedUriFormats"), ""


def container_args(objects: Sequence[Object]) -> Iterator[Place]:
    for each in injected(objects):
        if each.get("spec", "container", "args"):
            yield each, ("spec", "container", "args"), ""


def workload_type_missing(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        if each.get("spec", "workloadType") in (None, ""):
            yield each, ("spec",), ""


def workload_type_unknown(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        given = each.get("spec", "workloadType")
        if given not in (None, "", *WORKLOADS):
            yield each, ("spec", "workloadType"), f"it is {given}"


def multi_model_missing(objects: Sequence[Object]) -> Iterator[Place]:
    for each in injected(objects):
        if each.get("spec", "supportsMultiModelDownload") is None:
            yield each, ("spec",), ""


def multi_model_needed(objects: Sequence[Object]) -> Iterator[Place]:
    for named in uris(objects):
        if named.path[-3:] == ("storageUris", 0, "uri"):
            for each in chosen(objects, named):
                if each.get("spec", "supportsMultiModelDownload") is not True:
                    yield named.subject, named.path[:-2], f"{each.name} does not"


def prefix_caret(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        for number, entry in enumerate(formats(each)):
            if "^" in str(entry.get("prefix") or ""):
                yield each, ("spec", "supportedUriFormats", number, "prefix"), str(entry["prefix"])


def regex_invalid(objects: Sequence[Object]) -> Iterator[Place]:
    for each, number, regex in regexes(objects):
        if judge(regex).invalid:
            yield each, ("spec", "supportedUriFormats", number, "regex"), f"{regex}: {judge(regex).invalid}"


def regex_unjudged(objects: Sequence[Object]) -> Iterator[Place]:
    for each, number, regex in regexes(objects):
        if judge(regex).unjudged:
            yield each, ("spec", "supportedUriFormats", number, "regex"), f"{regex}: {judge(regex).unjudged}"


def regex_unanchored(objects: Sequence[Object]) -> Iterator[Place]:
    for each, number, regex in regexes(objects):
        if not judge(regex).invalid and not regex.startswith(("^", "\\A")):
            yield each, ("spec", "supportedUriFormats", number, "regex"), regex


def disabled_place(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        if each.get("spec", "disabled") is not None:
            yield each, ("spec", "disabled"), ""


def secret_optional(objects: Sequence[Object]) -> Iterator[Place]:
    for each in injected(objects):
        for number, entry in enumerate(as_list(each.get("spec", "container", "env"))):
            for kind, reference in as_map(as_map(entry).get("valueFrom")).items():
                # a policy must exist: an optional one that is missing lets every kit in
                if (
                    kind in {"secretKeyRef", "configMapKeyRef"}
                    and as_map(reference).get("optional") is not True
                    and as_map(entry).get("name") not in policy.CARRIERS
                ):
                    where = ("spec", "container", "env", number, "valueFrom", kind)
                    yield each, where, f"{as_map(entry).get('name')} from {as_map(reference).get('name')}"
        for number, entry in enumerate(as_list(each.get("spec", "container", "envFrom"))):
            for kind, reference in as_map(entry).items():
                if kind in {"secretRef", "configMapRef"} and as_map(reference).get("optional") is not True:
                    place = ("spec", "container", "envFrom", number, kind)
                    yield each, place, f"all of {as_map(reference).get('name')}"


def security_context(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        context = as_map(each.get("spec", "container", "securityContext"))
        missing = [
            name
            for name, there in (
                ("allowPrivilegeEscalation: false", context.get("allowPrivilegeEscalation") is False),
                (
                    "capabilities.drop: [ALL]",
                    "ALL" in as_list(as_map(context.get("capabilities")).get("drop")),
                ),
                ("runAsNonRoot: true", context.get("runAsNonRoot") is True),
                (
                    "seccompProfile",
                    as_map(context.get("seccompProfile")).get("type") in ("RuntimeDefault", "Localhost"),
                ),
            )
            if not there
        ]
        if missing and each.get("spec", "container") is not None:
            yield each, ("spec", "container", "securityContext"), f"without {', '.join(missing)}"


def mount_without_volume(objects: Sequence[Object]) -> Iterator[Place]:
    declared = {_VOLUME}
    for each in objects:
        for above in (("spec",), ("spec", "predictor")):
            declared |= {str(as_map(volume).get("name")) for volume in as_list(each.get(*above, "volumes"))}
    for each in injected(objects):
        for number, mount in enumerate(as_list(each.get("spec", "container", "volumeMounts"))):
            if str(as_map(mount).get("name")) not in declared:
                where = ("spec", "container", "volumeMounts", number)
                yield each, where, f"{as_map(mount).get('name')} at {as_map(mount).get('mountPath')}"


def mount_over_model(objects: Sequence[Object]) -> Iterator[Place]:
    for each in injected(objects):
        for number, mount in enumerate(as_list(each.get("spec", "container", "volumeMounts"))):
            if str(as_map(mount).get("mountPath", "")).rstrip("/") == _MODELS:
                yield each, ("spec", "container", "volumeMounts", number), ""


def image_missing(objects: Sequence[Object]) -> Iterator[Place]:
    for each in containers(objects):
        if each.get("spec", "container") is not None and not each.get("spec", "container", "image"):
            yield each, ("spec", "container"), ""


CHECKS: Final[Mapping[str, Callable[[Sequence[Object]], Iterator[Place]]]] = {
    check.__name__.replace("_", "-"): check
    for check in (
        *setting_checks.CHECKS,
        unreadable,
        container_name,
        formats_place,
        formats_missing,
        container_args,
        workload_type_missing,
        workload_type_unknown,
        multi_model_missing,
        multi_model_needed,
        prefix_caret,
        regex_invalid,
        regex_unjudged,
        regex_unanchored,
        uri_checks.two_containers,
        disabled_place,
        secret_optional,
        security_context,
        mount_without_volume,
        mount_over_model,
        image_missing,
        uri_checks.moving_tag,
        uri_checks.cache_tag,
        uri_checks.invalid_reference,
        uri_checks.uri_without_container,
        uri_checks.storage_container_name,
        uri_checks.mixed_schemes,
        uri_checks.local_model_container,
        uri_checks.storage_path,
        uri_checks.llm_with_kit,
        uri_checks.trained_model_with_kit,
        policy_checks.signature_policy_invalid,
        policy_checks.signature_policy_reference,
        policy_checks.signature_policy_missing,
    )
}
