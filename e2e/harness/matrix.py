"""Several versions, one after the other, each on a cluster of its own, and one table of all their stories.

python -m e2e.harness.matrix --kserve v0.20.0,v0.16.0 [--kit VERSION|PATH,…] [arguments of `run` …]

Each combination leaves its own report in RESULTS/matrix/<combination>; matrix.json and matrix.md hold them all.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from e2e.harness.versions import KSERVE, ROOT


class Report(NamedTuple):
    """What one combination came to: `stories` has the result of each; `exit_code` is that of `run`."""

    name: str
    exit_code: int
    stories: dict[str, str]


def read(name: str, exit_code: int, folder: Path) -> Report:
    """Return a combination's report; a run that came to none has no stories."""
    try:
        told = json.loads((folder / "e2e" / "timeline.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Report(name, exit_code, {})
    return Report(name, exit_code, {story["name"]: story["result"] for story in told["stories"]})


def merge(reports: list[Report], folder: Path) -> Path:
    """Write matrix.json and matrix.md, one row a story and one column a combination; return the page."""
    told = [report._asdict() for report in reports]
    (folder / "matrix.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    lines = ["# Stories by version", ""]
    lines.append(" | ".join(["| story", *(report.name for report in reports)]) + " |")
    lines.append("|---" * (len(reports) + 1) + "|")
    totals = []
    for report in reports:
        results = list(report.stories.values())
        counts = ", ".join(f"{results.count(r)} {r}" for r in ("passed", "failed", "not run"))
        totals.append(counts if results else f"no report, exit code {report.exit_code}")
    lines.append(" | ".join(["| all", *totals]) + " |")
    names = sorted({story for report in reports for story in report.stories})
    lines += [" | ".join([f"| {name}", *(r.stories.get(name, "") for r in reports)]) + " |" for name in names]
    page = folder / "matrix.md"
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return page


def main() -> int:
    """Run every combination; 0 when all of them came to 0, else 1."""
    parser = argparse.ArgumentParser(prog="nox -s e2e_matrix --", description=__doc__.splitlines()[0])
    parser.add_argument("--kserve", default=str(KSERVE["version"]), metavar="V,…")
    parser.add_argument("--kit", default="", metavar="VERSION|PATH,…")
    options, rest = parser.parse_known_args()
    folder = Path(os.environ.get("RESULTS") or ROOT / "results").absolute() / "matrix"
    reports = []
    for kserve, kit in itertools.product(options.kserve.split(","), options.kit.split(",")):
        name = f"KServe {kserve}" + (
            f", Kit {Path(kit).parent.name if os.sep in kit else kit}" if kit else ""
        )
        place = folder / re.sub(r"[^\w.]+", "-", name)
        place.mkdir(parents=True, exist_ok=True)
        (place / "e2e" / "timeline.json").unlink(missing_ok=True)
        command = [sys.executable, "-m", "e2e.harness", "run", "--kserve-version", kserve]
        command += [*(["--kit", kit] if kit else []), f"--junit-xml={place / 'e2e.xml'}", *rest]
        print(f"matrix: {name}", flush=True)
        done = subprocess.call(command, cwd=ROOT, env={**os.environ, "RESULTS": str(place)})
        reports.append(read(name, done, place))
        print(
            f"matrix: {merge(reports, folder)}", flush=True
        )  # after each, so that a run cut short has a table
    return int(any(report.exit_code for report in reports))


if __name__ == "__main__":
    sys.exit(main())
