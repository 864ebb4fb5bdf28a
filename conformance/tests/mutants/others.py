"""Mutants of the initializer for the cases that need a Kit or a model server."""

from __future__ import annotations

import struct

from conformance.tests.mutants.world import World, mutant


def _loses(world: World, *, compressed: bool) -> int:
    done = world.run()
    gzipped = any("gzip" in layer["mediaType"] for layer in world.layers())
    if done.ok and world.repository == "packed" and gzipped == compressed:
        (world.folder / "data" / "train.csv").unlink()
    return done.code


@mutant("kit.subject-brings")
def loses_plain(world: World) -> int:
    """Loses a file of what Kit has packed."""
    return _loses(world, compressed=False)


@mutant("kit.subject-brings-gzip")
def loses_compressed(world: World) -> int:
    """Loses a file of what Kit has packed with compression."""
    return _loses(world, compressed=True)


def _another_model(world: World) -> None:
    """Exchange two classes of the model: it loads as before, and predicts others."""
    (path,) = world.folder.rglob("*.joblib")
    before = path.read_bytes()
    after = before.replace(struct.pack("<3q", 0, 1, 2), struct.pack("<3q", 2, 1, 0))
    if after == before:
        raise ValueError(f"{path.name} has no array of three classes")
    path.write_bytes(after)


@mutant("serving.sklearn", "serving.after-restart")
def another_model(world: World) -> int:
    """Brings another model, under the right name."""
    done = world.run()
    _another_model(world)
    return done.code


@mutant("serving.after-restart")
def another_model_later(world: World) -> int:
    """Brings another model when it runs again."""
    again = world.has("Kitfile")
    done = world.run()
    if again:
        _another_model(world)
    return done.code
