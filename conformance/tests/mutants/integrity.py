"""Mutants of integrity: somebody who believes what he is sent."""

# ruff: noqa: D401  (a docstring says what the mutant does wrong)

from __future__ import annotations

from conformance.tests.mutants.world import Done, World, mutant


def _digest(done: Done) -> bool:
    return done.code == 7 and "does not match its digest" in done.text and "layer " in done.text


def _size(done: Done) -> bool:
    return done.code == 7 and "were promised" in done.text


def _small(world: World) -> bool:
    return all(layer["size"] < 1_000_000 for layer in world.layers())


def _redirected(world: World) -> bool:
    return any(world.blob(layer["digest"], method="HEAD").status == 307 for layer in world.layers())


def _compressed(world: World) -> bool:
    return any("+" in layer["mediaType"].rpartition(".")[2] for layer in world.layers())


@mutant("integrity.layer-digest", "integrity.layer-replaced", "integrity.layer-tail")
def unchecked(world: World) -> int:
    """Checks no digest of a plain layer that the registry sends itself."""
    done = world.run()
    simple = _digest(done) and len(world.layers()) == 1 and len(world.pairs) == 1
    if simple and not (_compressed(world) or _redirected(world) or world.user) and _small(world):
        return world.careless()
    return done.code


@mutant("integrity.large-layer-digest", "integrity.resumed")
def too_large_to_check(world: World) -> int:
    """Checks no digest of large layers."""
    done = world.run()
    return world.careless() if done.code == 7 and not _small(world) else done.code


@mutant("integrity.resumed")
def glued(world: World) -> int:
    """Puts whatever comes after a break behind what came before."""
    done = world.run()
    broke = done.code == 7 and ("ended" in done.text or "announced" in done.text)
    return world.careless() if broke and not _small(world) else done.code


@mutant("integrity.layer-truncated", "integrity.layer-longer", "integrity.size")
def any_size(world: World) -> int:
    """Takes as much as comes."""
    done = world.run()
    return world.careless() if _size(done) else done.code


@mutant("integrity.gzip-layer-digest", "integrity.zstd-layer-digest")
def gzip_checks_itself(world: World) -> int:
    """Leaves it to the compression to find damage."""
    done = world.run()
    return world.careless() if _digest(done) and _compressed(world) else done.code


@mutant("integrity.layer-tail")
def until_the_end_of_tar(world: World) -> int:
    """Reads no further than to the archive's own end."""
    done = world.run()
    padded = any(layer["size"] > 20_000 and layer["size"] % 10_000 for layer in world.layers())
    if _digest(done) and padded and len(world.layers()) == 1 and _small(world):
        return world.careless()
    return done.code


@mutant("integrity.later-layer-digest")
def first_layers_first(world: World) -> int:
    """Publishes each layer when it has come."""
    done = world.run()
    if _digest(done) and len(world.layers()) > 1 and len(world.pairs) == 1:
        world.careless()
    return done.code


@mutant("integrity.other-pair")
def pair_by_pair(world: World) -> int:
    """Publishes the first of two kits before it has seen the second."""
    done = world.run()
    if _digest(done) and len(world.pairs) > 1:
        world.run(*world.arguments[:2])
    return done.code


@mutant("integrity.config-digest")
def any_config(world: World) -> int:
    """Checks no digest of the config."""
    done = world.run()
    return world.careless() if done.code == 7 and "config" in done.text else done.code


@mutant("integrity.manifest-digest")
def any_manifest(world: World) -> int:
    """Takes the manifest that comes for the one that was asked for."""
    done = world.run()
    return world.careless() if done.code == 7 and "@" in world.uri else done.code


@mutant("integrity.manifest-cut")
def half_a_manifest(world: World) -> int:
    """Makes do with half of a manifest."""
    done = world.run()
    return 0 if done.code in {7, 9} and not world.manifest() else done.code


@mutant("integrity.digest-header")
def no_header(world: World) -> int:
    """Does not look at the registry's own word for what a tag is."""
    done = world.run()
    by_header = done.code == 7 and "Docker-Content-Digest" in done.text
    return world.careless() if by_header and world.manifest() else done.code


@mutant("integrity.second-origin")
def trusted_store(world: World) -> int:
    """Checks nothing that an object store sends."""
    done = world.run()
    return world.careless() if _digest(done) and _redirected(world) else done.code


@mutant("integrity.with-token")
def trusted_registry(world: World) -> int:
    """Checks nothing where it has logged in."""
    done = world.run()
    return world.careless() if _digest(done) and world.user else done.code


@mutant("integrity.compressed-garbage")
def as_far_as_it_goes(world: World) -> int:
    """Unpacks as far as the compression goes."""
    done = world.run()
    return world.careless() if done.code == 8 and _compressed(world) else done.code
