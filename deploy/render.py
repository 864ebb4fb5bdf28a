"""Write what a release attaches: install.yaml, and the Helm chart, both with the image that was pushed.

    python deploy/render.py --image ghcr.io/ORG/kit-initializer:0.1.0@sha256:… --output dist

It needs kubectl (for kustomize), and helm unless `--no-chart` is given. Nothing in the checkout changes.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).resolve().parent
CHART = HERE / "helm" / "kit-initializer"
NAME = "kit-initializer"
_IMAGE = re.compile(
    r"(?P<repository>[a-z0-9][^@\s]*?)(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


class RenderError(Exception):
    """Something is missing or malformed; the text says what and what to do."""


class Image(NamedTuple):
    """An image by repository, tag and digest; each of the last two may be empty."""

    repository: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> Image:
        """Split `repository[:tag][@sha256:digest]`. Raises RenderError."""
        match = _IMAGE.fullmatch(text)
        if not match or not (match["tag"] or match["digest"]):
            raise RenderError(f"--image {text}: expected REPOSITORY:TAG, or REPOSITORY[:TAG]@sha256:DIGEST")
        return cls(match["repository"], match["tag"] or "", match["digest"] or "")


def manifests(image: Image) -> str:
    """Render deploy/initializer with an image, as `kubectl apply -k` would apply it. Raises RenderError."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "initializer"
        shutil.copytree(HERE / "initializer", copy)
        file = copy / "kustomization.yaml"
        lines = [f"    newName: {image.repository}"]
        # kustomize drops the tag where there is a digest
        lines += [f"    digest: {image.digest}"] if image.digest else [f"    newTag: {image.tag}"]
        text, count = re.subn(
            r"    newName: \S+\n    newTag: \S+", "\n".join(lines), file.read_text(encoding="utf-8")
        )
        if count != 1:
            raise RenderError(f"{file.name} of deploy/initializer has no newName with a newTag to replace")
        file.write_text(text, encoding="utf-8")
        rendered = call("kubectl", "kustomize", str(copy))
    return f"# kubectl apply -f install.yaml\n# The ClusterStorageContainers of kit-initializer {image.tag}\n{rendered}"


def chart(image: Image, output: Path) -> Path:
    """Package the chart with an image as its default; return the archive. Raises RenderError."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / NAME
        shutil.copytree(CHART, copy)
        values = copy / "values.yaml"
        text = values.read_text(encoding="utf-8")
        for key, value in image._asdict().items():
            text, count = re.subn(
                rf'^  {key}: (?:""|{NAME})', f'  {key}: "{value}"', text, count=1, flags=re.MULTILINE
            )
            if count != 1:
                raise RenderError(f"values.yaml of the chart has no image.{key} to replace")
        values.write_text(text, encoding="utf-8")
        call("helm", "package", str(copy), "--destination", str(output))
    (archive,) = output.glob(f"{NAME}-*.tgz")
    return archive


def call(program: str, *arguments: str) -> str:
    """Run a program and return its output. Raises RenderError if it is missing or fails."""
    path = shutil.which(program)
    if not path:
        raise RenderError(f"{program} is not on the PATH; install it")
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise RenderError(f"{program} {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--image", required=True, help="REPOSITORY:TAG, or REPOSITORY:TAG@sha256:DIGEST")
    parser.add_argument("--output", type=Path, default=Path("dist"), help="the folder to write to")
    parser.add_argument("--no-chart", action="store_true", help="write install.yaml alone")
    options = parser.parse_args(arguments)
    try:
        image = Image.parse(options.image)
        options.output.mkdir(parents=True, exist_ok=True)
        for old in () if options.no_chart else options.output.glob(f"{NAME}-*.tgz"):
            old.unlink()
        install = options.output / "install.yaml"
        install.write_text(manifests(image), encoding="utf-8")
        written = [install] if options.no_chart else [install, chart(image, options.output)]
    except RenderError as error:
        print(f"render: {error}", file=sys.stderr)
        return 1
    print(*written, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
