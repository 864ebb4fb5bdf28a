"""install.yaml, the Helm chart and the kustomization install the same objects."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/kit-initializer"
IMAGE = "registry.example.com:5000/team/kit-initializer"
DIGEST = "sha256:" + "0123456789abcdef" * 4

kubectl = pytest.mark.interop("kubectl")
both = pytest.mark.interop("helm", "kubectl")


def run(program: str, *arguments: str, code: int = 0) -> str:
    path = shutil.which(program)
    assert path
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def render(*arguments: str, code: int = 0) -> str:
    return run(sys.executable, str(ROOT / "deploy/render.py"), *arguments, code=code)


def objects(text: str) -> dict[str, Any]:
    found = {document["metadata"]["name"]: document for document in yaml.safe_load_all(text) if document}
    assert found
    return found


def template(*arguments: str, chart: Path = CHART) -> dict[str, Any]:
    return objects(run("helm", "template", "any", str(chart), *arguments))


def kustomized(folder: str | Path) -> dict[str, Any]:
    return objects(run("kubectl", "kustomize", str(folder)))


@both
def test_the_chart_renders_what_kustomize_does() -> None:
    assert template() == kustomized(ROOT / "deploy/initializer")


@both
def test_the_chart_renders_the_signature_policy_that_the_component_does(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "deploy/initializer", tmp_path / "initializer")
    shutil.copytree(ROOT / "deploy/signatures", tmp_path / "signatures")
    with (tmp_path / "initializer/kustomization.yaml").open("a") as file:
        file.write("components: [../signatures]\n")
    wanted = kustomized(tmp_path / "initializer")
    policy = yaml.safe_load(policies(wanted)["kit-initializer"])
    (tmp_path / "values.yaml").write_text(json.dumps({"signaturePolicy": policy}))
    found = template("--values", str(tmp_path / "values.yaml"))
    assert {name: yaml.safe_load(text) for name, text in policies(found).items()} == dict.fromkeys(
        wanted, policy
    )
    for each in (wanted, found):
        for document in each.values():
            document["spec"]["container"]["env"].pop()
    assert found == wanted


def policies(found: dict[str, Any]) -> dict[str, str]:
    """Return the policy of each object; it is the last of the variables."""
    last = {name: document["spec"]["container"]["env"][-1] for name, document in found.items()}
    assert {each["name"] for each in last.values()} == {"KIT_SIGNATURE_POLICY"}
    return {name: each["value"] for name, each in last.items()}


@pytest.mark.interop("helm")
def test_the_chart_is_lint_free_and_its_values_reach_the_objects() -> None:
    run("helm", "lint", "--strict", str(CHART))
    found = template(
        "--set",
        "engine=kit,unpackFlags=--filter=model,localmodel.enabled=false,resources.limits.memory=1Gi",
        "--set",
        f"image.repository={IMAGE},image.tag=1.2.3,image.pullPolicy=Always",
        "--set-json",
        'env=[{"name":"KIT_CONCURRENCY","value":"2"}]',
    )
    assert list(found) == ["kit-initializer"]
    container = found["kit-initializer"]["spec"]["container"]
    given = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert (given["KIT_ENGINE"], given["KIT_UNPACK_FLAGS"], given["KIT_CONCURRENCY"]) == (
        "kit",
        "--filter=model",
        "2",
    )
    assert (container["image"], container["imagePullPolicy"]) == (f"{IMAGE}:1.2.3", "Always")
    assert container["resources"] == {
        "limits": {"memory": "1Gi"},
        "requests": {"cpu": "100m", "memory": "64Mi"},
    }


@pytest.mark.interop("helm")
@pytest.mark.parametrize(
    "value",
    [
        "engine=docker",
        "image.digest=sha256:12",
        "imgae.tag=1",
        "signaturePolicy.rule=x",
        "localmodel.enabled=maybe",
    ],
)
def test_the_schema_refuses_a_mistake(value: str) -> None:
    assert "values don't meet the specifications of the schema" in run(
        "helm", "template", "any", str(CHART), "--set", value, code=1
    )


@kubectl
def test_install_yaml_is_the_kustomization_with_another_image(tmp_path: Path) -> None:
    render("--image", f"{IMAGE}:1.2.3", "--output", str(tmp_path), "--no-chart")
    wanted = kustomized(ROOT / "deploy/initializer")
    for document in wanted.values():
        document["spec"]["container"]["image"] = f"{IMAGE}:1.2.3"
    assert objects((tmp_path / "install.yaml").read_text()) == wanted


@both
def test_the_packaged_chart_and_install_yaml_pull_the_same_image_by_digest(tmp_path: Path) -> None:
    render("--image", f"{IMAGE}:1.2.3@{DIGEST}", "--output", str(tmp_path))
    (archive,) = tmp_path.glob("*.tgz")
    found = template(chart=archive)
    assert found == objects((tmp_path / "install.yaml").read_text())
    assert {document["spec"]["container"]["image"] for document in found.values()} == {f"{IMAGE}@{DIGEST}"}


@pytest.mark.parametrize("image", ["kit-initializer", "Kit:1", "r.example/x@sha256:12", "r.example:5000/x"])
def test_an_image_without_tag_or_digest_is_refused(image: str, tmp_path: Path) -> None:
    assert "expected REPOSITORY:TAG" in render("--image", image, "--output", str(tmp_path), code=1)


def test_one_version_everywhere() -> None:
    """The chart, the kustomization and the image have the version of the distribution."""
    version = tomllib.loads((ROOT / "initializer/pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    kustomization = yaml.safe_load((ROOT / "deploy/initializer/kustomization.yaml").read_text())
    assert [chart["version"], chart["appVersion"], kustomization["images"][0]["newTag"]] == [version] * 3
    assert re.findall(r"^ARG VERSION=(.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE) == [version]
