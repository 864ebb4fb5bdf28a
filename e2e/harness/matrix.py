"""Several versions, one after the other, each on a cluster of its own, and one page of all their scenarios.

python -m e2e.harness.matrix --kserve v0.20.0,v0.16.0 [--kit VERSION|PATH,…] [arguments of `run` …]
python -m e2e.harness.matrix --cells v0.20.0/v1.7.0,v0.16.0/v0.5.0

A cell is a version of KServe and one of Kit. Each leaves its own reports in RESULTS/matrix/<cell>/e2e; matrix.html and
matrix.md set them side by side, as `kit-conformance report` does with reports of any origin.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from e2e.harness.report import UPSTREAM
from e2e.harness.shell import StepError, run
from e2e.harness.versions import KSERVE, MATRIX, ROOT


class Cell(NamedTuple):
    """One combination; `kit` is a version, a path, or "" for whichever there is."""

    kserve: str
    kit: str

    @property
    def folder(self) -> str:
        """The name of its folder."""
        kit = Path(self.kit).parent.name if os.sep in self.kit else self.kit
        return re.sub(r"[^\w.]+", "-", f"kserve-{self.kserve}" + (f"-kit-{kit}" if kit else ""))


def cells(options: argparse.Namespace) -> list[Cell]:
    """Return the combinations that were asked for: all of the versions given, else those of versions.toml."""
    if options.kserve or options.kit:
        versions = (options.kserve or str(KSERVE["version"])).split(",")
        return list(itertools.starmap(Cell, itertools.product(versions, options.kit.split(","))))
    return [Cell(*cell.partition("/")[::2]) for cell in (options.cells or ",".join(MATRIX)).split(",")]


def merge(folders: list[Path], folder: Path) -> str:
    """Set the reports of these cells side by side, and return the page's path; StepError when there is none."""
    reports = [str(report.parent) for place in folders for report in _reports(place)]
    if not reports:
        raise StepError("no cell has come to a report")
    command = [sys.executable, "-m", "kit_conformance", "report", *reports, "--results", str(folder)]
    return run(command, timeout=60).strip()


def _merge(folders: list[Path], folder: Path) -> int:
    try:
        print(f"matrix: {merge(folders, folder)}", flush=True)
    except StepError as error:
        print(f"matrix: {error}", file=sys.stderr)
        return 2
    return 0


def _reports(place: Path) -> list[Path]:
    found = (place / "e2e" / name / "report.json" for name in ("", UPSTREAM))
    return [path for path in found if path.exists()]


def main() -> int:
    """Run every cell; 0 when all of them came to 0, else 1."""
    parser = argparse.ArgumentParser(prog="nox -s e2e_matrix --", description=__doc__.splitlines()[0])
    parser.add_argument("--kserve", default="", metavar="V,…", help="each with every --kit")
    parser.add_argument("--kit", default="", metavar="VERSION|PATH,…")
    given = f"these combinations alone (without any: {', '.join(MATRIX)})"
    parser.add_argument("--cells", default="", metavar="KSERVE/KIT,…", help=given)
    merging = "run nothing, and set side by side what is in RESULTS/matrix"
    parser.add_argument("--merge", action="store_true", help=merging)
    options, rest = parser.parse_known_args()
    folder = Path(os.environ.get("RESULTS") or ROOT / "results").absolute() / "matrix"
    if options.merge:
        return _merge(sorted(folder.glob("*/")), folder)
    done: list[Path] = []
    codes = []
    for cell in cells(options):
        place = folder / cell.folder
        place.mkdir(parents=True, exist_ok=True)
        for report in _reports(place):
            report.unlink()
        command = [sys.executable, "-m", "e2e.harness", "run", "--kserve-version", cell.kserve]
        command += [*(["--kit", cell.kit] if cell.kit else []), f"--junit-xml={place / 'e2e.xml'}", *rest]
        print(f"matrix: {cell.folder}", flush=True)
        codes.append(subprocess.call(command, cwd=ROOT, env={**os.environ, "RESULTS": str(place)}))
        done.append(place)
        _merge(done, folder)  # after each, so that a run cut short has a page
    for place, code in zip(done, codes, strict=True):
        print(f"matrix: {place.name}: exit code {code}")
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
