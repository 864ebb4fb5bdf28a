"""What is brought, and where to: layers, filters, parents."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from initializer.tests.manifests import FILEPATH, KIT, METADATA, digest, full, layer, manifest, planned, tar
from kit_initializer.errors import (
    EmptyError,
    InitializerError,
    NotAModelKitError,
    UnsafeContentError,
    UsageError,
)
from kit_initializer.modelkit import Layer, Plan, parse, plan

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
        assert found.layers[0] == Layer(digest(1), 101, "model", "tar", "zstd", "", "", 0o644, "models/m.bin")
        assert found.layers[4] == Layer(
            digest(5), 105, "docs", "raw", "", "", "docs/README.md", 0o755, "docs/README.md"
        )
        assert found.layers[6] == Layer(
            digest(7), 107, "mcpb", "raw", "", "", "servers/s.mcpb", 0o644, "servers/s.mcpb"
        )
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
        assert found.layers == (Layer(digest(1), 101, "model", "raw", "gzip", "", "m", 0o600, "m"),)

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
