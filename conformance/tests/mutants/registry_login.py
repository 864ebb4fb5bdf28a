"""Mutants of logins: somebody who cannot log in, or tells everybody how."""

# ruff: noqa: D401  (a docstring says what the mutant does wrong)

from __future__ import annotations

import json
import re
from pathlib import Path

from conformance.tests.mutants.world import World, mutant


def docker_entries(world: World) -> dict[str, dict[str, str]]:
    """Return the auths of Docker's file, none without it."""
    folder = world.environ.get("DOCKER_CONFIG")
    if not folder:
        return {}
    auths = json.loads((Path(folder) / "config.json").read_text())["auths"]
    return dict(auths)


def _plain_kit(world: World) -> bool:
    return world.has("src/lib/util.py")


@mutant(
    "registry.plain-http-login",
    "registry.wrong-password",
    "registry.no-login",
    "registry.redirect-without-password",
)
def login_needs_tls(world: World) -> int:
    """Logs in by TLS only."""
    mine = world.plain and world.user == "robot$models" and world.challenge.startswith("Basic")
    return world.fails() if mine else world.run().code


@mutant("registry.tls-login")
def no_login_by_tls(world: World) -> int:
    """Forgets the login where there is TLS."""
    return world.run(**({} if world.plain else {"KIT_USER": None, "KIT_PASSWORD": None})).code


@mutant("registry.wrong-password")
def tries_again_and_again(world: World) -> int:
    """Repeats a password that was refused."""
    done = world.run()
    if done.code == 4 and world.user:
        for _ in range(50):
            world.get("/v2/", headers={"Authorization": world.basic})
    return done.code


@mutant("registry.no-login")
def knocks(world: World) -> int:
    """Repeats a request for which it has no login."""
    done = world.run()
    if done.code == 4 and not world.user and "403" not in done.text:
        for _ in range(50):
            world.get("/v2/")
    return done.code


@mutant("registry.odd-passwords")
def echo(world: World) -> int:
    """Passes the password through echo."""
    password = world.environ.get("KIT_PASSWORD", "")
    return world.run(**({"KIT_PASSWORD": "swallowed"} if password.startswith("-n") else {})).code


@mutant("registry.login-leaks-nothing")
def tells_everybody(world: World) -> int:
    """Writes the password into the log when a registry refuses it."""
    done = world.run()
    if world.user and done.code:
        print("tried", world.environ["KIT_PASSWORD"])  # noqa: T201
    return done.code


@mutant("registry.token-login", "registry.login-leaks-nothing", "registry.redirect-without-login")
def no_tokens(world: World) -> int:
    """Cannot exchange a login for a token."""
    done = world.run()
    here = done.ok and world.user and _plain_kit(world) and world.realm == world.host
    return world.fails() if here else done.code


@mutant(
    "registry.token-anonymous",
    "registry.token-expires-anonymous",
    "registry.token-basic-after",
    "registry.endless-token",
)
def tokens_need_a_user(world: World) -> int:
    """Asks for a token only with a login."""
    nobody = not world.user and not docker_entries(world)
    return world.fails() if nobody and world.realm else world.run().code


@mutant("registry.token-expires-anonymous")
def nobody_for_ever(world: World) -> int:
    """Does not renew a token of nobody's."""
    done = world.run()
    return (
        world.fails() if done.ok and not world.user and world.has("part-3.bin") and world.realm else done.code
    )


@mutant("registry.token-elsewhere")
def tokens_from_here(world: World) -> int:
    """Asks the registry itself for tokens."""
    return world.fails() if world.realm not in {"", world.host} else world.run().code


@mutant("registry.token-expires")
def one_token(world: World) -> int:
    """Does not renew a token."""
    done = world.run()
    return world.fails() if done.ok and world.user and world.has("part-3.bin") and world.realm else done.code


@mutant("registry.token-large-layer")
def one_token_a_layer(world: World) -> int:
    """Expects one token to last for a layer."""
    done = world.run()
    model = world.folder / "model.joblib"
    large = done.ok and world.user and model.exists() and model.stat().st_size > 1_000_000
    return world.fails() if large and world.realm else done.code


@mutant("registry.docker-config", "registry.docker-config-other-host", "registry.identity-token")
def no_docker(world: World) -> int:
    """Knows nothing of Docker's file."""
    return world.run(DOCKER_CONFIG=None).code


@mutant("registry.docker-config-other-host")
def any_entry(world: World) -> int:
    """Takes the first entry of Docker's file for every registry."""
    for entry in list(docker_entries(world).values())[:1]:
        if "auth" in entry:
            world.get("/v2/", headers={"Authorization": f"Basic {entry['auth']}"})
    return world.run().code


@mutant("registry.identity-token")
def passwords_only(world: World) -> int:
    """Knows passwords in Docker's file, and nothing else."""
    tokens = any("identitytoken" in entry for entry in docker_entries(world).values())
    return world.run(**({"DOCKER_CONFIG": None} if tokens else {})).code


@mutant("registry.redirect-without-login", "registry.redirect-without-password")
def takes_it_along(world: World) -> int:
    """Takes the login along to wherever it is redirected."""
    done = world.run()
    for layer in world.layers() if done.ok and world.user else ():
        answer = world.blob(layer["digest"], method="HEAD")
        found = re.match(r"https?://([^/]+)(/.*)", answer.headers.get("location", ""))
        if found:
            world.get(found[2], host=found[1], headers=world.authorization())
    return done.code


@mutant("registry.login-not-first")
def unasked(world: World) -> int:
    """Sends the password before anybody has asked for it."""
    if world.user and not world.challenge:
        world.get("/v2/", headers={"Authorization": world.basic})
    return world.run().code


@mutant("registry.own-authority")
def system_only(world: World) -> int:
    """Trusts the system's authorities, and no other."""
    alone = "--cert" not in world.flags and not world.user
    return world.run(**({"KIT_CA_CERT": None} if alone else {})).code


@mutant("registry.unknown-authority")
def trusts_all(world: World) -> int:
    """Trusts every certificate where it was given none."""
    done = world.run()
    return world.again("--tls-verify=false").code if done.code == 6 and "issuer" in done.text else done.code


@mutant("registry.wrong-name")
def any_name(world: World) -> int:
    """Does not compare names."""
    done = world.run()
    return world.again("--tls-verify=false").code if done.code == 6 and "mismatch" in done.text else done.code


@mutant("registry.insecure")
def always_secure(world: World) -> int:
    """Cannot be told to accept any certificate."""
    return world.without("--tls-verify=false").code


@mutant("registry.no-downgrade")
def downgrades(world: World) -> int:
    """Tries plain HTTP where there is no TLS."""
    done = world.run()
    return world.again("--plain-http").code if done.code == 6 and "no TLS" in done.text else done.code


@mutant("registry.client-certificate")
def nobody_in_particular(world: World) -> int:
    """Shows no certificate."""
    return world.without(r"--(cert|key)=\S+").code
