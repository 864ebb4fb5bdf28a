"""Every `sh` block of the documentation either runs here or is listed with the reason why it does not.

A block runs as it stands, but for SWAPS: there is no cluster here, and the registry is on loopback.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
import yaml

from kit_conformance.testbed.kits import pack
from kit_conformance.testbed.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
RELEASE = "https://github.com/OWNER/REPOSITORY/releases/download/v0.1.0/"
KIT = "fixtures/modelkits/sklearn-iris"

# What is written, and what runs in its place; HOST is the registry's.
SWAPS = (
    (r"registry\.example(\.com)?\b", "HOST"),
    (re.escape(RELEASE), "dist/"),  # what a release attaches is made by the fixture
    (r"^kit push ", "kit push --plain-http "),
    # the API server judges manifests in `nox -s e2e`, here the linter does
    (r"^kubectl apply -f (\S+)$", r"kit-conformance lint \1"),
    (r"^kubectl apply -k (\S+)$", r"kubectl kustomize \1 > applied.yaml"),
    (r"^(kubectl (-n \S+ )?create .*)$", r"\1 --dry-run=client --output yaml"),
    (r"^kubectl .* wait .*$", ":"),
    (r"^helm install (\S+) (\S+/)?(kit-initializer-\S+)$", r"helm template \1 dist/\3"),
    # a whole run of the suite is `nox -s conformance`
    (r"^kit-conformance run .*$", ":"),
    (r"command:/usr/local/bin/my-initializer", "command:kit-initializer"),
    (
        r"^kit-conformance serve-registry .*$",
        "kit-conformance serve-registry --faults",
    ),  # else it serves until Ctrl-C
    (r"/mnt/models", "models"),
)

SUITE = "a run of the suite, minutes long; `nox -s conformance` and the tests of conformance/ have such runs"
COSIGN = "needs cosign; the tests of signatures sign as cosign does"
NEWCOMER = ".ci/run follows it on a fresh clone, or does the same"
CLUSTER = "needs a cluster with KServe; `nox -s e2e` asks the same"
# Page and first words of the blocks that do not run here.
ELSEWHERE = {
    ("README.md", "python3 -m venv"): NEWCOMER,
    ("CONTRIBUTING.md", "python3 -m venv"): NEWCOMER,
    ("bench/README.md", "KIT=path/to/kit nox -s bench"): "stage bench of .ci/run",
    ("docs/serve.md", "cosign verify"): "needs a release",
    ("docs/serve.md", "nox -s image"): "stage image of .ci/run",
    ("docs/serve.md", "kubectl -n models get"): CLUSTER,
    ("docs/signatures.md", "cosign "): COSIGN,
    ("docs/conformance.md", "pip install"): SUITE,
    ("docs/conformance.md", "kit-conformance run"): SUITE,
    (
        "docs/conformance.md",
        "kit-conformance serve-registry",
    ): "it serves until Ctrl-C; test_by_hand.py has it",
    ("docs/conformance.md", "kit-conformance report"): SUITE,
    ("docs/conformance.md", "kit-conformance gate"): SUITE,
    ("docs/validate-a-kit-version.md", ""): SUITE,
    ("docs/writing-a-case.md", ""): "a tutorial with edits of sources; conformance/tests runs its commands",
}


class Block(NamedTuple):
    """One fenced block: its page, the line it begins at, and its text."""

    page: str
    line: int
    text: str

    def why_not(self) -> str | None:
        """Return the reason in ELSEWHERE, if there is one."""
        reasons = [
            reason
            for (page, words), reason in ELSEWHERE.items()
            if page == self.page and self.text.startswith(words)
        ]
        return reasons[0] if reasons else None


def pages() -> Iterator[str]:
    """Give the pages that people read; without what an environment or a build has left."""
    left_out = {"tests", "dist", "results"}
    tops = [path for path in ROOT.iterdir() if not path.name.startswith(".") and path.name not in left_out]
    for path in sorted(page for top in tops for page in ([top] if top.is_file() else top.rglob("*.md"))):
        name = path.relative_to(ROOT)
        if path.suffix == ".md" and not left_out & set(name.parts):
            yield name.as_posix()


def blocks(page: str, language: str = "sh") -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [Block(page, text.count("\n", 0, match.start()) + 1, match[1]) for match in found]


BLOCKS = [block for page in pages() for block in blocks(page)]
RUN = {
    "docs/serve.md": {"kit", "kubectl", "helm"},
    "docs/signatures.md": {"kubectl", "helm"},
    "deploy/helm/kit-initializer/README.md": {"kubectl", "helm"},
    "initializer/README.md": set(),
    "conformance/README.md": set(),
}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Give a function that runs a text in a copy of what the pages name, with a registry on loopback."""
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    shutil.copytree(ROOT / KIT, tmp_path / KIT)
    (tmp_path / "password.txt").write_text("one")
    (tmp_path / "home").mkdir()
    kit = Path(os.environ.get("KIT") or shutil.which("kit") or "kit").absolute()
    programs = [str(kit.parent), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = {
        "HOME": str(tmp_path / "home"),
        "KIT_UNPACK_FLAGS": "--plain-http",
        "PATH": os.pathsep.join(programs),
    }
    with Registry() as registry:
        registry.add(pack(ROOT / KIT), "iris", "v1")

        def run(text: str) -> str:
            for written, instead in SWAPS:
                text = re.sub(written, instead.replace("HOST", registry.host), text, flags=re.MULTILINE)
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", text],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
            return done.stdout

        yield run


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.interop(*sorted(needs))] if needs else [])
        for page, needs in RUN.items()
    ],
)
def test_the_commands_of_a_page_run(page: str, place: Callable[[str], str]) -> None:
    if "helm" in RUN[page]:
        place("python3 deploy/render.py --image ghcr.io/owner/kit-initializer:0.1.0 --output dist")
    for block in blocks(page, "yaml"):
        if "kind: InferenceService" in block.text:
            place(f"cat > iris.yaml <<'END'\n{block.text}END\n")
    ran = [place(block.text) for block in blocks(page) if not block.why_not()]
    assert ran


@pytest.mark.interop("kit")
def test_the_kit_that_serve_packs_is_the_one_that_it_serves(place: Callable[[str], str]) -> None:
    (packing,) = (block for block in blocks("docs/serve.md") if block.text.startswith("kit pack"))
    (service,) = (
        found
        for block in blocks("docs/serve.md", "yaml")
        if (found := yaml.safe_load(block.text)) and "kind" in found
    )
    (secret,) = (block.text for block in blocks("docs/serve.md") if "create secret" in block.text)
    assert f"kubectl -n {service['metadata']['namespace']} create secret" in secret
    place(packing.text)
    place(f"kit-initializer {service['spec']['predictor']['model']['storageUri']} served")
    assert "model.joblib" in place("ls served")


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page}:{block.line}")
def test_each_block_runs_or_has_a_reason(block: Block) -> None:
    assert block.page in RUN or block.why_not(), (
        f"{block.page}, line {block.line}: add the page to RUN, or the block to ELSEWHERE with the reason"
    )


@pytest.mark.parametrize(("page", "words"), ELSEWHERE)
def test_no_reason_outlives_its_block(page: str, words: str) -> None:
    assert any(block.page == page and block.text.startswith(words) for block in BLOCKS)


def test_no_command_edits_a_tracked_file() -> None:
    """`kustomize edit` and `sed -i` change files of a checkout, which a later `git pull` then meets."""
    for block in BLOCKS:
        if not block.page.startswith("docs/writing-a-case"):
            assert not re.search(r"kustomize edit|sed -i|cd deploy", block.text), f"{block.page}:{block.line}"
