"""Each rule of lint: a manifest without a mistake, and that manifest with just this one."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
from pathlib import Path

import pytest
import yaml

from conformance.tests.mutants import manifests
from conformance.tests.mutants.manifests import GOOD
from conformance.tests.mutants.manifests_settings import BROKEN_SETTINGS
from kit_conformance import cli, lab
from kit_conformance import subject as subjects
from kit_conformance.catalog import catalog
from kit_conformance.lint import RULES, check, fix, load, parse
from kit_conformance.result import Finding
from kit_conformance.subject import connect

ROOT = Path(__file__).parents[2]
BROKEN = {**manifests.BROKEN, **BROKEN_SETTINGS}

# What a well-known README told people to apply: two mistakes that its readers ran into, and what it left out.
SEED = """\
apiVersion: "serving.kserve.io/v1alpha1"
kind: ClusterStorageContainer
metadata:
  name: kitops
spec:
  container:
    name: kit-storage-initializer
    image: $KIT_KSERVE_IMAGE
    env:
      - name: KIT_UNPACK_FLAGS
        value: "" # extra flags
    resources:
      limits:
        memory: 1Gi
    supportedUriFormats:
    - prefix: kit://
"""


def names(text: str) -> list[str]:
    return sorted({each.rule.name for each in check(parse(text, "m.yaml")).findings})


def test_a_good_manifest_has_no_findings() -> None:
    assert names(GOOD) == []


def test_each_rule_has_a_manifest_that_breaks_it() -> None:
    assert set(BROKEN) == set(RULES)


def _needs(rule: str) -> None:
    if rule.startswith("regex-"):
        pytest.importorskip("re2", reason="kit-conformance[lint] is not installed")


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_rule_finds_its_mistake_and_no_other_does(rule: str) -> None:
    _needs(rule)
    assert names(BROKEN[rule].text()) == sorted({rule, *BROKEN[rule].kin})


@pytest.mark.parametrize("rule", sorted(name for name, rule in RULES.items() if rule.fixable))
def test_what_can_be_mended_by_rule_is_mended_and_nothing_else_touched(rule: str) -> None:
    _needs(rule)
    before = BROKEN[rule].text()
    after, fixed = fix(before)
    assert rule in {each.rule.name for each in fixed}
    assert names(after) == []
    assert after.count("# keep") == before.count("# keep"), "comments are somebody's words"
    assert fix(after) == (after, [])


def test_what_cannot_be_mended_by_rule_is_left_alone() -> None:
    for rule in RULES.values():
        if not rule.fixable and not BROKEN[rule.name].kin:
            text = BROKEN[rule.name].text()
            assert fix(text) == (text, []), rule.name


def test_the_known_manifest_and_its_mend() -> None:
    assert {"container-name", "formats-place"} <= set(names(SEED))
    after, _ = fix(SEED)
    assert names(after) == []
    assert '"" # extra flags' in after
    assert "  supportedUriFormats:\n  - prefix: kit://\n" in after


def test_a_regex_of_alternatives_is_anchored_as_a_whole() -> None:
    text = GOOD.replace("prefix: kit://", "regex: 'kit://a|kit://b'")
    after, _ = fix(text)
    assert "regex: '^(?:kit://a|kit://b)'" in after


def test_our_own_manifests_have_no_findings() -> None:
    """But for the image: the person who deploys sets its registry, in deploy/initializer/kustomization.yaml."""
    found = check(load([str(ROOT / "deploy")])).findings
    assert [each.what for each in found if each.rule.name != "image-registry"] == []


def test_a_kustomization_is_judged_by_what_it_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "csc.yaml").write_text(GOOD.replace("kit-initializer:1.2.3", "kit-initializer"), "utf-8")
    text = "resources: [csc.yaml]\nimages: [{name: r.example/kit-initializer, newTag: 1.2.3}]\n"
    (tmp_path / "kustomization.yaml").write_text(text, "utf-8")
    monkeypatch.setenv("PATH", "")  # without kustomize, whose images need a configuration for this kind
    assert check(load([str(tmp_path)])).findings == ()
    (tmp_path / "kustomization.yaml").write_text("resources: [csc.yaml]\n", "utf-8")
    assert [each.rule.name for each in check(load([str(tmp_path)])).findings] == ["moving-tag"]


def test_a_kustomization_with_patches_is_not_judged_without_kustomize(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: []\npatches: [{path: p.yaml}]\n", "utf-8")
    monkeypatch.setenv("PATH", "")
    (tmp_path / "alone.yaml").write_text(SEED, "utf-8")
    found = check(load([str(tmp_path)])).findings
    (unread,) = (each.what for each in found if each.rule.name == "unreadable")
    assert "put kustomize or kubectl on the PATH" in unread
    assert "container-name" in {each.rule.name for each in found}


def test_what_is_not_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: b\n```\n", "utf-8")
    (found,) = check(load([str(tmp_path)])).findings
    assert "not YAML: line 2: found character" in found.what


def test_findings_say_where(tmp_path: Path) -> None:
    path = tmp_path / "csc.yaml"
    path.write_text(GOOD.replace("name: storage-initializer", "name: other"), "utf-8")
    (found,) = check(load([str(path)])).findings
    line = path.read_text("utf-8").splitlines().index("    name: other") + 1
    assert found.place == f"{path}:{line}"


@pytest.mark.parametrize("way", ["file", "folder", "kustomization", "its folder", "standard input"])
@pytest.mark.parametrize("fixed", [False, True])
def test_the_known_manifest_is_judged_however_it_is_given(
    tmp_path: Path,
    way: str,
    fixed: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = fix(SEED)[0] if fixed else SEED
    below = tmp_path / "below"
    below.mkdir()
    (below / "csc.yaml").write_text(text, "utf-8")
    kustomization = below / "kustomization.yaml"
    if way in {"kustomization", "its folder"}:
        kustomization.write_text("resources: [csc.yaml]\n", "utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    monkeypatch.setenv("PATH", "")
    given = {
        "file": below / "csc.yaml",
        "folder": tmp_path,
        "kustomization": kustomization,
        "its folder": below,
        "standard input": "-",
    }
    assert cli.main(["lint", "--json", str(given[way])]) == (0 if fixed else 1)
    found = {each["rule"] for each in json.loads(capsys.readouterr().out)}
    assert found == set() if fixed else {"container-name", "formats-place"} <= found


def test_standard_input_cannot_be_mended(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lint", "--fix", "-"]) == 2
    assert "standard input" in capsys.readouterr().err


@pytest.mark.parametrize("rule", sorted(RULES))
def test_the_case_of_a_rule_fails_for_its_mistake_alone(rule: str, tmp_path: Path) -> None:
    _needs(rule)
    found = catalog()[f"manifest.{rule}"]
    case = getattr(importlib.import_module(found.module), found.function)
    for text, broken in ((GOOD, False), (BROKEN[rule].text(), True)):
        path = tmp_path / "m.yaml"
        path.write_text(text, "utf-8")
        subject = connect("command:/bin/true", subjects.load("bare"))  # a manifest is judged without it
        with (
            lab.new(subject, lab.Settings(manifests=(str(path),))) as made,
            pytest.raises(Finding) if broken else contextlib.nullcontext(),
        ):
            case(made)


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(SEED))
    assert len(load(["-"])) == 1


def test_the_command_prints_rule_place_consequence_and_mend(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "csc.yaml"
    path.write_text(SEED, "utf-8")
    assert cli.main(["lint", str(path)]) == 1
    text = capsys.readouterr().out
    for rule in ("container-name", "formats-place"):
        assert f"error {rule}\n" in text
        assert f"fix: {RULES[rule].remedy}\n" in text
        assert RULES[rule].consequence in text


def test_the_command_mends_in_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "csc.yaml"
    path.write_text(SEED, "utf-8")
    assert cli.main(["lint", "--fix", str(tmp_path)]) == 0
    assert "fixed container-name" in capsys.readouterr().out
    assert names(path.read_text("utf-8")) == []


def test_warnings_fail_only_when_asked_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "csc.yaml"
    path.write_text(GOOD.replace(":1.2.3", ":latest"), "utf-8")
    assert cli.main(["lint", str(path)]) == 0
    assert cli.main(["lint", "--strict", "--json", str(path)]) == 1
    out = capsys.readouterr().out
    assert json.loads(out[out.index("[\n") :])[0]["rule"] == "moving-tag"


@pytest.mark.parametrize("text", ["a: [", "just: a map\n"])
def test_what_cannot_be_judged_is_no_success(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text, "utf-8")
    assert cli.main(["lint", str(path)]) == 2
    assert cli.main(["lint", str(tmp_path / "missing.yaml")]) == 2
    assert "kit-conformance:" in capsys.readouterr().err


def test_the_hook_of_pre_commit_runs_over_any_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    command, *words = hook["entry"].split()
    assert command == "kit-conformance"
    for name, text, code in (("good", GOOD, 0), ("none", "a: 1\n", 0), ("bad", SEED, 1)):
        path = tmp_path / f"{name}.yaml"
        path.write_text(text, "utf-8")
        assert cli.main([*words, str(path)]) == code
    capsys.readouterr()


def test_a_list_is_taken_apart() -> None:
    item = "\n".join("  " + line for line in SEED.splitlines())
    text = f"apiVersion: v1\nkind: List\nitems:\n-{item[1:]}\n"
    assert "container-name" in names(text)
