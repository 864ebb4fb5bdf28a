"""Steps that cases over a version of Kit take: it packs, pushes, unpacks."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any, Final

import yaml

from kit_conformance import tree as trees
from kit_conformance.result import Finding
from kit_conformance.testbed.kitcli import KitCLI, KitError
from kit_conformance.testbed.kits import ModelKit, pack

if TYPE_CHECKING:
    from pathlib import Path

    from kit_conformance.lab import Lab
    from kit_conformance.testbed.kitcli import Result
    from kit_conformance.testbed.registry import Registry

FILES: Final = {
    "model/weights.bin": bytes(range(256)) * 40,
    "model/tokens.json": b'{"a": 1}',
    "src/predict.py": b"print('predict')\n",
    "data/train.csv": b"a,b\n1,2\n",
    "README.md": b"# a kit\n",
}
OLD: Final = (0, 5, 0)  # the layout of layers changed with this version
LOGIN: Final = ("ann", "a-good-password")


def recipe(number: tuple[int, ...]) -> dict[str, Any]:
    recipe: dict[str, Any] = {
        "manifestVersion": "1.0.0",
        "package": {"name": "roundtrip", "version": "1.0.0", "authors": ["somebody"]},
        "model": {"name": "m", "path": "model", "framework": "none"},
        "code": [{"path": "src"}],
        "datasets": [{"name": "train", "path": "data/train.csv"}],
    }
    if number >= (0, 3, 0):
        recipe["docs"] = [{"path": "README.md"}]
    return recipe


def kit_of(lab: Lab) -> KitCLI:
    return KitCLI(lab.settings.kit, lab.scratch("kit-home"))


def _source(lab: Lab, kit: KitCLI) -> Path:
    """Write the files of the kit to a folder, with its Kitfile."""
    folder = lab.scratch("source")
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o644)
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    (folder / "Kitfile").write_text(yaml.safe_dump(recipe(kit.number), sort_keys=False), "utf-8")
    return folder


def expected(kit: KitCLI) -> ModelKit:
    """Return what the testbed's packer makes of the same files, in the layout of this version of Kit."""
    version = ".".join(map(str, kit.number)) if kit.number < (9999,) else "1.7.0"
    files = {name: data for name, data in FILES.items() if name != "README.md" or kit.number >= (0, 3, 0)}
    gzipped = kit.number < (0, 2, 4)
    return pack(files, recipe(kit.number), as_kit=version, compression="gzip" if gzipped else "")


def packed(lab: Lab, kit: KitCLI, registry: Registry, *flags: str, repository: str = "packed") -> str:
    """Pack and push with Kit, and return the reference without kit://."""
    reference = f"{registry.host}/{repository}:v1"
    does(lambda: kit.pack(_source(lab, kit), reference, *flags))
    does(lambda: kit.push(reference))
    return reference


def does(action: Any) -> Result:  # noqa: ANN401  (a command of Kit)
    """Do something with Kit that must succeed."""
    try:
        result: Result = action()
    except KitError as error:
        lines = [*error.result.stdout.splitlines()[-3:], *error.result.stderr.splitlines()[-3:]]
        what = " ".join(error.result.command[1:2])
        raise Finding(f"kit {what} failed with {error.result.code}", lines) from error
    return result


def holds(folder: Path, files: ModelKit | dict[str, Any], why: str) -> None:
    wanted = files.files if isinstance(files, ModelKit) else files
    lines = trees.differences(trees.read(folder), wanted, allowed={"Kitfile"}, modes=False)
    if lines:
        raise Finding(why, lines)


def _split(reference: str) -> tuple[str, str]:
    repository, _, tag = reference.partition("/")[2].rpartition(":")
    return repository, tag


def manifest(registry: Registry, reference: str) -> bytes:
    repository, tag = _split(reference)
    connection = http.client.HTTPConnection(registry.host, timeout=10)
    try:
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        connection.request("GET", f"/v2/{repository}/manifests/{tag}", headers=accept)
        return connection.getresponse().read()
    finally:
        connection.close()
