"""Mutants of odd registries and of pull secrets."""

# ruff: noqa: D401  (a docstring says what the mutant does wrong)

from __future__ import annotations

import re

from conformance.tests.mutants.registry_login import docker_entries
from conformance.tests.mutants.world import Answer, World, mutant


def _as_a_stranger(world: World) -> Answer:
    return world.get(f"/v2/{world.repository}/manifests/{world.target}")


def _hidden(world: World) -> bool:
    answer = _as_a_stranger(world)
    return answer.status in {403, 404} and "www-authenticate" not in answer.headers


@mutant("registry.hidden-from-strangers")
def waits_to_be_asked(world: World) -> int:
    """Logs in only where the kit itself is refused with a challenge."""
    done = world.run()
    return world.fails() if done.ok and world.user and _hidden(world) and world.challenge else done.code


@mutant("registry.hidden-unasked")
def asks_only_once(world: World) -> int:
    """Takes an open /v2/ for a registry that wants no login."""
    done = world.run()
    return world.fails() if done.ok and world.user and _hidden(world) and not world.challenge else done.code


@mutant("registry.challenge-spelled")
def reads_one_hand(world: World) -> int:
    """Reads a challenge only as most registries write it."""
    usual = r'(Basic|Bearer) realm="[^"\\]*"(,[a-z_]+="[^"\\]*")*|'
    return world.fails() if not re.fullmatch(usual, world.challenge) else world.run().code


@mutant("registry.token-basic-after")
def believes_in_basic(world: World) -> int:
    """Asks for no other token where the registry asks for Basic after the first."""
    done = world.run()
    if done.ok and world.realm:
        after = world.get("/v2/", headers={"Authorization": "Bearer of-yesterday"})
        if after.headers.get("www-authenticate", "").startswith("Basic"):
            return world.fails()
    return done.code


def _moved(world: World) -> str:
    """Return where the token service redirects to, "" for nowhere."""
    path = f"/token?service=fixture&scope=repository:{world.repository}:pull"
    return world.get(path, host=world.realm).headers.get("location", "") if world.realm else ""


@mutant("registry.token-moved")
def stays_where_it_was(world: World) -> int:
    """Does not follow a token service."""
    done = world.run()
    return world.fails() if done.ok and world.user and _moved(world) else done.code


@mutant("registry.token-moved-without-login")
def follows_with_everything(world: World) -> int:
    """Takes the login along to wherever a token service redirects."""
    done = world.run()
    found = re.match(r"https://([^/]+)(/.*)", _moved(world)) if world.user and not done.ok else None
    if found:
        world.get(found[2], host=found[1], headers={"Authorization": world.basic})
    return done.code


@mutant("registry.pull-secret-paths")
def hosts_only(world: World) -> int:
    """Knows no paths in Docker's file."""
    return world.fails() if any("/" in key for key in docker_entries(world)) else world.run().code


@mutant("registry.pull-secret-hosts")
def no_patterns(world: World) -> int:
    """Knows no patterns in Docker's file."""
    return world.fails() if any("*" in key for key in docker_entries(world)) else world.run().code


@mutant("registry.pull-secret-auth")
def strict_about_padding(world: World) -> int:
    """Takes base64 only as one line, and padded."""
    auths = (entry.get("auth", "") for entry in docker_entries(world).values())
    return world.fails() if any(len(auth) % 4 or "\n" in auth for auth in auths) else world.run().code


@mutant("kit-initializer.parent-docker-config")
def parents_are_strangers(world: World) -> int:
    """Asks for every parent in another registry without a login."""
    entries = docker_entries(world)
    if len(entries) > 1 and world.host in entries:
        done = world.run()
        return world.fails() if done.ok and not world.user else done.code
    return world.run().code
