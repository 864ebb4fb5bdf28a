"""ModelPack, made by Kit and by others."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from initializer.tests.manifests import FILEPATH, METADATA, PACK, digest, full, layer, planned
from kit_initializer.errors import (
    EmptyError,
    NotAModelKitError,
    UnsafeContentError,
)


def pack(number: int, kind: str, path: str | None, how: str = "tar", **annotations: str) -> dict[str, Any]:
    return layer(number, f"{PACK}.{kind}.v1.{how}", **({FILEPATH: path} if path else {}), **annotations)


PACK_TYPES: dict[str, Any] = {
    "config_type": f"{PACK}.config.v1+json",
    "artifactType": f"{PACK}.manifest.v1+json",
}
PACK_CONFIG = {
    "descriptor": {
        "name": "iris",
        "version": "1.0",
        "authors": ["Ada", 1],
        "licenses": ["MIT", "BSD"],
        "description": "x",
    },
    "modelfs": {"type": "layers", "diffIds": [digest(n) for n in range(1, 7)]},
    "config": {"format": "onnx"},
}
PACK_LAYERS = [
    pack(1, "weight", "m/one.bin"),
    pack(2, "weight", "m/two.bin", "raw", **{METADATA: '{"mode": 420, "size": 102, "typeflag": 48}'}),
    pack(3, "weight.config", "m/config.json", "raw"),
    pack(4, "doc", "README.md", "tar+gzip"),
    pack(5, "code", "src", "tar+zstd"),
    pack(6, "dataset", "data"),
]


class TestModelPack:
    def test_of_another_tool(self) -> None:
        found = planned(PACK_CONFIG, *PACK_LAYERS, **PACK_TYPES)
        assert [(each.kind, each.format, each.compression, each.path) for each in found.layers] == [
            ("model", "tar", "", ""),
            ("model", "raw", "", "m/two.bin"),
            ("modelpart", "raw", "", "m/config.json"),
            ("code", "tar", "zstd", ""),
            ("dataset", "tar", "", ""),
            ("docs", "tar", "gzip", ""),
        ]
        assert {each.directory for each in found.layers} == {""}
        assert found.kitfile is not None
        assert yaml.safe_load(found.kitfile) == {
            "manifestVersion": "1.0.0",
            "package": {
                "name": "iris",
                "version": "1.0",
                "description": "x",
                "license": "MIT, BSD",
                "authors": ["Ada"],
            },
            "model": {
                "format": "onnx",
                "path": "m/one.bin",
                "parts": [{"path": "m/two.bin"}, {"path": "m/config.json"}],
            },
            "docs": [{"path": "README.md"}],
            "code": [{"path": "src"}],
            "datasets": [{"path": "data"}],
        }

    def test_with_a_bare_config(self) -> None:
        found = planned({}, pack(1, "weight.config", "c.json"), config_type=f"{PACK}.config.v1+json")
        assert [each.kind for each in found.layers] == ["modelpart"]
        assert found.kitfile is not None
        assert yaml.safe_load(found.kitfile) == {
            "manifestVersion": "1.0.0",
            "model": {"parts": [{"path": "c.json"}]},
        }

    def test_filters(self) -> None:
        found = planned(PACK_CONFIG, *PACK_LAYERS, filters=("model:m/two.bin", "docs"), **PACK_TYPES)
        assert [each.digest for each in found.layers] == [digest(2), digest(4)]

    def test_of_kit(self) -> None:
        kitfile = {
            "manifestVersion": "1.0.0",
            "model": full(1, "./m.bin", name="m", parts=[full(2, "cfg")]),
            "prompts": [full(3, "p")],
        }
        found = planned(
            {"descriptor": {}, "modelfs": {"type": "layers", "diffIds": []}},
            pack(1, "weight", "m.bin"),
            pack(2, "weight.config", "cfg", "raw"),
            pack(3, "code", "p", **{"ml.kitops.modelkit.layer-subtype": "prompt"}),
            annotations={"ml.kitops.modelkit.kitfile": json.dumps(kitfile)},
            **PACK_TYPES,
        )
        assert [(each.kind, each.path) for each in found.layers] == [
            ("model", ""),
            ("modelpart", "cfg"),
            ("prompt", ""),
        ]
        assert found.kitfile is not None
        assert yaml.safe_load(found.kitfile)["model"] == {
            "path": "./m.bin",
            "name": "m",
            "parts": [{"path": "cfg"}],
        }

    @pytest.mark.parametrize(
        ("config", "layers", "message"),
        [
            ({}, [pack(1, "weight", None)], "no annotation org.cncf.model.filepath"),
            ({"modelfs": {"diffIds": []}}, [pack(1, "weight", "m")], "speaks of 0 layers, there are 1"),
            ({"modelfs": []}, [], None),
            ({"modelfs": [1]}, [], "modelfs of the config is not an object"),
            ({"descriptor": "x"}, [], "descriptor of the config is not an object"),
            ({"config": 1}, [], "config of the config is not an object"),
            ({}, [pack(1, "tokenizer", "t")], "unknown media type"),
        ],
    )
    def test_is_refused(self, config: object, layers: list[dict[str, Any]], message: str | None) -> None:
        if message is None:
            with pytest.raises(EmptyError):
                planned(config, *layers, **PACK_TYPES)
            return
        with pytest.raises(NotAModelKitError, match=message):
            planned(config, *layers, **PACK_TYPES)

    def test_a_path_that_leads_elsewhere(self) -> None:
        with pytest.raises(UnsafeContentError):
            planned({}, pack(1, "weight", "../m", "raw"), **PACK_TYPES)
