"""Images: in the local store before any pull, built here, or absent with the reason why."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from e2e.harness.shell import StepError, run
from e2e.harness.versions import IMAGES, KIT, ROOT
from kit_conformance.testbed import kitcli

DEVELOPMENT = "kit-initializer:dev"
ABSENT = "absent: "
_LABELS = "org.opencontainers.image."


class KitImage(NamedTuple):
    """A Kit for packing and for the image: a static binary, and an image that carries it in /usr/local/bin."""

    binary: str
    image: str
    version: str


def have(image: str) -> bool:
    """Tell whether the local store has an image."""
    try:
        run(["docker", "image", "inspect", "--format", "{{.Id}}", image], timeout=30)
    except StepError:
        return False
    return True


def about(image: str) -> dict[str, str]:
    """Return `name`, `version` and `digest` of an image in the local store, as far as it tells them."""
    try:
        (found,) = json.loads(run(["docker", "image", "inspect", image], timeout=30))
    except StepError:
        return {}
    labels = {
        key.removeprefix(_LABELS): str(value)
        for key, value in ((found.get("Config") or {}).get("Labels") or {}).items()
    }
    digests = [str(digest).partition("@")[2] for digest in found.get("RepoDigests") or ()]
    return {
        "name": labels.get("title", ""),
        "version": labels.get("version", ""),
        "digest": next(iter(digests), str(found["Id"])),
    }


def obtain(image: str) -> str:
    """Return how an image was had: `found`, `pulled`, or `absent: why`."""
    if have(image):
        return "found"
    try:
        run(["docker", "pull", "--quiet", image], timeout=900)
    except StepError as error:
        return ABSENT + str(error).splitlines()[-1].strip()
    return "pulled"


def build_initializer(kit: KitImage | None, tag: str = DEVELOPMENT) -> str:
    """Build the initializer's image from this checkout, with Kit beside it where there is one; return its tag."""
    arguments = [f"PYTHON_IMAGE={IMAGES['python']}"]
    arguments += [f"{name}={os.environ[name]}" for name in ("PIP_INDEX_URL",) if os.environ.get(name)]
    arguments += shlex.split(os.environ.get("E2E_BUILD_ARGS", ""))
    if kit:
        arguments.append(f"KIT_BASE_IMAGE={kit.image}")
    target = [] if kit else ["--target", "native"]
    flags = [word for argument in arguments for word in ("--build-arg", argument)]
    command = ["docker", "build", "--network", "host", "--tag", tag, *target, *flags, str(ROOT)]
    run(command, timeout=1200)
    return tag


def find_kit(wanted: str) -> KitImage | None:
    """Return the Kit that `--kit` names by path or version, else the one in KIT or on the PATH, else a release.

    None when nothing was asked for and no release's image can be had. Raises StepError when the one that was asked
    for cannot be had.
    """
    if wanted[:1].isdigit() or (wanted[:1] == "v" and wanted[1:2].isdigit()):
        return _released("v" + wanted.lstrip("v")) or _from_binary(_bring(wanted))
    if wanted or os.environ.get("KIT") or shutil.which("kit"):
        return _from_binary(_bring(wanted))
    return _released(KIT["version"])


def _bring(wanted: str) -> Path:
    try:
        return kitcli.find(wanted).resolve()
    except kitcli.KitNotFoundError as error:
        raise StepError(f"--kit {wanted}: {error}") from error


def _released(version: str) -> KitImage | None:
    """Return a release by its image, with the binary that the image carries."""
    image = f"{KIT['image']}:{version}"
    if obtain(image).startswith(ABSENT):
        return None
    binary = ROOT / ".cache" / "kit" / version / "kit"
    if not binary.exists():
        binary.parent.mkdir(parents=True, exist_ok=True)
        container = run(["docker", "create", image], timeout=60).strip()
        run(["docker", "cp", f"{container}:/usr/local/bin/kit", str(binary)], timeout=60)
        run(["docker", "rm", container], timeout=60)
    return KitImage(str(binary), image, _version_of(binary))


def _from_binary(binary: Path) -> KitImage:
    """Wrap a binary in an image of its own, which is what the Dockerfile takes Kit from."""
    digest = hashlib.sha256(binary.read_bytes()).hexdigest()[:12]
    image = f"kit-e2e/kit:{digest}"
    if not have(image):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(binary, Path(folder, "kit"))
            Path(folder, "kit").chmod(0o755)
            Path(folder, "Dockerfile").write_text("FROM scratch\nCOPY kit /usr/local/bin/kit\n")
            run(["docker", "build", "--tag", image, folder], timeout=120)
    return KitImage(str(binary), image, _version_of(binary))


def _version_of(binary: Path) -> str:
    with tempfile.TemporaryDirectory() as home:
        return kitcli.KitCLI(binary, Path(home)).version
