"""Speed, side by side: `nox -s bench`, or `python -m bench` in an environment with kit-initializer in it.

Peers take turns within a round, in alternating order, so that what else the machine does hits all of them; each one's
tree is compared with what the kit holds. Nothing is synced to a disk, on either side.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench import machine, peers, plot, results, shapes, tables
from bench.measure import FailedError, pull
from bench.origin import MissingError, publish, registry, secured, slowed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.measure import Sample
    from bench.origin import Origin
    from bench.peers import Peer
    from bench.results import Measured
    from bench.shapes import Growth, Shape
    from kit_conformance.testbed.kits import ModelKit

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"
_ROUNDS = (3, 9)  # at least of ours and Kit's, at most of all
_OTHERS = 2  # at least of the other peers
_MEMORY = Path("/dev/shm")  # noqa: S108 - only where it is large enough, and in a folder of our own
_ROOM = 12_000_000_000  # the largest kit three times: packed, in the registry, unpacked


@contextmanager
def served(shape: Shape, work: Path) -> Iterator[tuple[ModelKit, Origin]]:
    """Pack a shape and have it served by a registry of its own; yields the kit and where it is pulled from."""
    with tempfile.TemporaryDirectory(dir=work, prefix=f"{shape.name}-") as folder, ExitStack() as stack:
        packed = Path(folder, "packed")
        packed.mkdir()
        kit = shapes.build(shape, packed)
        host = stack.enter_context(registry(Path(folder)))
        publish(kit, host)
        shutil.rmtree(packed)
        origin = stack.enter_context(secured(Path(folder), wanted=shape.tls, host=host))
        yield kit, stack.enter_context(slowed(origin, shape.link))


class Bench(NamedTuple):
    """What all measurements of a run share; `deadline` is the monotonic time after which no growth is begun."""

    found: Sequence[Peer]
    work: Path
    disk: Path
    rounds: int
    quiet: machine.Quiet
    deadline: float

    def only(self, *names: str) -> Bench:
        """Return the same with these peers alone."""
        return self._replace(found=[peer for peer in self.found if peer.name in names])


def _wanted(bench: Bench, shape: Shape, peer: Peer, number: int, elapsed: float) -> bool:
    """Say whether a peer is to have one more turn."""
    close = peer.name in {peers.OURS, peers.KIT}
    if number < min(_ROUNDS[0] if close else _OTHERS, bench.rounds):
        return True
    if close and shape.alone and peers.KIT in (each.name for each in bench.found):
        return elapsed <= shape.seconds + shape.alone
    return number < bench.rounds and elapsed <= shape.seconds


def compare(
    bench: Bench, shape: Shape, kit: ModelKit, origin: Origin, *, at: int = 0, at_once: int = 1
) -> Measured:
    """Let the peers take turns until the shape's time is over; a peer that fails sits out from then on."""
    found = bench.found
    samples: dict[str, list[Sample | None]] = {peer.name: [] for peer in found}
    cannot = {peer.name: why for peer in found if (why := peer.cannot(shape))}
    place = bench.disk if shape.disk else bench.work
    load = os.getloadavg()[0]
    began = time.monotonic()
    for number in itertools.count():
        began += bench.quiet.wait()
        elapsed = time.monotonic() - began
        wanted = [peer for peer in found if _wanted(bench, shape, peer, number, elapsed)]
        if not wanted:
            break
        for peer in found[:: 1 if number % 2 == 0 else -1]:
            if peer.name in cannot or peer not in wanted:
                samples[peer.name].append(None)
                continue
            try:
                samples[peer.name].append(pull(peer, origin, shape, kit, place, at_once=at_once))
            except FailedError as error:
                if peer.name == peers.OURS:
                    raise
                print(f"!!! {error}", flush=True)
                cannot[peer.name] = f"failed: {str(error).strip().splitlines()[-1][:200]}"
                samples[peer.name].append(None)
    loads = (round(load, 2), round(os.getloadavg()[0], 2))
    return results.Measured(shape.name, shape.what, samples, cannot, loads, at)


def say(measured: Measured) -> None:
    """Print one line a peer."""
    print(f"\n{measured.what}  (load {measured.load[0]:.1f} to {measured.load[1]:.1f})", flush=True)
    for peer in measured.samples:
        wall, cpu, peak = measured.wall(peer), measured.cpu(peer), measured.peak(peer)
        if wall is None or cpu is None or peak is None:
            print(f"  {peer:<22} {measured.cannot.get(peer, '')}")
            continue
        ratio = measured.ratio(peer)
        against = f"ours/it {ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})" if ratio else ""
        count = len(measured.of(peer))
        print(
            f"  {peer:<22} {wall:7.3f} s  cpu {cpu:7.3f} s  {peak >> 20:3} MiB  {against}  [{count}]",
            flush=True,
        )


def grow(bench: Bench, curve: Growth) -> list[Measured]:
    """Measure one growth curve, ours beside Kit's two ways, as far as there is time."""
    few = bench.only(peers.OURS, peers.KIT, peers.KIT_PULL)
    points: list[Measured] = []
    with ExitStack() as stack:
        shared = stack.enter_context(served(curve.points[0][1], bench.work)) if curve.at_once else None
        for at, shape in curve.points:
            if time.monotonic() > bench.deadline:
                print(f"!!! left out, because time is up: {curve.axis}, {at:,} and more")
                break
            with ExitStack() as own:
                kit, origin = shared or own.enter_context(served(shape, bench.work))
                points.append(compare(few, shape, kit, origin, at=at, at_once=at if curve.at_once else 1))
            say(points[-1]._replace(what=f"{curve.axis}: {at:,}"))
    return points


def physical(work: Path) -> list[machine.Limit]:
    """Measure what one thread of this machine does at best."""
    shape = next(each for each in shapes.SHAPES if each.name == "tar")
    with served(shape, work) as (kit, origin):
        found = list(machine.limits(origin.host, kit.layers[0].digest, work))
    print("\none thread of this machine")
    for limit in found:
        print(f"  {limit.name:<12} {limit.rate:9,.0f} {limit.unit}")
    return found


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="nox -s bench --", description=(__doc__ or "").partition("\n")[0])
    names, curves = [each.name for each in shapes.SHAPES], [each.name for each in shapes.GROWTH]
    parser.add_argument(
        "--shapes", type=_names, default=names, metavar="NAME,…", help=f"of {', '.join(names)}"
    )
    parser.add_argument(
        "--growth", type=_names, default=curves, metavar="NAME,…", help=f"of {', '.join(curves)}"
    )
    parser.add_argument("--peers", type=_names, default=[], metavar="NAME,…", help="only these, and ours")
    parser.add_argument(
        "--minutes", type=float, default=16.0, help="no growth is begun after these (%(default)s)"
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="wait so long in all for a quiet machine",
    )
    parser.add_argument(
        "--rounds", type=int, default=_ROUNDS[1], help="at most so many rounds of all (%(default)s)"
    )
    parser.add_argument(
        "--kit", default=os.environ.get("KIT", "kit"), metavar="PATH", help="a Kit binary (KIT)"
    )
    parser.add_argument("--entrypoint", metavar="PATH", help="KitOps' entrypoint.sh for KServe")
    parser.add_argument("--oras", metavar="PYTHON", help="the Python of an environment with oras")
    parser.add_argument("--kserve", metavar="PYTHON", help="the Python of an environment with kserve-storage")
    parser.add_argument(
        "--initializer", metavar="PATH", help="the command, when not the one of this environment"
    )
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="where everything is done (memory, if large enough)"
    )
    parser.add_argument(
        "--disk", type=Path, metavar="DIR", help="where trees are on a disk (the system's temporary folder)"
    )
    parser.add_argument("--results", type=Path, default=Path(os.environ.get("RESULTS", "results"), "bench"))
    parser.add_argument("--enforce", action="store_true", help="exit with 1 when the budget is exceeded")
    parser.add_argument("--docs", action="store_true", help="put tables and plots into docs/performance.md")
    options = parser.parse_args(arguments)
    for folder in (options.work, options.disk):
        if folder is not None and not folder.is_dir():
            parser.error(f"{folder} is not a folder")
    if unknown := [*set(options.shapes).difference(names), *set(options.growth).difference(curves)]:
        parser.error(f"unknown: {', '.join(unknown)}")
    return options


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def run(options: argparse.Namespace, work: Path, disk: Path) -> tables.Report:
    """Measure everything that was asked for."""
    found, missing = peers.find(options)
    if options.peers:
        if unknown := set(options.peers).difference(peer.name for peer in found):
            known = ", ".join(peer.name for peer in found)
            raise MissingError(f"--peers: {', '.join(sorted(unknown))} is not here; these are: {known}")
        found = [peer for peer in found if peer.name in {peers.OURS, *options.peers}]
    for peer in found:
        print(f"{peer.name}: {peer.version}")
    for sentence in missing:
        print(f"!!! left out: {sentence}")
    quiet = machine.Quiet(options.patience)
    bench = Bench(found, work, disk, options.rounds, quiet, time.monotonic() + 60 * options.minutes)
    measured: list[Measured] = []
    for shape in shapes.SHAPES:
        if shape.name not in options.shapes:
            continue
        with served(shape, work) as (kit, origin):
            if not measured:  # what is read for the first time comes from a disk
                compare(bench._replace(rounds=1), shape._replace(alone=0), kit, origin)
            measured.append(compare(bench, shape, kit, origin))
        say(measured[-1])
    chosen = [curve for curve in shapes.GROWTH if curve.name in options.growth]
    curves = [(curve.name, curve.axis, points) for curve in chosen if (points := grow(bench, curve))]
    versions = {peer.name: peer.version for peer in found}
    points = [point for _, _, each in curves for point in each if not _many(point)]
    verdicts = results.judge(measured, points)
    verifying = [peer.name for peer in found if peer.verifies]
    facts, limits = machine.facts(work, disk), physical(work)
    return tables.Report(facts, versions, verifying, measured, curves, limits, verdicts)


def _many(point: Measured) -> bool:
    return point.name == "64mb"


def keep(report: tables.Report, folder: Path, *, docs: bool) -> None:
    """Write JSON, Markdown and plots; into the page of the documentation as well, if that is asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = report.machine
    place = f"{facts['cores']} shared cores, trees on {facts['file_system']}, {facts['date']}"
    star = f"; {tables.STAR} checks no layer against its digest"
    files = {
        "bench.json": json.dumps(report.as_json(), indent=1, ensure_ascii=False) + "\n",
        "bench.md": report.as_markdown(),
    }
    if report.shapes:
        files["shapes.svg"] = plot.shapes(
            report.shapes, report.names(), f"{place}; line: lowest to highest round{star}"
        )
    if report.growth:
        files["growth.svg"] = plot.growth(report.growth, report.names(), place + star)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    if docs:
        beside = PAGE.with_suffix("")
        beside.mkdir(exist_ok=True)
        for name in files.keys() - {"bench.md"}:
            (beside / name).write_text(files[name], encoding="utf-8")
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), report.sections()), encoding="utf-8")
    print(f"\n{folder}: {', '.join(files)}")


def filled(page: str, sections: dict[str, str]) -> str:
    """Return a page with its marked places filled: from `<!-- bench: NAME -->` to `<!-- end -->`."""

    def replace(match: re.Match[str]) -> str:
        text = sections.get(match[1])
        return f"<!-- bench: {match[1]} -->\n{text}\n<!-- end -->" if text else match[0]

    return re.sub(r"<!-- bench: (\w+) -->\n.*?<!-- end -->", replace, page, flags=re.DOTALL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return the exit code."""
    options = options_of(arguments)
    signal.signal(
        signal.SIGTERM, lambda number, _: sys.exit(128 + number)
    )  # registries and folders go with us
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM
    place = options.work or (_MEMORY if roomy else Path(tempfile.gettempdir()))
    began = time.monotonic()
    try:
        with (
            tempfile.TemporaryDirectory(dir=place, prefix="kit-bench-") as work,
            tempfile.TemporaryDirectory(dir=options.disk, prefix="kit-bench-") as disk,
        ):
            report = run(options, Path(work), Path(disk))
    except (MissingError, FailedError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2 if isinstance(error, MissingError) else 1
    keep(report, options.results, docs=options.docs)
    print(f"\n{report.budget()}\n\n{time.monotonic() - began:.0f} s in all")
    return int(options.enforce and not all(verdict.within for verdict in report.verdicts))


if __name__ == "__main__":
    sys.exit(main())
