"""The sample kits are what their expected.json says, and the scripts in them make them again."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from kit_conformance.fixtures import fixture
from kit_conformance.testbed.kits import pack

KITS = Path(__file__).parents[2] / "fixtures" / "modelkits"
ALL = sorted(path.parent.name for path in KITS.glob("*/Kitfile"))


def test_there_are_kits() -> None:
    assert len(ALL) >= 3


@pytest.mark.parametrize("name", ALL)
def test_expected_files(name: str) -> None:
    expected = json.loads((KITS / name / "expected.json").read_text(encoding="utf-8"))
    packed = {
        path: {"size": fact.size, "sha256": fact.sha256, "mode": f"{fact.mode:04o}"}
        for path, fact in pack(KITS / name).files.items()
    }
    assert packed == expected["files"], "run fixtures/modelkits/refresh.py if the kit was meant to change"
    assert (KITS / name / "README.md").is_file()


def test_iris_has_one_model_file_at_the_top() -> None:
    packed = pack(KITS / "sklearn-iris").files
    assert [path for path in packed if path.endswith((".joblib", ".pkl", ".pickle"))] == ["model.joblib"]


def test_text_labels_can_be_trained_again_and_predict(tmp_path: Path) -> None:
    folder = KITS / "text-labels"
    target = tmp_path / "weights.json"
    subprocess.run([sys.executable, "-B", folder / "src" / "train.py", target], check=True, timeout=60)
    assert target.read_bytes() == (folder / "model" / "weights.json").read_bytes()
    predict = runpy.run_path(str(folder / "src" / "labels.py"))["predict"]
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))["predictions"]
    weights = json.loads(target.read_bytes())
    assert {text: predict(weights, text) for text in expected} == expected


def test_bigram_parts_can_be_built_again(tmp_path: Path) -> None:
    folder = KITS / "bigram-parts"
    subprocess.run([sys.executable, folder / "build.py", tmp_path], check=True, timeout=60)
    made = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(made) == 5
    for path in made:
        assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes()


@pytest.mark.parametrize("name", ALL)
def test_the_suite_carries_every_kit(name: str) -> None:
    folder, expected = fixture(name)
    assert (folder / "Kitfile").read_bytes() == (KITS / name / "Kitfile").read_bytes()
    assert expected["files"]
