"""Manifests and indexes written by hand, as facts of the format that no Kit here makes."""

from __future__ import annotations

import json
from typing import Any

from kit_initializer.modelkit import Manifest, Plan, parse, plan

KIT = "application/vnd.kitops.modelkit"
PACK = "application/vnd.cncf.model"
OCI = "application/vnd.oci.image"
FILEPATH = "org.cncf.model.filepath"
METADATA = "org.cncf.model.file.metadata+json"


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def layer(number: int, media_type: str, **annotations: str) -> dict[str, Any]:
    found: dict[str, Any] = {"mediaType": media_type, "digest": digest(number), "size": 100 + number}
    return found | ({"annotations": annotations} if annotations else {})


def tar(number: int, kind: str, compression: str = "", **annotations: str) -> dict[str, Any]:
    return layer(number, f"{KIT}.{kind}.v1.tar{compression}", **annotations)


def body(*layers: dict[str, Any], config_type: str = f"{KIT}.config.v1+json", **more: object) -> bytes:
    manifest = {"schemaVersion": 2, "config": layer(0, config_type), "layers": list(layers)} | more
    return json.dumps(manifest).encode()


def manifest(*layers: dict[str, Any], config_type: str = f"{KIT}.config.v1+json", **more: object) -> Manifest:
    found = parse(body(*layers, config_type=config_type, **more))
    assert isinstance(found, Manifest)
    return found


def planned(
    config: object,
    *layers: dict[str, Any],
    filters: tuple[str, ...] = (),
    config_type: str = f"{KIT}.config.v1+json",
    **more: object,
) -> Plan:
    found = manifest(*layers, config_type=config_type, **more)
    return plan(found, json.dumps(config).encode(), filters=filters)


def index(*members: dict[str, Any], **more: object) -> bytes:
    value = {"schemaVersion": 2, "artifactType": f"{KIT}.index.v1+json", "manifests": list(members)} | more
    return json.dumps(value).encode()


def member(number: int, labels: object = None, media_type: str = f"{OCI}.manifest.v1+json") -> dict[str, Any]:
    return layer(number, media_type) | ({} if labels is None else {"modelMetadata": labels})


def full(number: int, path: str, **more: object) -> dict[str, object]:
    """Return an entry of a config as Kit since 0.5 writes it."""
    return {"path": path, "digest": digest(number), "diffId": digest(number), **more}
