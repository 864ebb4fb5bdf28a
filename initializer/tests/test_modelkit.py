"""Manifests, indexes and plans by the facts of the format, also of Kits that are newer than the kept ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kit_initializer.errors import (
    EmptyError,
    InitializerError,
    NotAModelKitError,
    UnsafeContentError,
    UsageError,
)
from kit_initializer.modelkit import ACCEPT, Index, Layer, Manifest, Plan, parse, plan

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


class TestManifest:
    def test_of_an_old_kit(self) -> None:
        found = manifest(tar(1, "model", "+gzip"))
        assert found.artifact_type == ""
        assert found.annotations == {}
        assert not found.is_model_pack
        assert found.config.digest == digest(0)
        assert [each.size for each in found.layers] == [101]

    def test_of_a_new_kit(self) -> None:
        found = manifest(
            tar(1, "model", **{FILEPATH: "m"}),
            mediaType=f"{OCI}.manifest.v1+json",
            artifactType=f"{KIT}.manifest.v1+json",
            annotations={"ml.kitops.modelkit.cli-version": "1.17.0"},
        )
        assert found.artifact_type == f"{KIT}.manifest.v1+json"
        assert found.layers[0].annotations == {FILEPATH: "m"}
        assert not found.is_model_pack

    def test_layers_may_be_null_or_absent(self) -> None:
        assert manifest(layers=None).layers == ()
        raw = json.loads(body())
        del raw["layers"]
        found = parse(json.dumps(raw).encode())
        assert isinstance(found, Manifest)
        assert found.layers == ()

    @pytest.mark.parametrize("artifact_type", [f"{KIT}.manifest.v1+json", f"{PACK}.manifest.v1+json"])
    def test_the_artifact_type_suffices(self, artifact_type: str) -> None:
        found = manifest(artifactType=artifact_type, config_type="application/vnd.example+json")
        assert found.is_model_pack == ("cncf" in artifact_type)

    def test_the_config_decides_over_the_artifact_type(self) -> None:
        assert not manifest(artifactType=f"{PACK}.manifest.v1+json").is_model_pack
        assert manifest(artifactType=f"{KIT}.x", config_type=f"{PACK}.config.v1+json").is_model_pack

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "not JSON"),
            (b"\xff\xfe", "not JSON"),
            (b"<html>", "not JSON"),
            (b"[" * 100_000, "not JSON"),
            (b"[]", "not a JSON object"),
            (b"null", "not a JSON object"),
            (b'{"a": NaN}', "not JSON"),
            (b'{"a": 1e400}', "not JSON"),
            (b'{"a": ' + b"1" * 5000 + b"}", "not JSON"),
            (b"{}", "not a ModelKit, it is no config"),
            (b'{"config": null, "layers": []}', "the config has no descriptor"),
            (b'{"config": {}, "manifests": []}', "a manifest and an index at once"),
            (b'{"layers": [], "manifests": []}', "a manifest and an index at once"),
            (body(config_type=f"{OCI}.config.v1+json"), "not a ModelKit"),
            (body(config_type="application/vnd.docker.container.image.v1+json"), "not a ModelKit"),
            (body(config_type="application/vnd.cncf.helm.config.v1+json"), "it is application/vnd.cncf.helm"),
            (body(artifactType="application/vnd.example"), None),
            (body(layers={}), "layers that are not a list"),
            (body(layers=["x"]), "layer 1 has no descriptor"),
            (body({"digest": "md5:1", "size": 1}), "layer 1 has the digest 'md5:1'"),
            (body({"digest": 1, "size": 1}), "layer 1 has a digest that is not text"),
            (body({"digest": digest(1), "size": 1, "mediaType": []}), "mediaType that is not text"),
            (body({"digest": digest(1)}), "layer 1 has no size"),
            (body({"digest": digest(1), "size": True}), "layer 1 has no size"),
            (body({"digest": digest(1), "size": -1}), "layer 1 has no size"),
            (body({"digest": digest(1), "size": 2**63}), "layer 1 has no size"),
            (body({"digest": digest(1), "size": 1.0}), "layer 1 has no size"),
            (body(annotations={"a": 1}), "annotations that are not text"),
            (body(annotations=["a"]), "annotations that are not text"),
            (body(artifactType=1), "artifactType that is not text"),
            (body(config_type="\x1b[2J\nusage: lies"), r"it is '\\x1b\[2J\\nusage: lies'"),
        ],
    )
    def test_is_refused(self, content: bytes, message: str | None) -> None:
        if message is None:
            assert isinstance(parse(content), Manifest)
            return
        with pytest.raises(NotAModelKitError, match=message):
            parse(content)

    def test_an_image_gets_its_own_hint(self) -> None:
        with pytest.raises(NotAModelKitError) as caught:
            parse(body(config_type=f"{OCI}.config.v1+json"))
        assert "oci://" in caught.value.hint

    def test_accept_names_what_is_parsed_and_what_is_told_from_it(self) -> None:
        assert ACCEPT.split(", ")[:2] == [f"{OCI}.manifest.v1+json", f"{OCI}.index.v1+json"]


class TestIndex:
    def choose(self, content: bytes, *labels: tuple[str, str]) -> str:
        found = parse(content)
        assert isinstance(found, Index)
        return found.choose(labels).digest

    def test_the_only_member_needs_no_label(self) -> None:
        assert self.choose(index(member(1))) == digest(1)

    def test_labels_choose(self) -> None:
        content = index(
            member(1, {"quant": "int8", "gpu": False, "size": 7}),
            member(2, {"quant": "int8", "gpu": True, "size": 7}),
            member(3, {"quant": "fp16", "tags": ["a"]}),
        )
        assert self.choose(content, ("quant", "fp16")) == digest(3)
        assert self.choose(content, ("quant", "int8"), ("gpu", "true")) == digest(2)
        assert self.choose(content, ("size", "7"), ("gpu", "false")) == digest(1)
        assert self.choose(content, ("tags", '["a"]')) == digest(3)
        with pytest.raises(UsageError, match="2 ModelKits in the index match quant=int8") as caught:
            self.choose(content, ("quant", "int8"))
        assert "gpu=false" in caught.value.hint
        with pytest.raises(UsageError, match="3 ModelKits in the index match without labels"):
            self.choose(content)
        with pytest.raises(EmptyError, match="no ModelKit in the index has quant=int4") as empty:
            self.choose(content, ("quant", "int4"))
        assert "quant=fp16" in empty.value.hint

    def test_the_hint_is_short(self) -> None:
        content = index(member(1, {f"k{n}": "v" for n in range(50)}), member(2))
        with pytest.raises(UsageError) as caught:
            self.choose(content)
        assert caught.value.hint.endswith("k16=v, …")
        with pytest.raises(EmptyError) as empty:
            self.choose(index(member(1), member(2)), ("a", "b"))
        assert "no labels" in empty.value.hint

    def test_labels_are_printed_safely(self) -> None:
        with pytest.raises(UsageError) as caught:
            self.choose(index(member(1, {"a": "\x1b[2J\n"}), member(2)))
        assert caught.value.line().isprintable()

    def test_other_things_in_an_index_are_passed_over(self) -> None:
        assert self.choose(index(member(1), member(2, media_type=f"{OCI}.index.v1+json"))) == digest(1)
        with pytest.raises(NotAModelKitError, match="lists no ModelKit"):
            self.choose(index())

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (index(artifactType=""), "not a ModelKit, it is an index"),
            (
                index(artifactType="", mediaType=f"{OCI}.index.v1+json"),
                "it is application/vnd.oci.image.index",
            ),
            (index(manifests=1), "manifests that are not a list"),
            (index(member(1, ["quant"])), "labels that are not an object"),
            (index({"digest": "x"}), "manifest 1 of the index has the digest"),
        ],
    )
    def test_is_refused(self, content: bytes, message: str) -> None:
        with pytest.raises(NotAModelKitError, match=message):
            parse(content)


def full(number: int, path: str, **more: object) -> dict[str, object]:
    """Return an entry of a config as Kit since 0.5 writes it."""
    return {"path": path, "digest": digest(number), "diffId": digest(number), **more}


CONFIG = {
    "manifestVersion": "1.0.0",
    "package": {"name": "all"},
    "model": full(1, "./models/m.bin", name="m", parts=[full(2, "models/lora", name="l")]),
    "code": [full(3, "code/")],
    "datasets": [
        full(4, "data", name="d"),
        {"name": "far", "remotePath": "s3://bucket/key", "remoteHash": "x"},
    ],
    "docs": [full(5, "docs/README.md")],
    "prompts": [full(6, "prompts/p.md", name="p")],
    "mcpServers": [full(7, "servers/s.mcpb", name="s")],
}
LAYERS = [
    tar(1, "model", "+zstd"),
    tar(2, "modelpart", "+gzip"),
    tar(3, "code"),
    tar(4, "dataset"),
    layer(5, f"{KIT}.docs.v1.raw", **{FILEPATH: "docs/README.md", METADATA: '{"mode": 33261, "size": 105}'}),
    tar(6, "code", **{"ml.kitops.modelkit.layer-subtype": "prompt"}),
    layer(7, f"{KIT}.mcpb.v1.raw"),
]
KINDS = ["model", "modelpart", "code", "dataset", "docs", "prompt", "mcpb"]


class TestPlan:
    def test_everything_by_digest(self) -> None:
        found = planned(CONFIG, *reversed(LAYERS), layer(9, "application/vnd.example.signature"))
        assert [each.kind for each in found.layers] == KINDS
        assert [each.digest for each in found.layers] == [digest(number) for number in range(1, 8)]
        assert [each.compression for each in found.layers] == ["zstd", "gzip", "", "", "", "", ""]
        assert {each.directory for each in found.layers} == {""}
        assert found.layers[0] == Layer(digest(1), 101, "model", "tar", "zstd", "", "", 0o644)
        assert found.layers[4] == Layer(digest(5), 105, "docs", "raw", "", "", "docs/README.md", 0o755)
        assert found.layers[6] == Layer(digest(7), 107, "mcpb", "raw", "", "", "servers/s.mcpb", 0o644)
        assert found.parent is None
        assert found.kitfile is not None
        assert yaml.safe_load(found.kitfile)["datasets"][1]["remotePath"] == "s3://bucket/key"

    def test_everything_in_order(self) -> None:
        config = {
            "model": {"path": "./models/m.bin", "parts": [{"path": "models/a/b/"}]},
            "code": [{"path": "."}, {"path": "x/../src"}],
            "datasets": [{"path": "data"}],
            "docs": [{"path": "docs/README.md", "description": ""}],
        }
        found = planned(
            config,
            tar(1, "code"),
            tar(2, "dataset"),
            tar(3, "code"),
            tar(4, "docs"),
            tar(5, "modelpart"),
            tar(6, "model"),
        )
        assert [(each.digest, each.directory) for each in found.layers] == [
            (digest(6), "models"),
            (digest(5), "models/a"),
            (digest(1), ""),
            (digest(3), ""),
            (digest(2), ""),
            (digest(4), "docs"),
        ]

    def test_one_digest_for_two_raw_files(self) -> None:
        raw = f"{KIT}.code.v1.raw"
        layers = [
            layer(1, raw, **{FILEPATH: "a.sh", METADATA: '{"mode": 420}'}),
            layer(1, raw, **{FILEPATH: "b.sh", METADATA: '{"mode": 493}'}),
        ]
        found = planned({"code": [full(1, "./b.sh"), full(1, "a.sh"), full(1, "c.sh")]}, *layers)
        assert [(each.path, each.mode) for each in found.layers] == [
            ("b.sh", 0o755),
            ("a.sh", 0o644),
            ("c.sh", 0o644),
        ]

    @pytest.mark.parametrize(
        ("filters", "kinds"),
        [
            (("model",), ["model", "modelpart"]),
            (("model:m",), ["model"]),
            (("model:l",), ["modelpart"]),
            (("model:models/m.bin",), ["model"]),
            (("code:code",), ["code"]),
            (("code:./code/",), ["code"]),
            (("datasets:d", "docs"), ["dataset", "docs"]),
            (("prompts:p",), ["prompt"]),
            (("mcpservers",), ["mcpb"]),
            (("prompts,mcpservers:s",), ["mcpb"]),
            (("kitfile:x",), []),
            (("kitfile,model,datasets,code,docs,prompts,mcpservers",), KINDS),
        ],
    )
    def test_filters(self, filters: tuple[str, ...], kinds: list[str]) -> None:
        found = planned(CONFIG, *LAYERS, filters=filters)
        assert [each.kind for each in found.layers] == kinds
        assert (found.kitfile is not None) == any("kitfile" in text for text in filters)

    @pytest.mark.parametrize("text", ["model:", "model:other", "code:d", "docs:docs"])
    def test_a_filter_that_matches_nothing(self, text: str) -> None:
        with pytest.raises(EmptyError, match="nothing in the kit matches"):
            planned(CONFIG, *LAYERS, filters=(text,))

    @pytest.mark.parametrize(
        ("text", "hint"),
        [
            ("modle", "did you mean model?"),
            ("model, code", "did you mean code?"),
            ("Model", "did you mean model?"),
            ("", "the types are kitfile"),
            (":m", "the types are kitfile"),
            ("model:a:b", "type1,type2"),
        ],
    )
    def test_a_filter_that_is_none(self, text: str, hint: str) -> None:
        with pytest.raises(UsageError) as caught:
            planned(CONFIG, *LAYERS, filters=(text,))
        assert hint in caught.value.hint

    @pytest.mark.parametrize(
        ("config", "layers", "message"),
        [
            ({"model": full(9, "m")}, [tar(1, "model")], "which no layer has"),
            (
                {"model": full(1, "m"), "code": [{"path": "c"}]},
                [tar(1, "model"), tar(2, "code")],
                "has no digest",
            ),
            ({"model": {"path": "m"}}, [], "names 1 of kind model, the manifest has 0"),
            ({"model": {"path": "m"}}, [tar(1, "model"), tar(2, "model")], "names 1 of kind model"),
            ({}, [tar(1, "code")], "names 0 of kind code, the manifest has 1"),
            ({"model": {"name": "m"}}, [tar(1, "model")], "names 0 of kind model"),
            ({"model": full(1, "m")}, [tar(1, "weights")], "unknown media type"),
            ({"model": full(1, "m")}, [layer(1, f"{KIT}.model.v1.zip")], "unknown media type"),
            ({"model": full(1, "m")}, [layer(1, f"{KIT}.model.v2.tar")], "unknown media type"),
            ({"model": full(1, "m")}, [tar(1, "model", "+")], "unknown media type"),
            ({"model": full(1, "m")}, [tar(1, "model", "+br")], "unknown media type"),
            ({"model": {"path": "m"}}, [tar(1, "model"), layer(2, "text/plain")], "unknown media type"),
        ],
    )
    def test_config_and_manifest_must_agree(
        self, config: object, layers: list[dict[str, Any]], message: str
    ) -> None:
        with pytest.raises(NotAModelKitError, match=message):
            planned(config, *layers)

    @pytest.mark.parametrize("path", ["../m", "/etc/passwd", "a/../../m", "", "m\0"])
    @pytest.mark.parametrize("number", [1, None])
    def test_paths_that_lead_elsewhere(self, path: str, number: int | None) -> None:
        entry = full(number, path) if number else {"path": path}
        with pytest.raises(UnsafeContentError):
            planned({"code": [entry]}, tar(1, "code"))

    def test_a_name_with_two_dots_is_a_name(self) -> None:
        assert (
            planned({"model": full(1, "m..v1.bin")}, layer(1, f"{KIT}.model.v1.raw")).layers[0].path
            == "m..v1.bin"
        )

    def test_a_raw_layer_needs_the_name_of_a_file(self) -> None:
        with pytest.raises(UnsafeContentError, match="one file"):
            planned({"model": full(1, "./")}, layer(1, f"{KIT}.model.v1.raw"))

    @pytest.mark.parametrize(
        ("metadata", "error"),
        [
            ("x", NotAModelKitError),
            ("[]", NotAModelKitError),
            ('{"mode": "0644"}', NotAModelKitError),
            ('{"mode": true}', NotAModelKitError),
            ('{"size": "1"}', NotAModelKitError),
            ('{"size": 1}', NotAModelKitError),
            ('{"typeflag": 50}', UnsafeContentError),
            ('{"typeflag": 53}', UnsafeContentError),
        ],
    )
    def test_metadata_that_cannot_be_true(self, metadata: str, error: type[InitializerError]) -> None:
        with pytest.raises(error):
            planned({"model": full(1, "m")}, layer(1, f"{KIT}.model.v1.raw", **{METADATA: metadata}))

    def test_the_size_in_metadata_is_that_of_the_file(self) -> None:
        packed = layer(
            1, f"{KIT}.model.v1.raw+gzip", **{METADATA: '{"mode": 384, "size": 9999, "typeflag": 48}'}
        )
        found = planned({"model": full(1, "m")}, packed)
        assert found.layers == (Layer(digest(1), 101, "model", "raw", "gzip", "", "m", 0o600),)

    def test_a_kit_without_files(self) -> None:
        with pytest.raises(EmptyError, match="holds no file"):
            planned({"manifestVersion": "1.0.0", "package": {}}, layers=None)
        with pytest.raises(EmptyError, match="holds no file"):
            planned({"datasets": [{"name": "far", "remotePath": "s3://b/k"}]})
        assert planned({"package": {}}, filters=("kitfile",)).kitfile == b"{}\n"

    def test_a_config_that_is_no_kitfile(self) -> None:
        for config in (b"", b"[]", b"\x00"):
            with pytest.raises(NotAModelKitError, match="the config is not"):
                plan(manifest(), config, filters=())


CHILD = {"model": {"name": "tuned", "path": "r.example/iris:v1"}, "code": [full(3, "code")]}


class TestParent:
    def test_is_named(self) -> None:
        found = planned(CHILD, tar(3, "code"))
        assert found.parent == "r.example/iris:v1"
        assert [each.kind for each in found.layers] == ["code"]
        assert (
            planned({"model": {"path": f"r.example/iris@{digest(1)}"}}).parent
            == f"r.example/iris@{digest(1)}"
        )

    @pytest.mark.parametrize(
        ("filters", "named"),
        [(("model",), True), (("code,model:x",), True), (("code",), False), (("kitfile",), False)],
    )
    def test_is_subject_to_filters(self, filters: tuple[str, ...], *, named: bool) -> None:
        assert (planned(CHILD, tar(3, "code"), filters=filters).parent is not None) == named

    def test_a_path_with_a_colon_is_a_path_when_there_is_a_layer(self) -> None:
        assert planned({"model": full(1, "models/m:v1")}, tar(1, "model")).parent is None
        old = planned({"model": {"path": "models/m:v1"}}, tar(1, "model"))
        assert old.parent is None
        assert old.layers[0].directory == "models"

    def test_without_a_registry_is_refused(self) -> None:
        with pytest.raises(NotAModelKitError, match="borrows its model") as caught:
            planned({"model": {"path": "team/iris:v1"}})
        assert "team is" in str(caught.value) or "team in" in str(caught.value)

    def test_lends_its_model_and_nothing_else(self) -> None:
        content = json.dumps(CONFIG).encode()
        lent = plan(manifest(*LAYERS), content, filters=(), only_model=True)
        assert [each.kind for each in lent.layers] == ["model", "modelpart"]
        assert lent.kitfile is None
        lent = plan(manifest(*LAYERS), content, filters=("code", "kitfile,model:l"), only_model=True)
        assert [each.kind for each in lent.layers] == ["modelpart"]
        assert lent.kitfile is None

    def test_lends_nothing_without_an_error(self) -> None:
        nothing = Plan((), None, None)
        content = json.dumps({"code": [full(3, "code")]}).encode()
        assert plan(manifest(tar(3, "code")), content, filters=(), only_model=True) == nothing
        assert plan(manifest(tar(3, "code")), content, filters=("code",), only_model=True) == nothing

    def test_has_a_parent_itself(self) -> None:
        content = json.dumps(CHILD).encode()
        lent = plan(manifest(tar(3, "code")), content, filters=(), only_model=True)
        assert lent == Plan((), None, "r.example/iris:v1")


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


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 300)
    | st.text(max_size=5)
    | st.sampled_from([digest(1), "m", "r.x/a:b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "model",
                    "path",
                    "parts",
                    "code",
                    "digest",
                    "size",
                    "mediaType",
                    "layers",
                    "config",
                    "manifests",
                    "name",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(_json, _json)
def test_any_config_and_layers_are_planned_or_refused(config: object, layers: object) -> None:
    try:
        found = planned(config, layers=[tar(1, "model"), *(layers if isinstance(layers, list) else [])])
    except InitializerError as error:
        refusal = error.exit_code
    else:
        assert found.layers or found.parent
        refusal = 0
    assert refusal in {0, 8, 9, 11}


@given(st.binary(max_size=40) | _json.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_parsed_or_refused(content: bytes) -> None:
    refusal: InitializerError | None = None
    try:
        parse(content)
    except NotAModelKitError as error:
        refusal = error
    assert refusal is None or refusal.line()
