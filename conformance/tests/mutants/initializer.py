"""Mutants of kit-initializer's own promises."""

# ruff: noqa: D401  (a docstring says what the mutant does wrong)

from __future__ import annotations

import sys
import time

from conformance.tests.mutants.world import RECORD, Done, World, mutant


def _code(case: str, *kin: str, code: int, what: str, words: str = "", other: int = 1) -> None:
    """Make somebody who uses another exit code."""

    def broken(world: World) -> int:
        done = world.run()
        wrong = done.code == code and words in done.text and not world.signed
        return other if wrong else done.code

    broken.__doc__ = what
    mutant(case, *kin)(broken)


_code(
    "kit-initializer.usage",
    "kit-initializer.half-login",
    code=2,
    what="Has no exit code for wrong arguments.",
)
_code(
    "kit-initializer.not-found",
    "kit-initializer.store-blamed",
    code=3,
    what="Has no exit code for what is not there.",
)
_code(
    "kit-initializer.denied",
    "kit-initializer.login-of-one-registry",
    "kit-initializer.realm-without-tls",
    "kit-initializer.store-blamed",
    code=4,
    what="Has no exit code for what is denied.",
)
_code(
    "kit-initializer.unreachable",
    "kit-initializer.page-named",
    "kit-initializer.store-blamed",
    code=5,
    what="Has no exit code for networks.",
)
_code("kit-initializer.tls", code=6, what="Has no exit code for certificates.", other=5)
_code(
    "kit-initializer.integrity",
    "kit-initializer.integrity-before-content",
    code=7,
    what="Calls damage a malformed kit.",
    other=8,
)
_code(
    "kit-initializer.unsafe",
    "kit-initializer.unsafe-kept-apart",
    "kit-initializer.limits",
    code=8,
    what="Calls a malformed kit damage.",
    other=7,
)
_code("kit-initializer.not-a-modelkit", code=9, what="Has no exit code for what is no kit.")
_code(
    "kit-initializer.destination",
    "kit-initializer.collision",
    "kit-initializer.pairs-verified-first",
    code=10,
    what="Has no exit code for destinations.",
)
_code("kit-initializer.empty", code=11, what="Has no exit code for nothing.", other=3)
_code("kit-initializer.terminated", code=143, what="Has no exit code for signals.")


@mutant("kit-initializer.half-login")
def half_is_none(world: World) -> int:
    """Takes half of a login for none."""
    halves = [name for name in ("KIT_USER", "KIT_PASSWORD") if name in world.environ]
    return world.run(**(dict.fromkeys(halves) if len(halves) == 1 else {})).code


@mutant("kit-initializer.integrity-before-content")
def content_first(world: World) -> int:
    """Judges a large layer's content before its digest."""
    done = world.run()
    large = done.code == 7 and sum(layer["size"] for layer in world.layers()) > 1_000_000
    return 8 if large else done.code


@mutant("kit-initializer.collision")
def helps_itself(world: World) -> int:
    """Replaces what is in the way."""
    done = world.run()
    return world.again("--overwrite").code if done.code == 10 and len(world.pairs) == 1 else done.code


@mutant("kit-initializer.collision-equal")
def no_adoption(world: World) -> int:
    """Refuses files that are there, equal or not."""
    there = world.has("weights.bin") and not world.has(RECORD)
    return world.fails(keep=True) if there else world.run().code


@mutant("kit-initializer.overwrite")
def never_overwrites(world: World) -> int:
    """Does not know --overwrite."""
    return world.without("--overwrite").code


@mutant("kit-initializer.keep")
def never_keeps(world: World) -> int:
    """Does not know --ignore-existing."""
    return world.without("--ignore-existing").code


@mutant("kit-initializer.success-message", "kit-initializer.message-is-short")
def says_ok(world: World) -> int:
    """Says that all is well, and not what it has brought."""
    done = world.run()
    if done.ok and not world.signed:
        world.message("ok")
    return done.code


@mutant("kit-initializer.message-is-short")
def talks(world: World) -> int:
    """Says everything about several kits."""
    done = world.run()
    if done.ok and len(world.pairs) > 2:
        world.message(
            '{"kits": [' + ", ".join(['"' + "long " * 60 + '"'] * len(world.pairs)) + '], "more": 0}'
        )
    return done.code


@mutant("kit-initializer.in-place-asks-nothing")
def asks_anyway(world: World) -> int:
    """Asks the registry whether a digest is still the same."""
    if "@" in world.uri and world.has(RECORD) and not world.signed and not world.get("/v2/").status:
        return world.fails(keep=True)
    return world.run().code


@mutant("kit-initializer.record")
def forgetful(world: World) -> int:
    """Writes a record that names nothing, for a kit with a tag."""
    done = world.run()
    if done.ok and "@" not in world.uri and world.has(RECORD) and not world.signed:
        (world.folder / RECORD).write_text("{}\n")
    return done.code


@mutant("kit-initializer.pairs-verified-first")
def one_after_the_other(world: World) -> int:
    """Publishes the first pair before it looks at the second."""
    done = world.run()
    if done.code == 10 and len(world.pairs) > 1:
        world.run(*world.arguments[:2])
    return done.code


@mutant("kit-initializer.flags-quoted")
def first_line(world: World) -> int:
    """Reads the first line of the flags alone."""
    lines = world.flags.splitlines()
    return world.run(KIT_UNPACK_FLAGS=" ".join([line for line in lines if "'" not in line])).code


@mutant("kit-initializer.docker-config-json")
def no_contents(world: World) -> int:
    """Reads Docker's file, and not what is in a variable."""
    return world.run(KIT_DOCKER_CONFIG_JSON=None).code


@mutant("kit-initializer.storage-config")
def no_storage_config(world: World) -> int:
    """Knows nothing of STORAGE_CONFIG."""
    return world.run(STORAGE_CONFIG=None, STORAGE_OVERRIDE_CONFIG=None).code


@mutant("kit-initializer.login-of-one-registry")
def for_everybody(world: World) -> int:
    """Gives the login to every registry."""
    return world.run(KIT_REGISTRY=None).code


@mutant("kit-initializer.parent-without-login", "kit-initializer.realm-without-tls")
def for_the_family(world: World) -> int:
    """Gives the login to the parent's registry."""
    mine = world.environ.get("KIT_REGISTRY") == world.host
    path = str((world.config().get("model") or {}).get("path", "")) if mine else ""
    if ":" in path and world.user:
        world.get("/v2/", host=path.partition("/")[0], headers={"Authorization": world.basic})
    return world.run().code


@mutant("kit-initializer.json-log")
def one_plain_line(world: World) -> int:
    """Writes one line of the log as it pleases."""
    done: Done = world.run()
    if world.environ.get("KIT_LOG_FORMAT") == "json":
        sys.stdout.write("done\n")
    return done.code


@mutant("kit-initializer.memory")
def in_memory(world: World) -> int:
    """Holds the whole model in memory."""
    done = world.run()
    held = sum(path.stat().st_size for path in world.folder.rglob("*") if path.is_file()) if done.ok else 0
    hoard = bytearray(b"x") * held
    time.sleep(0.2 if len(hoard) > 10_000_000 else 0)
    return done.code


@mutant("kit-initializer.tag-and-digest")
def tag_will_do(world: World) -> int:
    """Takes the tag where it does not find the digest."""
    done = world.run()
    name, _, digest = world.uri.partition("@")
    return world.run(name, str(world.folder)).code if done.code and digest else done.code


@mutant("kit-initializer.unsafe-kept-apart")
def untidy(world: World) -> int:
    """Leaves its staging behind."""
    done = world.run()
    if done.code == 8:
        (world.folder / ".kit-staging-1").mkdir()
    return done.code


@mutant("kit-initializer.limits")
def counts_each_layer(world: World) -> int:
    """Counts what each layer unpacks to, and not what all of them do together."""
    most = world.environ.get("KIT_MAX_BYTES")
    return world.run(**({"KIT_MAX_BYTES": str(int(most) * len(world.layers()))} if most else {})).code
