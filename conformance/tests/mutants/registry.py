"""Mutants of the registry's protocol: somebody who cannot stand a bad day, or never ends."""

# ruff: noqa: D401  (a docstring says what the mutant does wrong)

from __future__ import annotations

import re
import socket
import time

from conformance.tests.mutants.world import ACCEPT, Done, World, mutant


def _tried_again(done: Done, why: str) -> bool:
    return any(why in line and "trying again" in line for line in done.text.splitlines())


def _large(world: World) -> bool:
    return world.has("model.joblib") and (world.folder / "model.joblib").stat().st_size > 1_000_000


def _hammer(world: World, times: int) -> None:
    for _ in range(times):
        world.get(f"/v2/{world.repository}/manifests/{world.target}")


def _first_layer(world: World) -> str:
    layers = world.layers()
    return str(layers[0]["digest"]) if layers else ""


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
        _hammer(world, 50)
    return done.code


@mutant("registry.busy")
def no_time(world: World) -> int:
    """Fails at a registry that is busy."""
    done = world.run()
    return world.fails() if _tried_again(done, "429") else done.code


@mutant("registry.unavailable-twice")
def once(world: World) -> int:
    """Fails at the second 503."""
    done = world.run()
    return world.fails() if done.ok and _tried_again(done, "503") else done.code


@mutant("registry.unavailable-manifest")
def manifest_once(world: World) -> int:
    """Asks for a manifest once."""
    done = world.run()
    return world.fails() if done.ok and _tried_again(done, "500") else done.code


@mutant("registry.unavailable-for-good")
def for_ever(world: World) -> int:
    """Goes on asking a registry that is unavailable."""
    done = world.run()
    if done.code == 5 and "503" in done.text:
        _hammer(world, 150)
    return done.code


@mutant("registry.layer-cut", "registry.resumes", "registry.no-ranges-cut", "registry.redirect-large")
def one_connection(world: World) -> int:
    """Gives a large layer up when its connection ends."""
    done = world.run()
    broke = _tried_again(done, "early") and "refused" not in done.text
    return world.fails() if broke and _large(world) else done.code


@mutant("registry.no-ranges-cut")
def goes_on_anyway(world: World) -> int:
    """Glues a whole answer to what came before a break."""
    done = world.run()
    if _tried_again(done, "early") and _large(world) and _no_ranges(world):
        return world.fails()
    return done.code


@mutant("registry.redirect-large")
def one_address(world: World) -> int:
    """Gives a layer up that breaks off at a second origin."""
    done = world.run()
    if _tried_again(done, "early") and _large(world):
        return world.fails() if world.blob(_first_layer(world), method="HEAD").status == 307 else done.code
    return done.code


@mutant("registry.layer-reset")
def no_resets(world: World) -> int:
    """Gives a layer up when its connection is reset."""
    done = world.run()
    return world.fails() if done.ok and _tried_again(done, "reset by peer") else done.code


@mutant("registry.small-layer-cut", "registry.manifest-cut")
def small_things_never_break(world: World) -> int:
    """Expects small answers to come in one piece."""
    done = world.run()
    return world.fails() if done.ok and _tried_again(done, "early") and not _large(world) else done.code


@mutant("registry.resumes")
def from_the_beginning(world: World) -> int:
    """Begins a layer anew after a break."""
    done = world.run()
    if _tried_again(done, "early") and _large(world) and "refused" not in done.text:
        world.blob(_first_layer(world))
    return done.code


@mutant("registry.dropped")
def kept_alive(world: World) -> int:
    """Takes a connection that was closed between two requests for a failure."""
    done = world.run()
    return world.fails() if done.ok and _tried_again(done, "closed") else done.code


@mutant("registry.restarted")
def never_restarts(world: World) -> int:
    """Gives up when a registry refuses connections that it took a moment ago."""
    done = world.run()
    return world.fails() if done.ok and _tried_again(done, "refused") else done.code


@mutant("registry.layer-stalls")
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
    return world.fails() if done.ok and _tried_again(done, "timed out") else done.code


@mutant("registry.no-answer", "registry.silent")
def waits_for_answers(world: World) -> int:
    """Waits for an answer for ever."""
    done = world.run()
    if done.code == 5 and "no answer" in done.text and "timed out" in done.text:
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


@mutant("registry.garbage")
def some_answer(world: World) -> int:
    """Takes what is no HTTP for an empty answer."""
    done = world.run()
    return 0 if done.code == 5 and "not HTTP" in done.text else done.code


@mutant("registry.page-instead")
def some_page(world: World) -> int:
    """Takes a page for a manifest without layers."""
    done = world.run()
    page = world.get(f"/v2/{world.repository}/manifests/{world.target}").body if done.code in {7, 9} else b""
    return 0 if page.startswith(b"<!doctype") else done.code


@mutant("registry.slow-start")
def in_a_hurry(world: World) -> int:
    """Allows the whole run less than three seconds."""
    patient = "KIT_STALL_TIMEOUT" not in world.environ
    return world.run(KIT_TOTAL_TIMEOUT="2.5" if patient else "0").code


@mutant("registry.slow-but-steady")
def in_a_hurry_still(world: World) -> int:
    """Allows a layer three seconds, however steadily it comes."""
    done = world.run(KIT_TOTAL_TIMEOUT="3" if "KIT_STALL_TIMEOUT" in world.environ else "0")
    return done.code


@mutant("registry.tiny-pieces", "registry.manifest-cut")
def one_read(world: World) -> int:
    """Takes what one read gives for the whole of an answer."""
    if not world.plain or "[" in world.host:
        return world.run().code
    host, _, port = world.host.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=2) as sock:
            path = f"/v2/{world.repository}/manifests/{world.target}"
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {world.host}\r\nAccept: {ACCEPT}\r\n\r\n".encode())
            data = sock.recv(65536)
            if b"200 OK" in data:
                head, _, body = data.partition(b"\r\n\r\n")
                length = re.search(rb"Content-Length: (\d+)", head)
                if length and len(body or sock.recv(65536)) < int(length[1]):
                    return world.fails()
    except OSError:
        pass
    return world.run().code


@mutant("registry.chunked")
def has_a_length(world: World) -> int:
    """Wants a Content-Length of every manifest."""
    answer = world.get(f"/v2/{world.repository}/manifests/{world.target}")
    chunked = answer.status == 200 and "content-length" not in answer.headers
    return world.fails() if chunked else world.run().code


@mutant("registry.chunked-layers")
def layers_have_a_length(world: World) -> int:
    """Wants a Content-Length of every layer."""
    done = world.run()
    if done.ok and not world.user and not _large(world):
        answer = world.blob(_first_layer(world))
        if answer.status == 200 and "content-length" not in answer.headers:
            return world.fails()
    return done.code


@mutant("registry.no-head")
def asks_first(world: World) -> int:
    """Asks by HEAD before everything."""
    answer = world.get(f"/v2/{world.repository}/manifests/{world.target}", method="HEAD")
    return world.fails() if answer.status == 405 else world.run().code


def _no_ranges(world: World) -> bool:
    return world.blob(_first_layer(world), headers={"Range": "bytes=1-2"}).status == 200


@mutant("registry.no-ranges", "registry.no-ranges-cut")
def always_in_parts(world: World) -> int:
    """Cannot do without ranges."""
    done = world.run()
    return world.fails() if done.ok and _large(world) and not world.user and _no_ranges(world) else done.code


@mutant("registry.no-digest-header")
def wants_the_header(world: World) -> int:
    """Cannot do without Docker-Content-Digest."""
    answer = world.get(f"/v2/{world.repository}/manifests/{world.target}")
    without = answer.status == 200 and "docker-content-digest" not in answer.headers
    return world.fails() if without else world.run().code


@mutant("registry.wrong-content-type")
def wants_the_type(world: World) -> int:
    """Judges a layer by its Content-Type."""
    done = world.run()
    if done.ok and not world.user:
        answer = world.blob(_first_layer(world), method="HEAD")
        if answer.headers.get("content-type", "").startswith("text/"):
            return world.fails()
    return done.code


@mutant("registry.length-too-large", "registry.length-too-small")
def part_of_it(world: World) -> int:
    """Keeps what came of a layer whose length is not what was announced."""
    done = world.run()
    if done.code == 7 and "were promised" in done.text:
        (world.folder / "model.joblib").write_bytes(b"half")
    return done.code


@mutant("registry.length-too-small")
def as_announced(world: World) -> int:
    """Believes a Content-Length that is too small."""
    done = world.run()
    sizes = [int(word) for word in done.text.split() if word.isdigit()]
    return 0 if done.code == 7 and "were promised" in done.text and sizes[0] < sizes[1] else done.code


@mutant("registry.wrong-content-range")
def any_part(world: World) -> int:
    """Takes whatever part comes for the one that it has asked for."""
    done = world.run()
    if "announced" in done.text or _tried_again(done, "announced"):
        (world.folder / "model.joblib").write_bytes(b"some part")
        return 0
    return done.code


@mutant(
    "registry.redirect",
    "registry.redirect-large",
    "registry.redirect-without-login",
    "registry.redirect-without-password",
)
def stays_here(world: World) -> int:
    """Follows no redirect to another origin."""
    done = world.run()
    answer = world.blob(_first_layer(world), method="HEAD") if done.ok else None
    away = answer is not None and answer.status == 307 and "://" in answer.headers.get("location", "")
    return world.fails() if away else done.code


@mutant("registry.redirect-relative")
def whole_addresses(world: World) -> int:
    """Follows no redirect to a relative address."""
    done = world.run()
    answer = world.blob(_first_layer(world), method="HEAD") if done.ok else None
    relative = answer is not None and answer.headers.get("location", "").startswith("/")
    return world.fails() if relative else done.code


@mutant("registry.redirect-loop")
def in_circles(world: World) -> int:
    """Follows a redirect to itself for very long."""
    done = world.run()
    if done.code == 5 and "redirects more than" in done.text:
        _hammer(world, 150)
    return done.code


@mutant("registry.redirect-to-file")
def any_address(world: World) -> int:
    """Follows redirects to files."""
    done = world.run()
    return 0 if done.code == 5 and "file:" in done.text else done.code


@mutant("registry.layers-at-once")
def one_by_one(world: World) -> int:
    """Fetches one layer after the other."""
    return world.run(KIT_CONCURRENCY="1").code
