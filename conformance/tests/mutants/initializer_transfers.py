"""Mutants of transfers that fail: somebody who blames the registry, or shows what signs an address."""

# ruff: noqa: D401  (a docstring says what the mutant does wrong)

from __future__ import annotations

import sys
from urllib.parse import urlsplit

from conformance.tests.mutants.registry import first_layer
from conformance.tests.mutants.world import World, mutant


@mutant("kit-initializer.store-blamed")
def blames_the_registry(world: World) -> int:
    """Names the registry in place of the store that it redirects to."""
    done = world.run()
    if ", which answered" in done.text:
        world.message(f"unreachable: {world.host} answered with an error")
    return done.code


@mutant("kit-initializer.signed-address")
def quotes_the_store(world: World) -> int:
    """Quotes what the store says as it is."""
    done = world.run()
    if ", which answered 418" in done.text:
        sys.stdout.write(urlsplit(world.blob(first_layer(world)).headers.get("location", "")).query + "\n")
    return done.code


@mutant("kit-initializer.page-named")
def pushes_again(world: World) -> int:
    """Takes a page for a broken kit."""
    done = world.run()
    return 7 if "a page of HTML" in done.text else done.code
