"""ModelPacks of the CNCF that hold no Kitfile: a Kitfile is made from their config and annotations.

Sources: the ModelPack specification up to 0.0.7; what Kit 1.15 makes of such an artifact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kit_initializer.errors import NotAModelKitError

if TYPE_CHECKING:
    from kit_initializer.modelkit.manifest import Manifest

FILEPATH = "org.cncf.model.filepath"
KITFILE = "ml.kitops.modelkit.kitfile"

_LISTS = {"dataset": "datasets", "code": "code", "docs": "docs", "prompt": "prompts"}


def kitfile(manifest: Manifest, config: dict[str, Any], kinds: list[str]) -> dict[str, Any]:
    """Return a Kitfile with digests; `kinds` has one kind for each layer. Raises NotAModelKitError."""
    diff_ids = _object(config, "modelfs").get("diffIds")
    if isinstance(diff_ids, list) and len(diff_ids) != len(manifest.layers):
        raise NotAModelKitError(
            f"the config speaks of {len(diff_ids)} layers, there are {len(manifest.layers)}"
        )
    descriptor, technical = _object(config, "descriptor"), _object(config, "config")
    value: dict[str, Any] = {"manifestVersion": "1.0.0", "package": _package(descriptor)}
    for kind, layer in zip(kinds, manifest.layers, strict=True):
        path = layer.annotations.get(FILEPATH)
        if not path:
            raise NotAModelKitError(f"layer {layer.digest} has no annotation {FILEPATH}")
        entry = {"path": path, "digest": layer.digest}
        if kind in _LISTS:
            value.setdefault(_LISTS[kind], []).append(entry)
            continue
        model = value.setdefault("model", {})
        if kind == "model" and "path" not in model:
            model.update(_texts(technical, {"format": "format"}) | entry)
        else:
            model.setdefault("parts", []).append(entry)
    return value


def _package(descriptor: dict[str, Any]) -> dict[str, Any]:
    names = {"name": "name", "version": "version", "description": "description"}
    package: dict[str, Any] = _texts(descriptor, names)
    licenses, authors = _strings(descriptor, "licenses"), _strings(descriptor, "authors")
    return (
        package
        | ({"license": ", ".join(licenses)} if licenses else {})
        | ({"authors": authors} if authors else {})
    )


def _texts(value: dict[str, Any], names: dict[str, str]) -> dict[str, str]:
    return {ours: value[theirs] for theirs, ours in names.items() if isinstance(value.get(theirs), str)}


def _strings(value: dict[str, Any], key: str) -> list[str]:
    found = value.get(key)
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []


def _object(value: dict[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key) or {}
    if not isinstance(found, dict):
        raise NotAModelKitError(f"{key} of the config is not an object")
    return found
