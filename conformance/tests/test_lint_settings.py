"""What lint says of variables, flags, keys and images, and that it says what the initializer would."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conformance.tests.mutants.manifests import CONTAINER, GOOD, SERVICE
from kit_conformance.lint import check, load, parse
from kit_conformance.lint import settings as judged
from kit_initializer.errors import UsageError
from kit_initializer.settings import flags, read

ROOT = Path(__file__).parents[2]
TABLES: dict[str, Any] = json.loads(
    (ROOT / "conformance/src/kit_conformance/lint/initializer.json").read_text("utf-8")
)
EDGES = (
    *("", " ", "0", "1", "64", "65", "100", "101", "-1", "1.5", "nan", "inf", "1e3", "604800", "604801"),
    *("native", "kit", "Kit", "text", "json", "debug", "inside", "none", "/records", "records", " native "),
    *("1000000000", "1000000001", "1000000000000000000", "1000000000000000001", "٣"),
    *("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "/etc/ca.crt"),
)
FLAGS = (
    *(
        "",
        "--plain-http",
        "--plain-http=true",
        "--plain-http=maybe",
        "--plain-htp",
        "-o",
        "-oi",
        "-ox",
        "-o=no",
    ),
    *("--filter model", "--filter", "-f", "-fmodel", "-f model", "-f=model", "-vv", "--verbose", "-v"),
    *(
        "--include-remote",
        "--dir /x",
        "-d /x",
        "--config=x",
        "--as-skill",
        "--as-skill=x",
        "model",
        "--",
        "-",
    ),
    *(
        "--label a=b",
        "--label a",
        "-l a=b",
        "'",
        "--concurrency=3",
        "--cert=/c --key=/k",
        "--tls-verify=false",
    ),
)


def found(text: str) -> dict[str, str]:
    return {each.rule.name: each.detail for each in check(parse(text, "m.yaml")).findings}


def variable(name: str, value: str, image: str = "r.example/kit-initializer:1.2.3") -> dict[str, str]:
    entry = f"    env:\n      - {{name: {name}, value: {json.dumps(value)}}}\n"
    return found(GOOD.replace("    env:\n", entry).replace("r.example/kit-initializer:1.2.3", image))


def refuses(environment: dict[str, str]) -> bool:
    try:
        read(environment)
    except UsageError:
        return True
    return False


def test_the_tables_are_those_of_the_initializer() -> None:
    command = [sys.executable, str(ROOT / "docs" / "lint_tables.py"), "--check"]
    done = subprocess.run(command, check=False, timeout=60, env={"PYTHONPATH": ":".join(sys.path)})
    assert done.returncode == 0, "run python docs/lint_tables.py"


@pytest.mark.parametrize("name", sorted(name for name, shape in TABLES["variables"].items() if shape))
def test_values_are_judged_as_the_initializer_judges_them(name: str) -> None:
    for value in EDGES:
        assert bool(judged.value_problem(name, value)) == refuses({name: value}), (name, value)


@pytest.mark.parametrize("engine", ["native", "kit"])
@pytest.mark.parametrize("text", FLAGS)
def test_flags_are_judged_as_the_initializer_judges_them(text: str, engine: str) -> None:
    try:
        flags.read(flags.split(text), native=engine == "native")
        refused = "--label a" in text and "=" not in text  # refused later, by who reads the label
    except UsageError:
        refused = True
    assert bool(list(judged.flag_problems(text, engine=engine))) == refused


@pytest.mark.parametrize(
    ("name", "value", "rule", "detail"),
    [
        ("KIT_ENGINE", "nativ", "variable-value", "KIT_ENGINE is 'nativ': write one of native, kit"),
        (
            "KIT_CONCURRENCY",
            "0",
            "variable-value",
            "KIT_CONCURRENCY is '0': write a whole number from 1 to 64",
        ),
        ("KIT_CONCURENCY", "3", "variable-unknown", "KIT_CONCURENCY; did you mean KIT_CONCURRENCY?"),
        (
            "KIT_UNPACK_FLAGS",
            "--plain-htp",
            "unpack-flags",
            "there is no --plain-htp; did you mean --plain-http?",
        ),
        ("KIT_PASSWORD", "open-sesame", "secret-in-plain-text", "KIT_PASSWORD"),
    ],
)
def test_what_a_finding_says(name: str, value: str, rule: str, detail: str) -> None:
    assert variable(name, value) == {rule: detail}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KIT_PORT", "tcp://10.0.0.1:80"),  # of a Service named kit
        ("KIT_ENGINE", "$(ENGINE)"),
        ("KIT_ENGINE", "{{ .Values.engine }}"),
        ("KIT_PASSWORD", "${KIT_PASSWORD}"),
        ("LOG_LEVEL", "nativ"),
    ],
)
def test_what_lint_says_nothing_of(name: str, value: str) -> None:
    assert variable(name, value) == {}


def test_of_the_image_of_kitops_only_flags_are_judged_that_kit_does_not_have() -> None:
    image = "ghcr.io/kitops-ml/kitops-kserve:1.7.0"
    assert variable("KIT_ENGINE", "nativ", image) == {}
    assert variable("KIT_UNPACK_FLAGS", "--include-remote -o", image) == {}
    assert set(variable("KIT_UNPACK_FLAGS", "--plain-htp", image)) == {"unpack-flags"}


def test_a_container_for_other_uris_is_not_ours_to_judge() -> None:
    text = CONTAINER.replace("prefix: kit://", "prefix: s3://").replace(
        "    env:\n", "    env:\n      - {name: KIT_ENGINE, value: x}\n"
    )
    assert found(text) == {}


@pytest.mark.parametrize("key", ["storageURI", "storageuri", "storage_uri", "storageUrl", "StorageUri"])
def test_a_misspelt_key(key: str) -> None:
    text = found(GOOD.replace("storageUri:", f"{key}:"))
    assert text == {"uri-key": f"{key}, where storageUri is meant"}


@pytest.mark.parametrize("key", ["storage", "storageKey", "resources", "runtime", "name"])
def test_other_keys(key: str) -> None:
    assert "uri-key" not in found(GOOD.replace("      storageUri:", f"      {key}: {{}}\n      storageUri:"))


def test_a_misspelt_key_of_a_cache() -> None:
    head = "apiVersion: serving.kserve.io/v1alpha1\nkind: LocalModelCache\nmetadata: {name: a}\n"
    assert set(found(head + "spec: {sourceModelURI: x}\n")) == {"uri-key"}


@pytest.mark.parametrize(
    ("image", "right"),
    [
        ("kit-initializer:1.2.3", False),
        ("library/kit-initializer:1.2.3", False),
        ("localhost/kit-initializer:1.2.3", True),
        ("r:5000/kit-initializer:1.2.3", True),
        ("$IMAGE", True),
    ],
)
def test_images(image: str, right: bool) -> None:
    text = GOOD.replace("r.example/kit-initializer:1.2.3", image)
    assert ("image-registry" not in found(text)) == right


@pytest.mark.parametrize(
    "uri", ["kit://iris:v1", "kit://models/iris:v1", "kit://r.example/Iris:v1", "kit://0.-.0/m:v1"]
)
def test_a_reference_that_is_refused_is_named(uri: str) -> None:
    detail = found(CONTAINER + "---\n" + SERVICE.replace("kit://r.example/iris:1.0.0", uri))[
        "invalid-reference"
    ]
    assert detail.startswith(f"{uri}: ")


def test_a_password_in_a_reference_is_not_named() -> None:
    text = SERVICE.replace("kit://r.example/iris:1.0.0", "kit://ann:open-sesame@r.example/iris:1.0.0")
    assert "sesame" not in found(CONTAINER + "---\n" + text)["invalid-reference"]


@pytest.mark.parametrize(
    ("kustomization", "rules"),
    [
        ("resources: [m.yaml, 'https://git.example/o/r//base?ref=v1']", {"uri-key"}),
        ("resources: [m.yaml, 'github.com/o/r/base']", {"uri-key"}),
        ("resources: [m.yaml, 'git@git.example:o/r.git']", {"uri-key"}),
        ("resources: [m.yaml, below]", {"uri-key"}),
        ("resources: ['https://git.example/o/r']\npatches: [{path: m.yaml}]", {"unreadable"}),
        ("resources: [m.yaml]\ncomponents: ['https://git.example/o/r']", {"unreadable"}),
        ("resources: [m.yaml]\npatches: [{path: 'https://git.example/p.yaml'}]", {"unreadable"}),
    ],
)
def test_a_remote_base_is_not_fetched(
    tmp_path: Path, kustomization: str, rules: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kustomize and a git on the PATH that only note that they were run."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("kustomize", "kubectl", "git"):
        (tools / name).write_text(f"#!/bin/sh\necho {name} $@ >> {tmp_path}/ran\nexit 1\n", "utf-8")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    folder = tmp_path / "deploy"
    (folder / "below").mkdir(parents=True)
    (folder / "kustomization.yaml").write_text(kustomization, "utf-8")
    (folder / "below" / "kustomization.yaml").write_text("resources: ['https://git.example/o/r']", "utf-8")
    (folder / "m.yaml").write_text(CONTAINER + "---\n" + SERVICE.replace("storageUri", "storageURI"), "utf-8")
    names = {each.rule.name for each in check(load([str(folder)])).findings}
    assert names == rules
    assert not (tmp_path / "ran").exists()
