"""Mutants of the registry's answers: somebody who knows one way to answer, and no other."""

# ruff: noqa: D401  (a docstring says what the mutant does wrong)

from __future__ import annotations

import re
import socket

from conformance.tests.mutants.registry import first_layer, hammer, large, no_ranges, tried_again
from conformance.tests.mutants.world import ACCEPT, World, mutant


@mutant("registry.redirect-large")
def one_address(world: World) -> int:
    """Gives a layer up that breaks off at a second origin."""
    done = world.run()
    if tried_again(done, "early") and large(world):
        return world.fails() if world.blob(first_layer(world), method="HEAD").status == 307 else done.code
    return done.code


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


def _wants(world: World, header: str) -> int:
    """Fail where the manifest comes without this header."""
    answer = world.get(f"/v2/{world.repository}/manifests/{world.target}")
    without = answer.status == 200 and header not in answer.headers
    return world.fails() if without else world.run().code


@mutant("registry.chunked")
def has_a_length(world: World) -> int:
    """Wants a Content-Length of every manifest."""
    return _wants(world, "content-length")


@mutant("registry.chunked-layers")
def layers_have_a_length(world: World) -> int:
    """Wants a Content-Length of every layer."""
    done = world.run()
    if done.ok and not world.user and not large(world):
        answer = world.blob(first_layer(world))
        if answer.status == 200 and "content-length" not in answer.headers:
            return world.fails()
    return done.code


@mutant("registry.no-head")
def asks_first(world: World) -> int:
    """Asks by HEAD before everything."""
    answer = world.get(f"/v2/{world.repository}/manifests/{world.target}", method="HEAD")
    return world.fails() if answer.status == 405 else world.run().code


@mutant("registry.no-ranges", "registry.no-ranges-cut")
def always_in_parts(world: World) -> int:
    """Cannot do without ranges."""
    done = world.run()
    return world.fails() if done.ok and large(world) and not world.user and no_ranges(world) else done.code


@mutant("registry.no-digest-header")
def wants_the_header(world: World) -> int:
    """Cannot do without Docker-Content-Digest."""
    return _wants(world, "docker-content-digest")


@mutant("registry.wrong-content-type")
def wants_the_type(world: World) -> int:
    """Judges a layer by its Content-Type."""
    done = world.run()
    if done.ok and not world.user:
        answer = world.blob(first_layer(world), method="HEAD")
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


@mutant("registry.wrong-content-range", "registry.odd-ranges")
def any_part(world: World) -> int:
    """Takes whatever part comes for the one that it has asked for."""
    done = world.run()
    if "sent another part" in done.text:
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
    answer = world.blob(first_layer(world), method="HEAD") if done.ok else None
    away = answer is not None and answer.status == 307 and "://" in answer.headers.get("location", "")
    return world.fails() if away else done.code


@mutant("registry.redirect-relative")
def whole_addresses(world: World) -> int:
    """Follows no redirect to a relative address."""
    done = world.run()
    answer = world.blob(first_layer(world), method="HEAD") if done.ok else None
    relative = answer is not None and answer.headers.get("location", "").startswith("/")
    return world.fails() if relative else done.code


@mutant("registry.redirect-loop")
def in_circles(world: World) -> int:
    """Follows a redirect to itself for very long."""
    done = world.run()
    if done.code == 5 and "redirects more than" in done.text:
        hammer(world, 150)
    return done.code


@mutant("registry.redirect-to-file")
def any_address(world: World) -> int:
    """Follows redirects to files."""
    done = world.run()
    return 0 if done.code == 5 and "file:" in done.text else done.code
