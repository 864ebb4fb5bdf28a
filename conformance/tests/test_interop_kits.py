"""The packer and the fixture registry against a real Kit (KIT or PATH) and a real docker-registry."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kit_conformance.testbed import kitcli
from kit_conformance.testbed.kits import Noise, pack, push
from kit_conformance.testbed.registry import Basic, Registry, faults

if TYPE_CHECKING:
    from kit_conformance.testbed.kits import ModelKit

SAMPLES = Path(__file__).parents[2] / "fixtures" / "modelkits"
NAMES = sorted(path.parent.name for path in SAMPLES.glob("*/Kitfile"))
LAYOUT_OF_0_5 = (0, 5)
needs_kit = pytest.mark.interop("kit")
needs_registry = pytest.mark.interop("docker-registry")


@pytest.fixture
def kit(tmp_path: Path) -> kitcli.KitCLI:
    return kitcli.KitCLI(kitcli.find(), tmp_path / "home")


def copy_of(name: str, tmp_path: Path) -> Path:
    """Return a copy of a sample with the modes that the packer gives, and without what is not packed."""
    folder = tmp_path / "source"
    shutil.copytree(SAMPLES / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def tree_of(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def expected_of(kit: ModelKit) -> dict[str, str]:
    return {path: fact.sha256 for path, fact in kit.files.items()}


def pushed(kit: kitcli.KitCLI, folder: Path, registry: Registry) -> ModelKit:
    """Pack and push with Kit, and return what our packer makes of the folder in that version's format."""
    reference = f"{registry.host}/kits/sample:v1"
    kit.pack(folder, reference)
    kit.push(reference)
    return pack(folder, as_kit=".".join(map(str, kit.number)) if kit.number < (9999,) else "1.7.0")


@needs_kit
@pytest.mark.parametrize("name", NAMES)
def test_kit_packs_the_layers_that_the_packer_packs(
    kit: kitcli.KitCLI, registry: Registry, tmp_path: Path, name: str
) -> None:
    ours = pushed(kit, copy_of(name, tmp_path), registry)
    manifest = json.loads(registry.storage.manifest("kits/sample", "v1").body)
    mine = json.loads(ours.manifest)
    if kit.number < LAYOUT_OF_0_5:  # knows no docs; before 0.2.1 layers were neither plain nor reproducible
        supported = [layer for layer in mine["layers"] if ".docs." not in layer["mediaType"]]
        if kit.number >= (0, 2, 4):
            assert manifest["layers"] == supported
        return
    assert manifest["layers"] == mine["layers"]
    if kit.number >= (1,):
        assert registry.storage.blob("kits/sample", manifest["config"]["digest"]).size == len(ours.config)
        assert manifest["config"] == mine["config"]


@needs_kit
def test_kit_packs_difficult_names_as_the_packer_does(
    kit: kitcli.KitCLI, registry: Registry, tmp_path: Path
) -> None:
    if kit.number < LAYOUT_OF_0_5:
        pytest.xfail("the names are in another layout")
    folder = tmp_path / "source"
    names = [
        "n" * 101,
        "ü/é.bin",
        "d/" + "n" * 99,
        "p" * 155 + "/" + "n" * 100,
        "p" * 156 + "/n",
        "a b/'q'\"",
        "e/",
    ]
    for name in names:
        path = folder / "m" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir()
        else:
            path.write_bytes(name.encode())
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (folder / "m" / names[0]).chmod(0o4755)
    (folder / "m" / "link").symlink_to("nowhere")
    (folder / "Kitfile").write_text("manifestVersion: '1.0.0'\nmodel: {path: m}\n")
    reference = f"{registry.host}/kits/names:v1"
    kit.pack(folder, reference)
    kit.push(reference)
    layers = json.loads(registry.storage.manifest("kits/names", "v1").body)["layers"]
    ours = pack(folder, modes={f"m/{names[0]}": 0o4755})
    assert [layer["digest"] for layer in layers] == [layer.digest for layer in ours.layers]


@needs_kit
@pytest.mark.parametrize("name", NAMES)
def test_kit_unpacks_what_the_packer_packs(
    kit: kitcli.KitCLI, registry: Registry, tmp_path: Path, name: str
) -> None:
    folder = SAMPLES / name
    ours = pack(folder) if kit.number >= LAYOUT_OF_0_5 else pack(folder, as_kit="0.2.4")
    if kit.number < (0, 2, 4):
        ours = pack(folder, as_kit="0.2.3", compression="gzip")
    if kit.number < LAYOUT_OF_0_5 and name != "sklearn-iris":
        pytest.xfail("docs and parts are not known to such a Kit")
    uri = registry.add(ours, "kits/ours", "v1").removeprefix("kit://")
    kit.unpack(uri, tmp_path / "out")
    found = tree_of(tmp_path / "out")
    found.pop("Kitfile")
    if kit.number < LAYOUT_OF_0_5:
        found["README.md"] = expected_of(ours)["README.md"]
    assert found == expected_of(ours)


@needs_kit
@pytest.mark.parametrize("compression", ["gzip", "gzip-fastest"])
def test_kit_unpacks_compressed_layers(
    kit: kitcli.KitCLI, registry: Registry, tmp_path: Path, compression: str
) -> None:
    recipe = {"manifestVersion": "1.0.0", "model": {"path": "m.bin"}}
    ours = pack({"m.bin": Noise(300_000)}, recipe, compression=compression)
    kit.unpack(registry.add(ours, "kits/ours", "v1").removeprefix("kit://"), tmp_path / "out")
    assert tree_of(tmp_path / "out")["m.bin"] == ours.files["m.bin"].sha256


@needs_kit
def test_kit_logs_in_at_the_fixture_registry(kit: kitcli.KitCLI, tmp_path: Path) -> None:
    with Registry(auth=Basic({"ann": "s3cret"})) as registry:
        uri = registry.add(pack(SAMPLES / "sklearn-iris"), "iris", "v1").removeprefix("kit://")
        refused = kit.unpack(uri, tmp_path / "none", check=False)
        assert refused.code != 0
        with pytest.raises(kitcli.KitError) as caught:
            kit.login(registry.host, "ann", "wr0ng")
        assert "wr0ng" not in str(caught.value)
        kit.login(registry.host, "ann", "s3cret")
        if kit.number < LAYOUT_OF_0_5:
            return
        kit.unpack(uri, tmp_path / "out")
        assert tree_of(tmp_path / "out")["model.joblib"]
        assert {entry.authorization for entry in registry.ledger.requests(kind="blob", status=200)} == {
            "basic"
        }


@needs_kit
def test_kit_unpacks_a_tampered_layer_without_a_word(
    kit: kitcli.KitCLI, registry: Registry, tmp_path: Path
) -> None:
    """Measured of Kit 0.5 to 1.7; when this fails, a Kit has learnt to check."""
    if kit.number < LAYOUT_OF_0_5:
        pytest.xfail("another layout")
    ours = pack({"m.bin": bytes(5000)}, {"manifestVersion": "1.0.0", "model": {"path": "m.bin"}})
    uri = registry.add(ours, "kits/ours", "v1").removeprefix("kit://")
    injection = registry.inject(faults.Tamper(2000), kind="blob")
    kit.unpack(uri, tmp_path / "out")
    assert injection.hits
    assert tree_of(tmp_path / "out")["m.bin"] != ours.files["m.bin"].sha256


@needs_registry
def test_a_real_registry_takes_and_gives_what_the_packer_packs(docker_registry: str, tmp_path: Path) -> None:
    large = pack({"m": Noise(20_000_000)}, {"model": {"path": "m"}}, directory=tmp_path)
    assert push(large, docker_registry, "kits/large", "v1") == f"kit://{docker_registry}/kits/large:v1"
    connection = http.client.HTTPConnection(docker_registry, timeout=30)
    connection.request("GET", "/v2/kits/large/manifests/v1", headers={"Accept": large.media_type})
    response = connection.getresponse()
    assert (response.read(), response.headers["Docker-Content-Digest"]) == (large.manifest, large.digest)
    connection.request("GET", f"/v2/kits/large/blobs/{large.layers[0].digest}")
    assert connection.getresponse().read() == large.layers[0].read()
    connection.close()


@needs_registry
def test_the_fixture_registry_answers_as_a_real_one(docker_registry: str, registry: Registry) -> None:
    """Status, body, and the headers that clients look at, of the same questions to both."""
    ours = pack(SAMPLES / "sklearn-iris")
    layer = ours.layers[0]
    for host in (docker_registry, registry.host):
        push(ours, host, "iris", "v1")
    manifest = {"Accept": ours.media_type}
    questions: list[tuple[str, str, dict[str, str]]] = [
        ("GET", "/v2/", {}),
        ("GET", "/v2/iris/manifests/v1", manifest),
        ("HEAD", "/v2/iris/manifests/v1", manifest),
        ("GET", f"/v2/iris/manifests/{ours.digest}", manifest),
        ("GET", "/v2/iris/manifests/none", manifest),
        ("GET", "/v2/nobody/manifests/v1", manifest),
        ("GET", f"/v2/nobody/blobs/{layer.digest}", {}),
        ("GET", "/v2/nobody/tags/list", {}),
        ("GET", "/v2/iris/manifests/v1", {"Accept": "application/json"}),
        ("GET", f"/v2/iris/blobs/{layer.digest}", {}),
        ("HEAD", f"/v2/iris/blobs/{layer.digest}", {}),
        ("GET", f"/v2/iris/blobs/{layer.digest}", {"Range": "bytes=10-19"}),
        ("GET", f"/v2/iris/blobs/{layer.digest}", {"Range": "bytes=10-"}),
        ("GET", f"/v2/iris/blobs/{layer.digest}", {"Range": "bytes=-10"}),
        ("GET", f"/v2/iris/blobs/sha256:{'0' * 64}", {}),
        ("GET", "/v2/iris/tags/list", {}),
    ]
    assert [answer_of(registry.host, *each) for each in questions] == [
        answer_of(docker_registry, *each) for each in questions
    ]


def answer_of(host: str, method: str, target: str, headers: dict[str, str]) -> tuple[object, ...]:
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request(method, target, headers=headers)
        response = connection.getresponse()
        body: object = response.read()
        if response.headers["Content-Type"].startswith("application/json") and body:
            document = json.loads(body if isinstance(body, bytes) else b"")
            body = [error["code"] for error in document["errors"]] if "errors" in document else document
        seen = ("Docker-Content-Digest", "Content-Range", "Accept-Ranges") if response.status < 300 else ()
        typed = response.headers["Content-Type"].partition(";")[0] if "manifests" in target else ""
        return method, target, response.status, typed, body, *(response.headers[name] for name in seen)
    finally:
        connection.close()


@needs_kit
@needs_registry
def test_kit_brings_from_a_real_registry_what_the_packer_packed(
    kit: kitcli.KitCLI, docker_registry: str, tmp_path: Path
) -> None:
    if kit.number < LAYOUT_OF_0_5:
        pytest.xfail("another layout")
    ours = pack(SAMPLES / "bigram-parts")
    uri = push(ours, docker_registry, "kits/parts", "v1").removeprefix("kit://")
    kit.pull(uri)
    kit.unpack(uri, tmp_path / "out")
    found = tree_of(tmp_path / "out")
    found.pop("Kitfile")
    assert found == expected_of(ours)
