"""Mutants of transfers: somebody who knows one way to serve a blob, and no other."""

# ruff: noqa: D401  (a docstring says what the mutant does wrong)

from __future__ import annotations

from conformance.tests.mutants.registry import first_layer, large
from conformance.tests.mutants.world import Answer, World, mutant


@mutant("registry.refused-ranges")
def ranges_or_nothing(world: World) -> int:
    """Gives up where a range is refused."""
    done = world.run()
    return world.fails() if done.ok and large(world) and _part(world)[0] in {400, 416, 501} else done.code


@mutant("registry.odd-ranges")
def exact_ranges(world: World) -> int:
    """Gives up where a part is not exactly the one that was asked for."""
    done = world.run()
    status, where = _part(world) if done.ok and large(world) else (0, "")
    return world.fails() if status == 206 and not where.startswith("bytes 70000-") else done.code


@mutant("registry.few-requests")
def all_at_once(world: World) -> int:
    """Gives up where not all of its requests are taken at a time."""
    done = world.run()
    return world.fails() if "going on with" in done.text and world.has("part-3.bin") else done.code


@mutant("registry.compressed-unasked")
def as_it_comes(world: World) -> int:
    """Gives up where something is compressed on the way."""
    done = world.run()
    path = f"/v2/{world.repository}/manifests/{world.target}"
    return world.fails() if done.ok and _encoded(world.get(path)) else done.code


@mutant("registry.called-compressed")
def believes_the_header(world: World) -> int:
    """Undoes a Content-Encoding of what was only called so."""
    done = world.run()
    small = done.ok and world.has("model.joblib") and not large(world)
    return world.fails() if small and _encoded(world.blob(first_layer(world))) else done.code


def _encoded(answer: Answer) -> bool:
    return "content-encoding" in answer.headers


def _part(world: World) -> tuple[int, str]:
    """Return status and Content-Range of an answer to a range of the first layer."""
    answer = world.blob(first_layer(world), headers={"Range": "bytes=70000-70009"})
    return answer.status, answer.headers.get("content-range", "")
