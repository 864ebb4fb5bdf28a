"""The packer writes what Kit writes; what it writes is read back with other tools."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from kit_conformance.testbed.kits import (
    KitfileError,
    ModelKit,
    Noise,
    foreign_modelpack,
    index,
    modelpack,
    pack,
    single,
)
from kit_conformance.testbed.kits.kitfile import go_json, parse
from kit_conformance.testbed.kits.layers import zstd
from kit_conformance.testbed.kits.values import sha256

KITFILE = """
manifestVersion: "1.0.0"
package: {name: everything, authors: [A, B]}
model:
  name: m
  path: ./models/m.bin
  parts: [{name: p, path: models/parts}]
  parameters: {b: 1.2e+3, a: {z: 0xFF, y: yes, n: null}}
code: [{path: code/}]
datasets: [{name: d, path: data/x.csv}]
docs: [{path: ./docs, description: d}, {path: LICENSE}]
"""
FILES = {
    "models/m.bin": b"model\n",
    "models/parts/a.bin": b"p1\n",
    "models/parts/b.bin": b"p2\n",
    "code/a.py": b"print(1)\n",
    "data/x.csv": b"d\n",
    "docs/README.md": b"r\n",
    "LICENSE": b"lic\n",
}


def names_of(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [member.name + ("/" if member.isdir() else "") for member in tar]


def types_of(kit: ModelKit) -> list[str]:
    return [layer.media_type.removeprefix("application/vnd.kitops.modelkit.") for layer in kit.layers]


def test_layers_are_those_that_kit_packs() -> None:
    """The digests are those of the layers that Kit 0.5.0 and 1.7.0 pack from these files."""
    kit = pack(FILES, KITFILE, modes={"data/x.csv": 0o600})
    assert [layer.digest[7:19] for layer in kit.layers] == [
        "c2abfc9bde02",
        "d006713f8f2e",
        "d31b7728a475",
        "6e869934a919",
        "3aefc1046a48",
        "8ea7e6f58a26",
    ]
    assert types_of(kit) == [
        f"{kind}.v1.tar" for kind in ("model", "modelpart", "code", "dataset", "docs", "docs")
    ]
    assert names_of(kit.layers[0].read()) == ["models/", "models/m.bin"]
    assert names_of(kit.layers[1].read()) == [
        "models/",
        "models/parts/",
        "models/parts/a.bin",
        "models/parts/b.bin",
    ]
    assert all(layer.size % 512 == 0 and layer.diff_id == layer.digest for layer in kit.layers)


def test_older_layout_is_the_one_of_kit_0_2() -> None:
    """The digests are those of the layers that Kit 0.2.5 packs from these files."""
    kit = pack(FILES, KITFILE, modes={"data/x.csv": 0o600}, as_kit="0.2.5")
    expected = ["1c19dfb31221", "4a41fdba8001", "2d9a4d14c9a2", "57d89109ee53"]
    assert [layer.digest[7:19] for layer in kit.layers[:4]] == expected
    assert names_of(kit.layers[0].read()) == ["m.bin"]
    assert names_of(kit.layers[1].read()) == ["parts/", "parts/a.bin", "parts/b.bin"]
    assert b"digest" not in kit.config
    assert json.loads(kit.manifest)["annotations"] == {"ml.kitops.modelkit.cli-version": "0.2.5"}


def test_config_and_manifest_are_in_kits_own_words() -> None:
    kit = pack({"m": b"x"}, 'manifestVersion: 1.0\nmodel: {path: ./m, name: "<a&b> é"}\ndatasets: []\n')
    digest = kit.layers[0].digest
    assert kit.config.decode() == (
        '{"manifestVersion":"1.0","package":{},"model":{"name":"\\u003ca\\u0026b\\u003e é","path":"./m",'
        f'"digest":"{digest}","diffId":"{digest}"}}}}'
    )
    assert kit.manifest.decode() == (
        '{"schemaVersion":2,"config":{"mediaType":"application/vnd.kitops.modelkit.config.v1+json",'
        f'"digest":"{sha256(kit.config)}","size":{len(kit.config)}}},"layers":[{{"mediaType":'
        f'"application/vnd.kitops.modelkit.model.v1.tar","digest":"{digest}","size":2048}}],'
        '"annotations":{"ml.kitops.modelkit.cli-version":"1.7.0"}}'
    )


def test_parameters_are_written_as_go_writes_them() -> None:
    written = {
        "b": "1200", "a": "1e+30", "c": "1.23e-7", "d": "0.000001", "e": "100000000000000000000",
        "f": "-2.5", "g": "0", "h": '"yes"', "i": "true", "j": "null", "k": "255", "l": "[1,2.5]",
    }  # fmt: skip
    values = {
        "b": "1.2e+3", "a": "1e30", "c": "0.000000123", "d": "1e-6", "e": "1e20", "f": "-2.5",
        "g": "0.0", "h": "yes", "i": "true", "j": "~", "k": "0xFF", "l": "[1, 2.5]",
    }  # fmt: skip
    flow = ", ".join(f"{key}: {value}" for key, value in values.items())
    kitfile = parse(f"model: {{path: m}}\ndatasets:\n- path: d\n  parameters: {{{flow}}}\n")
    expected = ",".join(f'"{key}":{written[key]}' for key in sorted(written))
    assert f'"parameters":{{{expected}}}'.encode() in kitfile.config()
    assert go_json({"z": "\u2028<", "a": [{}]}) == '{"z":"\\u2028\\u003c","a":[{}]}'
    with pytest.raises(KitfileError, match="finite"):
        go_json(float("inf"))


def test_entries_within_entries_have_layers_of_their_own() -> None:
    """As Kit 0.5 to 1.7 pack it; `.` leaves out the Kitfile too."""
    files = {
        "m/a.bin": b"1",
        "m/.hidden": b"7",
        "m/sub/b.bin": b"2",
        "m/sub/deep/c.bin": b"3",
        "code/x.py": b"4",
    }
    text = (
        "model: {path: m, parts: [{path: m/sub/deep}]}\n"
        "code: [{path: code}]\ndatasets: [{path: .}]\ndocs: [{path: ./m/a.bin}]\n"
    )
    kit = pack({**files, "top.txt": b"5", "empty": None, "Kitfile": text.encode()})
    assert [names_of(layer.read()) for layer in kit.layers] == [
        ["m/", "m/.hidden", "m/sub/", "m/sub/b.bin"],
        ["m/", "m/sub/", "m/sub/deep/", "m/sub/deep/c.bin"],
        ["code/", "code/x.py"],
        ["empty/", "top.txt"],
        ["m/", "m/a.bin"],
    ]
    assert set(kit.files) == {*files, "top.txt"}


def test_order_is_that_of_a_walk() -> None:
    files: dict[str, Any] = {"d/b.txt": b"", "d/b/z": b"", "d/b-c": b"", "d/B": b"", "d/ä": b""}
    names = names_of(pack(files, {"model": {"path": "d"}}).layers[0].read())
    assert names == ["d/", "d/B", "d/b/", "d/b/z", "d/b-c", "d/b.txt", "d/ä"]


def test_folder_is_packed_as_it_stands_but_for_modes_and_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir(mode=0o700)
    (tmp_path / "m" / "a").write_bytes(b"a")
    (tmp_path / "m" / "a").chmod(0o600)
    os.mkfifo(tmp_path / "m" / "fifo")
    (tmp_path / "m" / "link").symlink_to("a")
    (tmp_path / "Kitfile").write_text("model: {path: m}\n")
    kit = pack(tmp_path)
    assert kit.layers[0].digest == pack({"m/a": b"a"}, "model: {path: m}").layers[0].digest
    assert kit.files["m/a"].mode == 0o644
    with tarfile.open(
        fileobj=io.BytesIO(pack(tmp_path, modes={"m/a": 0o4755, "m": 0o700}).layers[0].read())
    ) as tar:
        assert [member.mode for member in tar] == [0o700, 0o4755]


@pytest.mark.parametrize(
    "name",
    [
        "n" * 101,
        "ü",
        "d/" + "n" * 99,
        "p" * 155 + "/" + "n" * 100,
        "p" * 156 + "/n",
        "d" * 90 + "/" + "é" * 40,
    ],
)
def test_long_and_foreign_names_are_read_back_by_tarfile(name: str) -> None:
    kit = pack({name: b"content", "z": b"z"}, {"model": {"path": "."}})
    with tarfile.open(fileobj=io.BytesIO(kit.layers[0].read())) as tar:
        assert name in tar.getnames()
        content = tar.extractfile(name)
        assert content is not None
        assert content.read() == b"content"
        assert {member.uid for member in tar} == {1000}


@pytest.mark.parametrize(
    ("compression", "suffix"), [("gzip", "tar+gzip"), ("gzip-fastest", "tar+gzip"), ("zstd", "tar+zstd")]
)
def test_compression(compression: str, suffix: str) -> None:
    plain, packed = (
        pack({"m": bytes(5000)}, {"model": {"path": "m"}}, compression=each) for each in ("", compression)
    )
    layer = packed.layers[0]
    assert types_of(packed) == [f"model.v1.{suffix}"]
    opened = gzip.decompress if suffix.endswith("gzip") else zstd().decompress
    assert opened(layer.read()) == plain.layers[0].read()
    assert layer.digest == sha256(layer.read())
    assert layer.diff_id == plain.layers[0].digest
    assert json.loads(packed.config)["model"]["diffId"] == layer.diff_id
    assert packed == pack({"m": bytes(5000)}, {"model": {"path": "m"}}, compression=compression)


def test_large_layers_go_to_files(tmp_path: Path) -> None:
    in_memory, in_files = (
        pack({"m": Noise(3_000_000, seed=3)}, {"model": {"path": "m"}}, directory=folder)
        for folder in (None, tmp_path)
    )
    assert isinstance(in_files.layers[0].data, Path)
    assert in_files.layers[0].data.parent == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == [in_files.layers[0].digest.replace(":", "-")]
    assert in_files.layers[0].read() == in_memory.layers[0].read()
    assert in_files.manifest == in_memory.manifest


def test_raw_layers_and_what_newer_kits_say_of_themselves() -> None:
    kit = pack({"d/m.bin": b"abc"}, {"model": {"path": "./d/m.bin"}}, raw=True, modes={"d/m.bin": 0o755})
    assert kit.layers[0].read() == b"abc"
    assert types_of(kit) == ["model.v1.raw"]
    manifest = json.loads(kit.manifest)
    assert manifest["artifactType"] == "application/vnd.kitops.modelkit.manifest.v1+json"
    annotations = manifest["layers"][0]["annotations"]
    assert annotations["org.cncf.model.filepath"] == "d/m.bin"
    metadata = json.loads(annotations["org.cncf.model.file.metadata+json"])
    assert (metadata["name"], metadata["size"], metadata["mode"]) == ("m.bin", 3, 0o755)
    with pytest.raises(KitfileError, match="directory"):
        pack({"d/m": b""}, {"model": {"path": "d"}}, raw=True)


def test_kit_without_layers() -> None:
    assert json.loads(pack({}, "manifestVersion: 1.0.0").manifest)["layers"] is None
    assert json.loads(pack({}, "manifestVersion: 1.0.0", as_kit="1.10.0").manifest)["layers"] == []
    assert pack({}, 'manifestVersion: "1.0.0"').config == b'{"manifestVersion":"1.0.0","package":{}}'


def test_parents_and_remote_datasets_have_no_layer() -> None:
    kit = pack(
        {"c": b""},
        "model: {path: r.example:5000/org/base:v1}\ncode: [{path: c}]\ndatasets: [{remotePath: s3://b/k}]",
    )
    assert types_of(kit) == ["code.v1.tar"]
    assert json.loads(kit.config)["model"] == {"path": "r.example:5000/org/base:v1"}


def test_index() -> None:
    kits = [pack({"m": name.encode()}, {"model": {"path": "m"}}, as_kit="1.17.0") for name in ("a", "b")]
    family = index((kits[0], {"precision": "fp16"}), (kits[1], {}))
    document = json.loads(family.manifest)
    assert document["artifactType"] == "application/vnd.kitops.modelkit.index.v1+json"
    assert [entry["digest"] for entry in document["manifests"]] == [kit.digest for kit in kits]
    assert document["manifests"][0]["modelMetadata"] == {"precision": "fp16"}
    assert "modelMetadata" not in document["manifests"][1]
    assert family.members == tuple(kits)
    assert not family.blobs


def test_modelpack_of_kit() -> None:
    kit = modelpack(FILES, KITFILE)
    manifest, config = json.loads(kit.manifest), json.loads(kit.config)
    assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    types = [layer["mediaType"].split(".model.")[1] for layer in manifest["layers"]]
    assert types == [
        f"{kind}.v1.tar" for kind in ("weight", "weight.config", "code", "dataset", "doc", "doc")
    ]
    assert config["modelfs"]["diffIds"] == [layer.diff_id for layer in kit.layers]
    kitfile = json.loads(manifest["annotations"]["ml.kitops.modelkit.kitfile"])
    assert kitfile["model"]["digest"] == kit.layers[0].digest
    assert [layer.digest for layer in kit.layers] == [layer.digest for layer in pack(FILES, KITFILE).layers]
    with pytest.raises(KitfileError, match="no place"):
        modelpack({"s": b""}, {"mcpServers": [{"path": "s"}]})


def test_modelpack_of_others() -> None:
    kit = foreign_modelpack({"w/a.bin": b"a", "LICENSE": b"l"}, types={"LICENSE": "docs"})
    layers = json.loads(kit.manifest)["layers"]
    assert [layer["mediaType"].split(".model.")[1] for layer in layers] == ["weight.v1.raw", "doc.v1.raw"]
    assert layers[0]["annotations"]["org.cncf.model.filepath"] == "w/a.bin"
    assert "annotations" not in json.loads(kit.manifest)
    tarred = foreign_modelpack({"w/a.bin": b"a"}, raw=False, paths=False)
    assert names_of(tarred.layers[0].read()) == ["w/a.bin"]
    assert "org.cncf.model.filepath" not in tarred.layers[0].annotations


@pytest.mark.parametrize(
    ("files", "text", "message"),
    [
        ({}, "model: {path: m}", "nothing at m"),
        ({}, "model: {path: ../m}", "nothing at ../m"),
        ({}, "model: {path: ..}", "outside"),
        ({}, None, "no Kitfile"),
        ({}, "[]", "not a map"),
        ({}, "model: []", "not a map"),
        ({}, "a: b: c", "not YAML"),
        ({}, "modell: {}", "unknown fields: modell"),
        ({}, "model: {paht: m}", "unknown fields: paht"),
        ({"m": b"", ".kitignore": b""}, "model: {path: m}", "kitignore"),
    ],
)
def test_what_cannot_be_packed(files: dict[str, bytes], text: str | None, message: str) -> None:
    with pytest.raises(KitfileError, match=message):
        pack(files, text)


def test_unknown_compression() -> None:
    with pytest.raises(ValueError, match="lzma"):
        pack({"m": b""}, {"model": {"path": "m"}}, compression="lzma")


def test_single_takes_any_bytes() -> None:
    kit = single(b"no tar", "m", suffix="tar+gzip")
    assert kit.layers[0].read() == b"no tar"
    assert json.loads(kit.config)["model"]["digest"] == kit.layers[0].digest == sha256(b"no tar")
