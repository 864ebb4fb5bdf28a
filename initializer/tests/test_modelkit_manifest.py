"""Manifests and indexes by the facts of the format, also of Kits that are newer than the kept ones."""

from __future__ import annotations

import json

import pytest

from initializer.tests.manifests import (
    FILEPATH,
    KIT,
    OCI,
    PACK,
    body,
    digest,
    index,
    manifest,
    member,
    tar,
)
from kit_initializer.errors import (
    EmptyError,
    NotAModelKitError,
    UsageError,
)
from kit_initializer.modelkit import ACCEPT, Index, Manifest, parse


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
            (body(config_type="\x1b[2J\nusage: lies"), "it is \ufffd\\[2J usage: lies"),
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
