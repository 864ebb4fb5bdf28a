"""Mutants of the format: somebody who does not know all of it, or takes everything."""

# ruff: noqa: D401  (a docstring says what the mutant does wrong)

from __future__ import annotations

import resource
import shutil
import time

import yaml

from conformance.tests.mutants.world import World, mutant


def _shapes(world: World) -> bool:
    """Say whether the kit is the one that comes in every format."""
    return world.has("data/a b.csv")


def _format(world: World) -> tuple[str, str]:
    """Return the version that packed the kit and the end of its first layer's media type."""
    layers = world.layers()
    return world.packed_by, str(layers[0]["mediaType"]).rpartition(".")[2] if layers else ""


def _loses(case: str, *kin: str, what: str, version: str, suffix: str) -> None:
    def broken(world: World) -> int:
        done = world.run()
        if done.ok and _shapes(world) and _format(world) == (version, suffix):
            (world.folder / "src" / "predict.py").unlink()
        return done.code

    broken.__doc__ = what
    mutant(case, *kin)(broken)


_loses("modelkit.layout-0.4", what="Does not know the layout of 2024.", version="0.4.0", suffix="tar")
_loses(
    "modelkit.layout-1.7", "modelkit.kitfile", what="Loses a layer of Kit 1.7.", version="1.7.0", suffix="tar"
)
_loses("modelkit.layout-1.10", what="Does not know artifact types.", version="1.10.0", suffix="tar")
_loses("modelkit.gzip", what="Cannot decompress gzip.", version="1.7.0", suffix="tar+gzip")
_loses("modelkit.gzip-old", what="Does not know the first layout.", version="0.2.0", suffix="tar+gzip")


def _fails_with(case: str, *kin: str, what: str, path: str) -> None:
    def broken(world: World) -> int:
        done = world.run()
        return world.fails() if done.ok and world.has(path) else done.code

    broken.__doc__ = what
    mutant(case, *kin)(broken)


_fails_with("modelkit.parts", what="Does not know parts.", path="part-4.bin")
_fails_with("modelkit.everything-at-root", what="Wants a model to have a path.", path="sub/x.txt")
_fails_with("modelkit.no-folder-entries", what="Wants an entry for each folder.", path="p/q/m.bin")
_fails_with("modelkit.same-layer-twice", what="Takes equal layers for one.", path="b/same.bin")


def _claims(case: str, *kin: str, what: str, code: int, words: str) -> None:
    def broken(world: World) -> int:
        done = world.run()
        return 0 if done.code == code and words in done.text else done.code

    broken.__doc__ = what
    mutant(case, *kin)(broken)


_claims("modelkit.not-a-modelkit", what="Takes an image for a kit.", code=9, words="container image")
_claims("modelkit.config-not-json", what="Does without a config.", code=9, words="not JSON")
_claims("modelkit.config-of-other-layers", what="Does not compare digests.", code=9, words="no layer has")
_claims(
    "modelkit.filter-nothing", what="Is content with nothing.", code=11, words="nothing in the kit matches"
)
_claims("modelkit.parent-missing", what="Does without a parent.", code=3, words="no-such-kit")
_claims("modelkit.index-ambiguous", what="Takes the first of an index.", code=2, words="in the index match")


@mutant("modelkit.zstd")
def no_zstd(world: World) -> int:
    """Cannot decompress zstd."""
    done = world.run()
    return world.fails() if done.ok and _shapes(world) and "zstd" in _format(world)[1] else done.code


@mutant("modelkit.raw")
def no_raw(world: World) -> int:
    """Knows archives, and nothing else."""
    done = world.run()
    return world.fails() if done.ok and world.has("run.sh") and _format(world)[1] == "raw" else done.code


@mutant("modelkit.index")
def no_labels(world: World) -> int:
    """Knows no labels."""
    large = "size=large" in world.flags
    return world.without(r"--label=\S+").code if large else world.run().code


@mutant("modelkit.modelpack")
def kits_only(world: World) -> int:
    """Knows no ModelPack that Kit has made."""
    kitfile = "ml.kitops.modelkit.kitfile" in (world.manifest().get("annotations") or {})
    return world.fails() if kitfile else world.run().code


@mutant("modelkit.modelpack-foreign")
def wants_a_kitfile(world: World) -> int:
    """Knows no ModelPack without a Kitfile."""
    manifest = world.manifest()
    pack = "cncf" in str(manifest.get("artifactType"))
    return world.fails() if pack and not manifest.get("annotations") else world.run().code


@mutant("modelkit.names")
def plain_names(world: World) -> int:
    """Takes two dots for a way out."""
    done = world.run()
    (world.folder / "model" / "m..v1.bin").unlink(missing_ok=True)
    return done.code


@mutant("modelkit.empty-file", "modelkit.executable", "modelkit.odd-archives")
def no_empty_files(world: World) -> int:
    """Leaves out files without content."""
    done = world.run()
    for path in world.folder.rglob("*"):
        if path.is_file() and not path.stat().st_size:
            path.unlink()
    return done.code


@mutant("modelkit.executable", "modelkit.raw", "modelkit.no-setuid")
def no_executables(world: World) -> int:
    """Gives every file the same mode."""
    done = world.run()
    for path in world.folder.rglob("*"):
        if path.is_file():
            path.chmod(0o644)
    return done.code


@mutant("modelkit.no-setuid")
def every_bit(world: World) -> int:
    """Restores every bit of a mode."""
    done = world.run()
    if world.has("model/tool"):
        (world.folder / "model" / "tool").chmod(0o6755)
    return done.code


@mutant("modelkit.many-files")
def all_open(world: World) -> int:
    """Keeps every file open until the layer ends."""
    done = world.run()
    files = sum(path.is_file() for path in world.folder.rglob("*"))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return world.fails() if files > limit else done.code


@mutant("modelkit.kitfile")
def no_parameters(world: World) -> int:
    """Leaves the parameters out of the Kitfile."""
    done = world.run()
    path = world.folder / "Kitfile"
    if done.ok and path.exists():
        kitfile = yaml.safe_load(path.read_text())
        if (kitfile.get("model") or {}).pop("parameters", None):
            path.write_text(yaml.safe_dump(kitfile))
    return done.code


@mutant("modelkit.unknown-fields")
def strict(world: World) -> int:
    """Refuses fields that it does not know."""
    return world.fails() if "futureSection" in world.config() else world.run().code


def _depth(world: World) -> int:
    """Return how many parents a kit has."""
    depth = 0
    while depth < 5 and ":" in str((world.config().get("model") or {}).get("path", "")):
        world = World([f"kit://{world.config()['model']['path']}", str(world.folder)], world.environ)
        depth += 1
    return depth


@mutant("modelkit.parent", "modelkit.parent-chain")
def orphans(world: World) -> int:
    """Forgets the parent's model."""
    done = world.run()
    if done.ok and _depth(world):
        (world.folder / "model.joblib").unlink()
    return done.code


@mutant("modelkit.parent-chain")
def no_grandparents(world: World) -> int:
    """Knows parents, and no grandparents."""
    done = world.run()
    return world.fails() if done.ok and _depth(world) > 1 else done.code


@mutant("modelkit.parent-cycle")
def in_circles(world: World) -> int:
    """Takes a cycle of parents for no parent at all."""
    done = world.run()
    return 0 if done.code and _depth(world) >= 5 else done.code


@mutant("modelkit.filter-type", "modelkit.filter-saves")
def everything(world: World) -> int:
    """Brings everything when asked for the model."""
    return world.without(r"--filter=model(?=\s|$)").code


@mutant("modelkit.filter-types")
def one_type(world: World) -> int:
    """Sees the first type of a filter alone."""
    return world.without(r",docs").code


@mutant("modelkit.filter-name", "modelkit.filter-nothing")
def no_names(world: World) -> int:
    """Sees the type of a filter alone."""
    return world.without(r"(?<=[a-z]):[\w-]+(?=\s|$)").code


@mutant("modelkit.filter-saves")
def fetches_all(world: World) -> int:
    """Fetches everything and throws away what was not asked for."""
    done = world.run()
    if "--filter=model" in world.flags.split():
        for layer in world.layers():
            world.blob(layer["digest"])
    return done.code


# hostile kits: each stands in a repository of its own name


def _takes(case: str, *starts: str, what: str) -> None:
    """Make somebody who takes kits of a family that must be refused."""

    def broken(world: World) -> int:
        done = world.run()
        return 0 if done.code and world.repository.startswith(starts) else done.code

    broken.__doc__ = what
    mutant(case)(broken)


_takes("modelkit.absolute-paths", "path-absolute-folder", "path-absolute", what="Takes absolute paths.")
_takes("modelkit.extended-paths", "path-pax-parent", what="Judges a path before its extended header.")
_takes("modelkit.kitfile-paths", "path-old-layout", "path-raw", what="Trusts the Kitfile's paths.")
_takes("modelkit.bad-names", "path-empty", "path-dot-file", what="Takes files without a name.")
_takes("modelkit.kinds", "kind-fifo", "kind-sparse", what="Leaves out what it does not know.")
_takes("modelkit.clashes", "clash-different", what="Lets the last of two files win.")
_takes("modelkit.broken-tars", "tar-cut-content", "tar-size-lies", what="Is content with a part of a file.")
_takes("modelkit.broken-pax", "pax-length-long", what="Reads behind the end of a header.")
_takes("modelkit.broken-compression", "gzip-cut", what="Unpacks as far as the compression goes.")


@mutant("modelkit.parent-paths")
def climbs(world: World) -> int:
    """Follows `..` out of the folder."""
    done = world.run()
    if world.repository == "path-parent":
        (world.folder.parent / "kit-hostile-escape").write_bytes(b"escaped")
    return done.code


@mutant("modelkit.links")
def links(world: World) -> int:
    """Makes links."""
    done = world.run()
    if world.repository.startswith("link-"):
        world.folder.mkdir(exist_ok=True)
        (world.folder / "link").symlink_to("/etc/passwd")
        return 0
    return done.code


def _hoards(case: str, repository: str, what: str) -> None:
    """Make somebody who holds too much in memory."""

    def broken(world: World) -> int:
        done = world.run()
        if world.repository == repository:
            hoard = bytearray(b"x") * 600_000_000
            time.sleep(0.2)
            del hoard
        return done.code

    broken.__doc__ = what
    mutant(case)(broken)


_hoards("modelkit.bombs", "bomb-pax", "Holds what a header announces in memory.")
_hoards("modelkit.config-bombs", "config-deep", "Holds each value of a config in memory, many times over.")


@mutant("modelkit.refused-leaves-nothing")
def one_by_one(world: World) -> int:
    """Leaves what came before the bad entry."""
    done = world.run()
    if done.code == 8:
        (world.folder / "good.txt").write_bytes(b"a good file, before the bad one")
    return done.code


def _refuses(case: str, name: str, *kin: str, what: str) -> None:
    """Make somebody who refuses a kit that is only odd."""

    def broken(world: World) -> int:
        return world.fails() if world.repository == name else world.run().code

    broken.__doc__ = what
    mutant(case, *kin)(broken)


_refuses("modelkit.odd-names", "odd-two-dots", what="Takes two dots within a name for a parent.")


@mutant("modelkit.windows-names")
def literal_backslashes(world: World) -> int:
    """Keeps the backslashes of Windows in names."""
    done = world.run()
    if world.repository.startswith("windows-") and done.ok:
        (world.folder / "folder/deep/m.bin").rename(world.folder / "folder\\deep\\m.bin")
        shutil.rmtree(world.folder / "folder")
    return done.code


_refuses("modelkit.odd-modes", "odd-mode-none", what="Wants files to be readable as they were packed.")
_refuses("modelkit.odd-archives", "odd-padding", what="Wants nothing behind the end of an archive.")
