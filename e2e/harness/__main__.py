"""The harness's commands.

python -m e2e.harness up      a cluster with registry, images and KServe; tests attach to it
python -m e2e.harness status  what is up
python -m e2e.harness down    remove all of it
python -m e2e.harness run     up, pytest, down; whatever is not an option here is pytest's
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys

from e2e.harness import cluster, images, state, up
from e2e.harness.shell import StepError
from e2e.harness.versions import KSERVE, ROOT
from e2e.harness.waiting import GaveUpError

ATTACH = "E2E_CLUSTER"  # the name of the cluster that the tests attach to


def parser() -> argparse.ArgumentParser:
    """Return the parser of the commands and their options."""
    parser = argparse.ArgumentParser(
        prog="python -m e2e.harness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("image", "up", "status", "down", "run"))
    parser.add_argument("--name", default=up.NAME, help="the kind cluster's name (%(default)s)")
    kit = "pack with that Kit and build the image from it: a version or a program (default: KIT, PATH, a release)"
    parser.add_argument("--kit", default="", metavar="VERSION|PATH", help=kit)
    parser.add_argument(
        "--initializer-image", default="", metavar="IMAGE", help="use it instead of building one"
    )
    parser.add_argument("--kserve-version", default=KSERVE["version"], metavar="V", help="(%(default)s)")
    manifests = "take KServe's manifests from there (or KSERVE_MANIFESTS) instead of its release"
    parser.add_argument("--kserve-manifests", default="", metavar="DIR", help=manifests)
    parser.add_argument("--keep-cluster", action="store_true", help="after `run`, leave all of it up")
    parser.add_argument("--no-kserve", action="store_true", help="only what `-m plain` needs")
    return parser


def main() -> int:
    """Run one command; 0 is success, 2 is a harness that failed, else pytest's own exit code."""
    options, rest = parser().parse_known_args()
    if rest and options.command != "run":
        parser().error(f"unknown: {' '.join(rest)}")
    try:
        return _command(options, rest)
    except (StepError, GaveUpError) as error:
        print(f"e2e: {error}", file=sys.stderr)
        return 2


def _command(options: argparse.Namespace, rest: list[str]) -> int:
    if options.command == "down":
        up.down(options.name)
        return 0
    if options.command == "image":
        print(images.build_initializer(images.find_kit(options.kit)))
        return 0
    made = state.load(options.name)
    if made and not cluster.exists(options.name):
        made = None
    if options.command == "status":
        print(up.describe(made) if made else f"no cluster {options.name}: python -m e2e.harness up")
        return 0 if made else 1
    if not made:
        made = up.up(_wanted(options, rest))
        print(up.describe(made), flush=True)
    else:
        print(f"e2e: attaching to {made.name}, which is up as it is: options for bring-up have no effect")
    return 0 if options.command == "up" else _run(options, rest)


def _wanted(options: argparse.Namespace, rest: list[str]) -> up.Wanted:
    only_plain = ("-m", "plain") in itertools.pairwise(rest)
    return up.Wanted(
        name=options.name,
        kit=options.kit,
        initializer=options.initializer_image,
        kserve=options.kserve_version,
        manifests=options.kserve_manifests,
        plain=options.no_kserve or only_plain,
    )


def _run(options: argparse.Namespace, rest: list[str]) -> int:
    command = [sys.executable, "-m", "pytest", *([] if _names_tests(rest) else ["e2e"]), *rest]
    try:
        return subprocess.call(command, cwd=ROOT, env={**os.environ, ATTACH: options.name})
    finally:
        if not options.keep_cluster:
            up.down(options.name)


def _names_tests(rest: list[str]) -> bool:
    return any(word.startswith("e2e") for word in rest)


if __name__ == "__main__":
    sys.exit(main())
