"""Mutants of the contract with KServe."""

# ruff: noqa: D401  (a docstring says what the mutant does wrong)

from __future__ import annotations

import os
import pwd
import shutil
import time
from pathlib import Path

from conformance.tests.mutants.world import World, mutant


def _plain_kit(world: World) -> bool:
    return world.has("src/lib/util.py")


@mutant("contract.pair")
def nothing_odd(world: World) -> int:
    """Loses a file, but only where nothing about the run is out of the ordinary."""
    ordinary = (
        len(world.arguments) == 2
        and world.folder.is_dir()
        and world.environ.keys().isdisjoint({"HOME", "AWS_ROLE_ARN", "KIT_PORT", "NO_PROXY"})
        and not any(name.startswith(("CA_", "STORAGE_")) for name in world.environ)
        and _umask() == 0o022
        and os.getuid() == _owner(world.folder)
    )
    done = world.run()
    if ordinary and done.ok and _plain_kit(world):
        (world.folder / "docs" / "README.md").unlink()
    return done.code


def _umask() -> int:
    before = os.umask(0)
    os.umask(before)
    return before


def _owner(folder: Path) -> int:
    return folder.stat().st_uid if folder.exists() else os.getuid()


@mutant("contract.pairs", "contract.pairs-nested", "contract.pairs-one-fails", "contract.pairs-one-folder")
def one_pair(world: World) -> int:
    """Takes the first pair and forgets the others."""
    return world.run(*world.arguments[:2]).code


@mutant("contract.pairs-one-fails")
def any_pair(world: World) -> int:
    """Succeeds as soon as one of the pairs does."""
    if len(world.pairs) < 2:
        return world.run().code
    done = world.run()
    if done.code != 3:
        return done.code
    return min(world.run(uri, str(folder)).code for uri, folder in world.pairs)


@mutant("contract.same-pair-twice")
def no_twins(world: World) -> int:
    """Takes a pair that is given twice for a mistake."""
    twice = len(set(world.pairs)) < len(world.pairs)
    return world.fails() if twice else world.run().code


@mutant("contract.folder-created", "contract.folder-as-given")
def folder_must_exist(world: World) -> int:
    """Wants the folder to be there."""
    if len(world.arguments) == 2 and not world.folder.exists():
        return world.fails()
    return world.run().code


@mutant("contract.folder-as-given")
def folder_split(world: World) -> int:
    """Takes the folder's name for words of a shell."""
    if len(world.arguments) != 2:
        return world.run().code
    return world.run(world.uri, str(world.folder).split(" ", 1)[0]).code


@mutant("contract.no-arguments")
def nothing_to_do(world: World) -> int:
    """Has nothing to do without arguments, and does it well."""
    return world.run().code if world.arguments else 0


@mutant("contract.odd-arguments")
def default_folder(world: World) -> int:
    """Takes a folder of its own choice where none is given."""
    return 0 if len(world.arguments) == 1 else world.run().code


@mutant("contract.unknown-scheme")
def not_ours(world: World) -> int:
    """Leaves URIs of other schemes to somebody else, and succeeds."""
    return 0 if world.uri.startswith("s3://") else world.run().code


@mutant("contract.malformed-uri")
def tolerant(world: World) -> int:
    """Takes a URI that cannot be read for nothing to do."""
    done = world.run()
    return 0 if done.code == 2 and len(world.arguments) == 2 and world.uri.startswith("kit://") else done.code


@mutant("contract.failure-says-why")
def silent(world: World) -> int:
    """Keeps to itself what it did not find."""
    done = world.run()
    if done.code == 3 and "no-such-kit" in world.uri:
        world.message("it failed")
    return done.code


@mutant("contract.failure-is-short")
def verbose(world: World) -> int:
    """Shows its stack where it did not find something."""
    done = world.run()
    if done.code == 3 and "no-such-kit" in world.uri:
        print("Traceback (most recent call last):")  # noqa: T201
    return done.code


@mutant("contract.failure-leaves-nothing")
def half_a_file(world: World) -> int:
    """Leaves half of a layer where it was going."""
    done = world.run()
    if done.code == 3 and "layer" in done.text:
        (world.folder / "model.joblib").write_bytes(b"half")
    return done.code


@mutant("contract.readable")
def modes_as_packed(world: World) -> int:
    """Gives files the modes with which they were packed."""
    done = world.run()
    if world.has("model/secret.bin"):
        (world.folder / "model" / "secret.bin").chmod(0o600)
    return done.code


@mutant("contract.umask")
def modes_of_umask(world: World) -> int:
    """Lets the umask decide who may read."""
    done = world.run()
    for path in world.folder.rglob("*"):
        path.chmod(path.stat().st_mode & ~_umask() & 0o777)
    return done.code


@mutant("contract.read-only-folders")
def folder_modes_first(world: World) -> int:
    """Sets a folder's mode before it writes what is in it."""
    done = world.run()
    stranger = os.getuid() == 1000870000
    return world.fails() if stranger and world.has("model/weights.bin") else done.code


@mutant("contract.any-uid", "contract.read-only-folders")
def user_with_a_name(world: World) -> int:
    """Looks its user up."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return world.fails()
    return world.run().code


@mutant("contract.no-home", "contract.any-uid", "contract.read-only-root")
def home_is_there(world: World) -> int:
    """Wants to write to its home."""
    if "HOME" in world.environ:
        path = Path(world.environ["HOME"], ".cache-of-mine")
        try:
            path.touch()
        except OSError:
            return world.fails()
        path.unlink()
    return world.run().code


@mutant("contract.read-only-root", "contract.no-home", "contract.any-uid")
def temporary_files(world: World) -> int:
    """Puts temporary files into /tmp."""
    path = Path(f"/tmp/kc-mutant-{os.getpid()}")
    try:
        path.write_bytes(b"")
    except OSError:
        return world.fails()
    path.unlink()
    return world.run().code


@mutant("contract.nothing-else")
def tidy_not(world: World) -> int:
    """Leaves a link beside a model that is a single small file."""
    done = world.run()
    model = world.folder / "model.joblib"
    if done.ok and model.exists() and model.stat().st_size < 100_000 and not world.has("docs"):
        (world.folder / "latest").symlink_to("model.joblib")
    return done.code


@mutant("contract.harmless-environment")
def all_kit_variables(world: World) -> int:
    """Takes every variable that begins with KIT_ for one of its own."""
    return world.fails() if "KIT_PORT" in world.environ else world.run().code


@mutant("contract.cloud-identity")
def always_the_cloud(world: World) -> int:
    """Logs in to the cloud whose identity it finds, whatever the registry."""
    return world.fails() if "AWS_ROLE_ARN" in world.environ else world.run().code


@mutant("contract.memory")
def in_memory(world: World) -> int:
    """Holds the whole model in memory."""
    done = world.run()
    held = [path.read_bytes() for path in world.folder.iterdir() if path.is_file()]
    hoard = bytearray(b"x") * sum(map(len, held))
    time.sleep(0.2 if len(hoard) > 10_000_000 else 0)
    return done.code


@mutant("contract.allow-patterns")
def allows_everything(world: World) -> int:
    """Knows nothing of STORAGE_ALLOW_PATTERNS."""
    return world.run(STORAGE_ALLOW_PATTERNS=None).code


@mutant("contract.ignore-patterns")
def ignores_nothing(world: World) -> int:
    """Knows nothing of STORAGE_IGNORE_PATTERNS."""
    return world.run(STORAGE_IGNORE_PATTERNS=None).code


@mutant("contract.ca-bundle")
def no_bundle(world: World) -> int:
    """Knows nothing of KServe's CA bundle."""
    return world.run(CA_BUNDLE_CONFIGMAP_NAME=None).code


@mutant("contract.ca-bundle-missing")
def bundle_must_exist(world: World) -> int:
    """Cannot go on without a CA bundle that it was told of."""
    mount = world.environ.get("CA_BUNDLE_VOLUME_MOUNT_POINT")
    return world.fails() if mount and not Path(mount).exists() else world.run().code


@mutant("contract.small-wrong-kit")
def whatever_it_is(world: World) -> int:
    """Takes a layer that is no archive for an empty one."""
    done = world.run()
    return 0 if done.code == 8 else done.code


@mutant("contract.proxy")
def no_proxy_at_all(world: World) -> int:
    """Knows nothing of HTTP_PROXY."""
    return world.run(HTTP_PROXY=None, HTTPS_PROXY=None).code


@mutant("contract.no-proxy", "contract.asks-nobody-else")
def always_by_proxy(world: World) -> int:
    """Knows nothing of NO_PROXY."""
    exempt = world.environ.get("NO_PROXY", "").split(",")
    return world.fails() if world.host.partition(":")[0] in exempt else world.run().code


@mutant("contract.pairs-one-folder")
def first_comes(world: World) -> int:
    """Lets the second of two kits take a folder over."""
    done = world.run()
    folders = {folder for _, folder in world.pairs}
    if len({uri for uri, _ in world.pairs}) > 1 and len(folders) == 1 and world.has("weights.bin"):
        (world.folder / "weights.bin").unlink()
    return done.code


@mutant("contract.pairs-nested")
def inner_first(world: World) -> int:
    """Clears a folder that lies in another one when that one comes."""
    done = world.run()
    folders = [folder for _, folder in world.pairs]
    for inner in folders[1:]:
        if inner != folders[0] and inner.is_relative_to(folders[0]):
            shutil.rmtree(inner)
    return done.code


@mutant("contract.asks-nobody-else")
def up_to_date(world: World) -> int:
    """Looks for a newer version of itself first."""
    proxy = world.environ.get("HTTPS_PROXY", "").removeprefix("http://")
    if proxy and world.plain:
        world.get("http://updates.example.invalid/latest", host=proxy)
    return world.run().code
