"""Mutants of the registry's protocol: somebody who cannot stand a bad day, or never ends."""

# ruff: noqa: D401  (a docstring says what the mutant does wrong)

from __future__ import annotations

import os
import time
from typing import Any
from unittest import mock

from conformance.tests.mutants.world import Done, World, mutant
from kit_initializer.http import Response, TransientError, Transport
from kit_initializer.http.wire import ClosedError


def tried_again(done: Done, why: str) -> bool:
    return any(why in line and "trying again" in line for line in done.text.splitlines())


def large(world: World) -> bool:
    return world.has("model.joblib") and (world.folder / "model.joblib").stat().st_size > 1_000_000


def hammer(world: World, times: int) -> None:
    for _ in range(times):
        world.get(f"/v2/{world.repository}/manifests/{world.target}")


def first_layer(world: World) -> str:
    layers = world.layers()
    return str(layers[0]["digest"]) if layers else ""


def no_ranges(world: World) -> bool:
    return world.blob(first_layer(world), headers={"Range": "bytes=1-2"}).status == 200


@mutant("registry.digest", "registry.no-such-digest")
def tags_only(world: World) -> int:
    """Takes the tag v1 where a digest is asked for."""
    name, _, digest = world.uri.partition("@")
    if digest and ":v1" not in name:
        return world.run(f"{name}:v1", str(world.folder)).code
    return world.run().code


@mutant("registry.tag-and-digest")
def tag_first(world: World) -> int:
    """Lets the tag decide where there is a digest, too."""
    name, _, digest = world.uri.partition("@")
    return world.run(name, str(world.folder)).code if digest and ":v1" in name else world.run().code


@mutant("registry.no-tag")
def wants_a_tag(world: World) -> int:
    """Wants a tag or a digest."""
    last = world.uri.rpartition("/")[2]
    return world.run().code if ":" in last or "@" in last else world.fails()


@mutant("registry.nested-repository")
def two_parts(world: World) -> int:
    """Knows repositories of at most two parts."""
    return world.fails() if world.repository.count("/") > 1 else world.run().code


@mutant("registry.long-tag")
def short_tags(world: World) -> int:
    """Knows tags of at most 64 characters."""
    tagged = "@" not in world.uri
    return world.fails() if tagged and len(world.target) > 64 else world.run().code


@mutant("registry.ipv6")
def host_and_port(world: World) -> int:
    """Splits host and port at the first colon."""
    return world.fails() if "[" in world.uri else world.run().code


@mutant("registry.no-such-tag")
def nothing_there(world: World) -> int:
    """Takes a tag that is not there for a kit without files."""
    done = world.run()
    return 0 if done.code == 3 and "manifest unknown: v2" in done.text else done.code


@mutant("registry.layer-gone")
def lost_layer(world: World) -> int:
    """Does without a layer that is gone."""
    done = world.run()
    return 0 if done.code == 3 and "layer" in done.text else done.code


@mutant("registry.denied")
def insists(world: World) -> int:
    """Does not take 403 for an answer."""
    done = world.run()
    if done.code == 4 and "403" in done.text:
        hammer(world, 50)
    return done.code


@mutant("registry.busy")
def no_time(world: World) -> int:
    """Fails at a registry that is busy."""
    done = world.run()
    return world.fails() if "answered 429" in done.text else done.code


@mutant("registry.unavailable-twice", "registry.few-requests")
def once(world: World) -> int:
    """Fails at the second 503."""
    done = world.run()
    return world.fails() if done.ok and done.text.count("answered 503") > 1 else done.code


@mutant("registry.unavailable-manifest")
def manifest_once(world: World) -> int:
    """Asks for a manifest once."""
    done = world.run()
    return world.fails() if done.ok and tried_again(done, "500") else done.code


@mutant("registry.unavailable-for-good")
def for_ever(world: World) -> int:
    """Goes on asking a registry that is unavailable."""
    done = world.run()
    if done.code == 5 and "503" in done.text:
        hammer(world, 150)
    return done.code


@mutant("registry.layer-cut", "registry.resumes", "registry.no-ranges-cut", "registry.redirect-large")
def one_connection(world: World) -> int:
    """Gives a large layer up when its connection ends."""
    done = world.run()
    broke = tried_again(done, "early") and "refused" not in done.text
    return world.fails() if broke and large(world) else done.code


@mutant("registry.no-ranges-cut")
def goes_on_anyway(world: World) -> int:
    """Glues a whole answer to what came before a break."""
    done = world.run()
    if tried_again(done, "early") and large(world) and no_ranges(world):
        return world.fails()
    return done.code


@mutant("registry.layer-reset")
def no_resets(world: World) -> int:
    """Gives a layer up when its connection is reset."""
    done = world.run()
    return world.fails() if done.ok and tried_again(done, "reset by peer") else done.code


@mutant("registry.small-layer-cut", "registry.manifest-cut")
def small_things_never_break(world: World) -> int:
    """Expects small answers to come in one piece."""
    done = world.run()
    return world.fails() if done.ok and tried_again(done, "early") and not large(world) else done.code


@mutant("registry.resumes")
def from_the_beginning(world: World) -> int:
    """Begins a layer anew after a break."""
    done = world.run()
    if tried_again(done, "early") and large(world) and "refused" not in done.text:
        world.blob(first_layer(world))
    return done.code


@mutant("registry.dropped")
def kept_alive(world: World) -> int:
    """Takes a connection that was closed between two requests for a failure."""
    exchange = Transport._exchange

    def once(*arguments: Any) -> Response:  # noqa: ANN401  (whatever the real one takes)
        try:
            return exchange(*arguments)
        except TransientError as error:
            if isinstance(error.__cause__, ClosedError):
                os._exit(1)  # what was there of this run stays: no other case is to notice that
            raise

    with mock.patch.object(Transport, "_exchange", once):  # the real run is forked from this process
        return world.run().code


@mutant("registry.restarted")
def never_restarts(world: World) -> int:
    """Gives up when a registry refuses connections that it took a moment ago."""
    done = world.run()
    return world.fails() if done.ok and tried_again(done, "refused") else done.code


@mutant("registry.layer-stalls", "registry.endless-chunk-size", "registry.endless-trailers")
def waits_for_bytes(world: World) -> int:
    """Waits for the bytes of a layer for ever."""
    done = world.run()
    if done.code == 5 and "broke off" in done.text and "timed out" in done.text:
        time.sleep(300)
    return done.code


@mutant("registry.layer-stalls-once")
def one_stall(world: World) -> int:
    """Gives a layer up when it stands still."""
    done = world.run()
    return world.fails() if done.ok and tried_again(done, "timed out") else done.code


@mutant("registry.no-answer", "registry.silent", "registry.endless-head", "registry.endless-token")
def waits_for_answers(world: World) -> int:
    """Waits for an answer for ever."""
    done = world.run()
    if done.code == 5 and "no response" in done.text and "timed out" in done.text:
        time.sleep(300)
    return done.code


@mutant("registry.refused")
def later(world: World) -> int:
    """Leaves it for later when nobody listens."""
    done = world.run()
    return 0 if done.code == 5 and "refused" in done.text else done.code


@mutant("registry.no-such-host")
def elsewhere(world: World) -> int:
    """Takes a host that does not exist for one without kits."""
    done = world.run()
    return 0 if done.code == 5 and "no such host" in done.text else done.code


@mutant("registry.slow-start")
def in_a_hurry(world: World) -> int:
    """Gives up when a response takes more than two and a half seconds to begin."""
    if "KIT_FIRST_BYTE_TIMEOUT" in world.environ:
        return world.run().code
    done = world.run(KIT_FIRST_BYTE_TIMEOUT="2.5")
    return world.fails() if done.ok and tried_again(done, "timed out after 2.5 s") else done.code


@mutant("registry.slow-but-steady")
def in_a_hurry_still(world: World) -> int:
    """Allows a layer three seconds, however steadily it comes."""
    done = world.run(KIT_TOTAL_TIMEOUT="3" if "KIT_STALL_TIMEOUT" in world.environ else "0")
    return done.code


@mutant("registry.layers-at-once")
def one_by_one(world: World) -> int:
    """Fetches one layer after the other."""
    return world.run(KIT_CONCURRENCY="1").code
