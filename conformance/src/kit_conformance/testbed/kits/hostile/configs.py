"""Configs of a few megabytes that cost hundreds to read, or to write as a Kitfile."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kit_conformance.testbed.kits.hostile.base import GOOD, good, unsafe
from kit_conformance.testbed.kits.pack import single

if TYPE_CHECKING:
    from kit_conformance.testbed.kits.values import ModelKit

_BYTES: Final = 3_500_000
_DEPTH: Final = 55


def with_parameters(parameters: bytes) -> ModelKit:
    """Return a kit whose model has these parameters in the config, as JSON text."""
    kit = single(bytes(good()), ".")
    config = json.loads(kit.config)
    config["model"]["parameters"] = "@"
    body = json.dumps(config).encode().replace(b'"@"', parameters)
    manifest = json.loads(kit.manifest)
    manifest["config"] |= {"digest": f"sha256:{hashlib.sha256(body).hexdigest()}", "size": len(body)}
    return replace(kit, config=body, manifest=json.dumps(manifest).encode())


def _lists() -> ModelKit:
    return with_parameters(b"[" + b"[]," * (_BYTES // 3) + b"0]")


def _deep() -> ModelKit:
    return with_parameters(b"[" * _DEPTH + b"1," * (_BYTES // 2) + b"1" + b"]" * _DEPTH)


CONFIGS = (
    unsafe("config-lists", "a config of a million empty lists", _lists, brings={"good.txt": GOOD}),
    unsafe("config-deep", "values 55 levels deep, each a line of YAML", _deep, brings={"good.txt": GOOD}),
)
