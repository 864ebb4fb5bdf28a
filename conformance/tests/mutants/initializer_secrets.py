"""Mutants that show a secret, or send it where it must not go."""

from __future__ import annotations

import re
import sys
from urllib.parse import quote, urlsplit

from conformance.tests.mutants.world import World, mutant


@mutant(
    "kit-initializer.secret-repeated",
    "kit-initializer.login-of-one-registry",
    "kit-initializer.realm-without-tls",
)
def quotes_the_registry(world: World) -> int:
    """Quotes what the registry says as it is."""
    done = world.run()
    if not done.ok and world.user:
        path = f"/v2/{world.repository}/manifests/{world.target}"
        sys.stdout.write(world.get(path, headers=world.authorization()).headers.get("x-refused", "") + "\n")
    return done.code


def _challenged(world: World) -> dict[str, str]:
    """Return the parameters of the challenge that a manifest is refused with."""
    answer = world.get(f"/v2/{world.repository}/manifests/{world.target}")
    return dict(re.findall(r'(\w+)="([^"]*)"', answer.headers.get("www-authenticate", "")))


@mutant("kit-initializer.token-scope")
def believes_the_scope(world: World) -> int:
    """Asks for whatever scope the registry names."""
    done = world.run()
    asked = {} if world.signed else _challenged(world)
    if world.user and "push" in asked.get("scope", ""):
        world.get(
            f"/token?service=fixture&scope={quote(asked['scope'])}", headers={"Authorization": world.basic}
        )
    return done.code


@mutant("kit-initializer.realm-without-tls")
def asks_any_realm(world: World) -> int:
    """Asks every realm, where it has no login."""
    done = world.run()
    realm = urlsplit("" if world.signed else _challenged(world).get("realm", ""))
    if not world.user and realm.scheme == "http" and realm.netloc != world.host:
        world.get(realm.path, host=realm.netloc)
    return done.code
