"""Where lint looks for URIs, and what it says of containers, caches and documents that belong together."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from conformance.tests.mutants import manifests
from conformance.tests.mutants.manifests import CONTAINER, GOOD, SERVICE
from conformance.tests.mutants.manifests_settings import BROKEN_SETTINGS
from kit_conformance import cli
from kit_conformance.lint import check, fix, load, parse, reference
from kit_initializer.errors import UsageError
from kit_initializer.reference import parse as parse_reference

if TYPE_CHECKING:
    from pathlib import Path

BROKEN = {**manifests.BROKEN, **BROKEN_SETTINGS}
_A, _B = f"sha256:{'a' * 64}", f"sha512:{'b' * 128}"
_TYPED = "sklearn xgboost tensorflow pytorch triton onnx huggingface pmml lightgbm paddle model".split()  # noqa: SIM905
_MODEL = SERVICE[SERVICE.index("    model:") :]
_OTHER = CONTAINER.replace("name: kit\n", "name: other\n", 1)
_JOBS = CONTAINER.replace("name: kit\n", "name: jobs\n", 1).replace(
    ": initContainer", ": localModelDownloadJob"
)


def _found(*documents: str) -> list[str]:
    return [each.rule.name for each in check(parse("---\n".join(documents), "m.yaml")).findings]


def _service(predictor: str, name: str = "iris") -> str:
    return SERVICE.replace(_MODEL, predictor).replace("name: iris", f"name: {name}", 1)


def _object(kind: str, spec: str, more: str = "") -> str:
    return (
        f"apiVersion: serving.kserve.io/v1alpha1\nkind: {kind}\nmetadata: {{name: it{more}}}\nspec: {spec}\n"
    )


@pytest.mark.parametrize("kind", _TYPED)
def test_the_uri_of_each_typed_predictor_is_seen(kind: str) -> None:
    assert _found(CONTAINER, _service(f"    {kind}: {{storageUri: 'kit://r.example/Bad:1'}}\n")) == [
        "invalid-reference"
    ]


@pytest.mark.parametrize(
    "spec",
    [
        "{transformer: {custom: {storageUri: 'URI'}}}",
        "{transformer: {storageUris: [{uri: 'URI', mountPath: /mnt/models}]}}",
        "{explainer: {art: {storageUri: 'URI'}}}",
        "{explainer: {storageUris: [{uri: 'URI', mountPath: /mnt/models}]}}",
        "{predictor: {containers: [{name: a}, {name: b, env: [{name: STORAGE_URI, value: 'URI'}]}]}}",
        "{transformer: {containers: [{name: a, env: [{name: STORAGE_URI, value: 'URI'}]}]}}",
        "{predictor: {pytorch: {env: [{name: STORAGE_URI, value: 'URI'}]}}}",
        "{predictor: {storageUris: [{uri: 'kit://r.example/a:1'}, {uri: 'URI'}]}}",
    ],
)
def test_a_uri_is_seen_wherever_a_service_names_it(spec: str) -> None:
    service = _object("InferenceService", spec.replace("'URI'", "'kit://r.example/Bad:1'"))
    assert _found(CONTAINER, service) == ["invalid-reference"]


@pytest.mark.parametrize("kind", ["LocalModelCache", "LocalModelNamespaceCache"])
def test_caches_are_seen(kind: str) -> None:
    spec = f"{{sourceModelUri: 'kit://r.example/a@{_A}'}}"
    assert _found(CONTAINER, _object(kind, spec)) == ["local-model-container"]
    assert _found(CONTAINER, _JOBS, _object(kind, spec)) == []
    assert _found(CONTAINER, _JOBS, _object(kind, spec.replace(f"@{_A}", ":latest"))) == ["cache-tag"]


def test_storage_path_is_seen_in_every_typed_predictor() -> None:
    storage = "{storage: {path: a, parameters: {type: kit}}}"
    assert _found(CONTAINER, _service(f"    sklearn: {storage}\n")) == ["storage-path"]
    assert _found(CONTAINER, _object("InferenceService", f"{{transformer: {{custom: {storage}}}}}")) == [
        "storage-path"
    ]


def test_an_llm_is_right_where_a_cache_holds_its_model_and_its_adapters_are_not_kits() -> None:
    cache = _object("LocalModelCache", f"{{sourceModelUri: 'kit://r.example/llm@{_A}'}}")
    llm = _object("LLMInferenceService", f"{{model: {{uri: 'kit://r.example/llm@{_A}'}}}}")
    assert _found(_JOBS, llm) == ["llm-with-kit"]
    assert _found(_JOBS, cache, llm) == []
    adapters = f"lora: {{adapters: [{{name: a, uri: 'kit://r.example/llm@{_A}'}}]}}"
    assert _found(_JOBS, cache, llm.replace("{model: {", f"{{model: {{{adapters}, ")) == ["llm-with-kit"]


def test_a_namespaced_cache_serves_its_namespace_alone() -> None:
    cache = _object(
        "LocalModelNamespaceCache", f"{{sourceModelUri: 'kit://r.example/llm@{_A}'}}", ", namespace: a"
    )
    llm = _object("LLMInferenceService", f"{{model: {{uri: 'kit://r.example/llm@{_A}'}}}}", ", namespace: NS")
    assert _found(_JOBS, cache, llm.replace("NS", "b")) == ["llm-with-kit"]
    assert _found(_JOBS, cache, llm.replace("NS", "a")) == []


def test_two_containers_are_right_where_every_service_names_one() -> None:
    named = _service(f"    storageContainerName: kit\n{_MODEL}")
    assert _found(CONTAINER, _OTHER) == ["two-containers"]
    assert _found(CONTAINER, _OTHER, named) == []
    assert _found(CONTAINER, _OTHER, named, _service(_MODEL, "second")) == ["two-containers"]


@pytest.mark.parametrize(
    ("container", "named", "right"),
    [
        ("", "kit", True),
        ("", "default", True),  # KServe's own
        ("", "missing", False),
        (_JOBS, "jobs", False),
        (_OTHER + "disabled: true\n", "other", False),
        (_OTHER.replace("prefix: kit://", "prefix: s3://"), "other", False),
    ],
)
def test_a_named_container_must_be_one_that_kserve_takes(container: str, named: str, right: bool) -> None:
    documents = [
        CONTAINER,
        *([container] if container else []),
        _service(f"    storageContainerName: {named}\n{_MODEL}"),
    ]
    assert _found(*documents) == ([] if right else ["storage-container-name"])


@pytest.mark.parametrize(
    ("second", "right"),
    [
        ("kit://r.example/b:1", True),
        ("pvc://claim/b", True),
        ("hf://org/b", False),
        ("oci://r.example/b:1", False),
        ("oci+fetch://r.example/b:1", False),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_kits_are_not_mixed_with_other_schemes(second: str, right: bool, turned: bool) -> None:
    listed = [
        "{uri: 'kit://r.example/a:1', mountPath: /mnt/models/a}",
        f"{{uri: '{second}', mountPath: /mnt/models/b}}",
    ]
    text = _service(f"    storageUris: [{', '.join(reversed(listed) if turned else listed)}]\n")
    assert ("mixed-schemes" not in _found(CONTAINER, text)) is right


def test_schemes_may_be_mixed_where_the_container_says_that_it_knows_both() -> None:
    both = CONTAINER.replace("    - prefix: kit://\n", "    - prefix: kit://\n    - prefix: hf://\n")
    text = _service("    storageUris: [{uri: 'kit://r.example/a:1'}, {uri: 'hf://org/b'}]\n")
    assert _found(both, text) == []


def test_what_holds_for_pods_of_services_is_not_asked_of_download_jobs() -> None:
    jobs = _JOBS.replace("            optional: true\n", "").replace(
        "  supportsMultiModelDownload: true\n", ""
    )
    assert _found(jobs) == []


def test_the_volume_of_kserve_is_declared() -> None:
    mount = "    volumeMounts: [{name: kserve-provision-location, mountPath: /cache}]\n    env:\n"
    assert _found(CONTAINER.replace("    env:\n", mount)) == []


def test_a_uri_that_a_template_fills_in_is_left_alone() -> None:
    assert _found(CONTAINER, SERVICE.replace("iris:1.0.0", "${NAME}")) == []
    assert _found(CONTAINER, SERVICE.replace("kit://r.example/iris:1.0.0", "'kit://{{ .Values.uri }}'")) == []


_BAD = {
    "helm": b"apiVersion: v1\nkind: Secret\nmetadata:\n  name: {{ .Values.name }}\n",
    "helm's if": b"{{- if .Values.x }}\nkind: Secret\n{{- end }}\n",
    "broken": b"a: [\n",
    "a tab": b"a:\n\tb: 1\n",
    "no date": b"kind: 2001-99-99\n",
    "deep": b"[" * 5000 + b"\n",
    "control": b"a: \x01\n",
    "not UTF-8": b"a: \xff\xfe\n",
}


@pytest.mark.parametrize("kind", sorted(_BAD))
def test_one_file_that_cannot_be_read_hides_no_other(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(_BAD[kind])
    (tmp_path / "b.yaml").write_text(GOOD.replace("name: storage-initializer", "name: other"), "utf-8")
    found = {each.rule.name: each for each in check(load([str(tmp_path)])).findings}
    assert set(found) == {"unreadable", "container-name"}
    assert str(tmp_path / "a.yaml") in found["unreadable"].place


@pytest.mark.parametrize("kind", sorted(set(_BAD) - {"not UTF-8"}))
def test_one_document_that_cannot_be_read_hides_no_other_of_its_file(kind: str) -> None:
    wrong = GOOD.replace("name: storage-initializer", "name: other")
    text = f"{_BAD[kind].decode()}---\n{wrong}"
    found = {each.rule.name: each for each in check(parse(text, "m.yaml")).findings}
    assert set(found) == {"unreadable", "container-name"}
    assert found["container-name"].place == f"m.yaml:{text.splitlines().index('    name: other') + 1}"


def test_a_kustomization_that_holds_itself_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [../" + tmp_path.name + "]\n", "utf-8")
    monkeypatch.setenv("PATH", "")
    assert [each.rule.name for each in check(load([str(tmp_path)])).findings] == ["unreadable"]


def test_the_command_judges_standard_input_beside_a_template(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{GOOD}---\n{_BAD['helm'].decode()}"))
    assert cli.main(["lint", "-"]) == 1
    out = capsys.readouterr().out
    assert "error unreadable" in out
    assert "a Helm template" in out
    assert "2 objects: 1 errors, 0 warnings" in out


_HOSTS: tuple[str, ...] = (
    "r.example",
    "r",
    "localhost",
    "LOCALHOST",
    "r:5000",
    "r.example:0",
    "r.example:65536",
    "r.example:",
    "[::1]",
)
_HOSTS += (
    "[::1]:5000",
    "[::1",
    "[x]:1",
    "-r.example",
    "r..example",
    "",
    "u:p@r.example",
    "r_x.example",
    "ä.example",
)
_NAMES = (
    "a",
    "a/b",
    "a__b/c--d",
    "a..b",
    "A",
    "a/",
    "/a",
    "a//b",
    "a_",
    "",
    "a b",
    "a,b",
    "ä",
    "a" * 256,
    "a.b-c_d",
)
_ENDS: tuple[str, ...] = (
    "",
    ":1",
    ":",
    f":{'t' * 128}",
    f":{'t' * 129}",
    ":_",
    ":.1",
    ":ä",
    f"@{_A}",
    f":1@{_A}",
    "@",
    f"@{_B}",
)
_ENDS += (
    "@sha256:1",
    f"@{_A.upper()}",
    ":1/sub",
    "?q=1",
    ":1:2",
    "@sha1:aa",
    f"@{_A}@{_A}",
    ":1\n",
    ":1 ",
    ":a,b",
)


def _refused(uri: str) -> bool:
    try:
        parse_reference(uri)
    except UsageError:
        return True
    return False


@pytest.mark.parametrize("host", _HOSTS)
def test_references_are_judged_as_the_initializer_judges_them(host: str) -> None:
    table = [f"kit://{host}/{name}{end}" for name, end in itertools.product(_NAMES, _ENDS)]
    table += [f"kit://{host}", f"KIT://{host}/a:1", f"Kit://{host}/a"]
    assert [uri for uri in table if bool(reference.wrong(uri)) != _refused(uri)] == []


def _places(value: object) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return [(value, key) for key in value] + [place for each in value.values() for place in _places(each)]
    if isinstance(value, list):
        return list(itertools.chain.from_iterable(map(_places, value)))
    return []


_DOCUMENTS = sorted(
    {part for each in BROKEN.values() for part in each.text().split("---\n")[2:] if "{{" not in part}
)


_OTHERS: tuple[Any, ...] = (
    None,
    7,
    True,
    "x",
    "^(",
    [],
    [None],
    [[1]],
    {},
    {"a": 1},
    {7: None},
    {"name": []},
)


@pytest.mark.parametrize("text", [CONTAINER, SERVICE, *_DOCUMENTS])
def test_no_value_of_another_kind_than_expected_ends_the_run(text: str) -> None:
    for place in range(len(_places(yaml.safe_load(text)))):
        for other in _OTHERS:
            value = yaml.safe_load(text)
            holder, key = _places(value)[place]
            holder[key] = other
            made = f"{GOOD}---\n{yaml.safe_dump(value)}"
            assert all(each.place for each in check(parse(made, "m.yaml")).findings)
            if other in (None, [], {}):
                fix(made)
