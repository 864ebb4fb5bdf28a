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
from pathlib import Path

from e2e.harness import cluster, existing, images, kserve, state, up
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
    accept = f"let manifests that were given differ from the release's (or {kserve.OWN}=1)"
    parser.add_argument("--own-manifests", action="store_true", help=accept)
    stand_in = "give a runtime of KServe another image, where the release's cannot be had; repeatable"
    parser.add_argument(
        "--runtime-image", action="append", default=[], metavar="RUNTIME=IMAGE", help=stand_in
    )
    place = "put that image in the place of ours in the scenarios of test_contract, held against its baseline"
    parser.add_argument("--upstream-image", default="", metavar="IMAGE", help=place)
    context = "with `run`: a cluster that exists, touching only what the run makes; needs --initializer-image"
    parser.add_argument("--kube-context", default="", metavar="NAME", help=context)
    beside = "with --kube-context: go on where another ClusterStorageContainer claims kit://"
    parser.add_argument("--beside-other-initializers", action="store_true", help=beside)
    parser.add_argument("--keep-cluster", action="store_true", help="after `run`, leave all of it up")
    parser.add_argument("--no-kserve", action="store_true", help="only what `-m plain` needs")
    return parser


def main() -> int:
    """Run one command; 0 is success, 2 is a harness that failed, else pytest's own exit code."""
    options, rest = parser().parse_known_args()
    if rest and options.command != "run":
        parser().error(f"unknown: {' '.join(rest)}")
    # the tests are other processes, and look at the same manifests
    if options.kserve_manifests:
        os.environ["KSERVE_MANIFESTS"] = str(Path(options.kserve_manifests).absolute())
    if options.own_manifests:
        os.environ[kserve.OWN] = "1"
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
    if options.kube_context:
        if options.command != "run":
            raise StepError("--kube-context is for `run`, which removes in the end what it made")
        return _run_on(options, rest)
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
        manifests=os.environ.get("KSERVE_MANIFESTS", ""),
        plain=options.no_kserve or only_plain,
        upstream=options.upstream_image,
        stand_ins=tuple(
            (name, image) for name, _, image in (i.partition("=") for i in options.runtime_image)
        ),
    )


def _run_on(options: argparse.Namespace, rest: list[str]) -> int:
    beside = options.beside_other_initializers
    with existing.attach(options.kube_context, _wanted(options, rest), beside_others=beside) as made:
        print(up.describe(made), flush=True)
        return subprocess.call(_pytest(rest), cwd=ROOT, env={**os.environ, ATTACH: made.name})


def _pytest(rest: list[str]) -> list[str]:
    return [sys.executable, "-m", "pytest", *([] if _names_tests(rest) else ["e2e"]), *rest]


def _run(options: argparse.Namespace, rest: list[str]) -> int:
    try:
        return subprocess.call(_pytest(rest), cwd=ROOT, env={**os.environ, ATTACH: options.name})
    finally:
        if not options.keep_cluster:
            up.down(options.name)


def _names_tests(rest: list[str]) -> bool:
    return any(word.startswith("e2e") for word in rest)


if __name__ == "__main__":
    sys.exit(main())
