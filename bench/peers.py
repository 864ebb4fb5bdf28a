"""Who is compared: each peer as the command that brings a shape's kit to an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.origin import IMAGE_TAG, REPOSITORY, TAG, MissingError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping

    from bench.origin import Origin
    from bench.shapes import Shape
    from kit_conformance.testbed.kits import ModelKit

OURS, KIT, KIT_PULL = "kit-initializer", "kit unpack", "kit pull + unpack"
_HERE = Path(__file__).parent
_TAR_FLAGS = {"": "", "gzip": "z", "gzip-fastest": "z", "zstd": "--zstd "}


class Job(NamedTuple):
    """One pull: `origin` is the registry or the link before it, `home` an empty folder that may be written."""

    origin: Origin
    shape: Shape
    kit: ModelKit
    home: Path
    destination: Path

    @property
    def reference(self) -> str:
        """Return the kit's reference without a scheme."""
        return f"{self.origin.host}/{REPOSITORY}:{TAG}"

    @property
    def plain(self) -> tuple[str, ...]:
        """Return Kit's flag for plain HTTP, where that is spoken."""
        return () if self.origin.authority else ("--plain-http",)


class Command(NamedTuple):
    """What is run, in an environment of its own."""

    argv: tuple[str, ...]
    environ: Mapping[str, str]


class Peer(NamedTuple):
    """One way to bring a kit.

    `cannot` says why it has no part in a shape, `without` what it takes off paths, `verifies` whether it checks the
    digests of layers.
    """

    name: str
    version: str
    command: Callable[[Job], Command]
    cannot: Callable[[Shape], str] = lambda _: ""
    without: str = ""
    verifies: bool = False


def _environ(job: Job, **more: str) -> dict[str, str]:
    # no proxies, no settings, no bytecode flags of the one who runs the benchmark
    authority = str(job.origin.authority or "")
    trust = (
        dict.fromkeys(("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"), authority)
        if authority
        else {}
    )
    path = os.environ.get("PATH", os.defpath)
    return {"PATH": path, "HOME": str(job.home), "LANG": "C.UTF-8", **trust, **more}


def ours(command: str) -> Peer:
    """Return the initializer, as it is installed; MissingError when its modules are not compiled."""
    python = Path(command).with_name("python")
    ask = "import kit_initializer as k, sys; print(k.__version__, k.__file__, sys.version.split()[0])"
    version, file, python_version = _say(str(python), "-c", ask).split()
    if not list(Path(file).parent.rglob("__pycache__/cli.*.pyc")):
        raise MissingError(f"{file} is not byte-compiled: install the wheel with pip, as the image does")

    def run(job: Job) -> Command:
        log = str(job.home / "termination-log")
        environ = _environ(job, KIT_UNPACK_FLAGS=" ".join(job.plain), KIT_TERMINATION_LOG=log)
        return Command((command, f"kit://{job.reference}", str(job.destination)), environ)

    return Peer(OURS, f"{version}, Python {python_version}", run, verifies=True)


def _kit_environ(job: Job, binary: Path) -> dict[str, str]:
    """Give Kit a home of its own, without its look for updates."""
    store = job.home / "kitops"
    store.mkdir()
    (store / "disable-update-notifications").touch()
    folder = job.home / "bin"
    folder.mkdir()
    (folder / "kit").symlink_to(binary)
    path = f"{folder}:{os.environ.get('PATH', os.defpath)}"
    return _environ(job, KITOPS_HOME=str(store), PATH=path)


def kit_peers(binary: Path, entrypoint: Path | None) -> list[Peer]:
    """Return the peers that are Kit's: its two ways, and upstream's script around the first where it is given."""
    said = [line for line in _say(str(binary), "version").splitlines() if line.startswith("Version:")]
    version = said[0].partition(":")[2].strip() if said else "of an unknown version"

    def unpack(job: Job) -> Command:
        argv = ("kit", "unpack", job.reference, "-d", str(job.destination), *job.plain)
        return Command(argv, _kit_environ(job, binary))

    def pull(job: Job) -> Command:
        script = 'it=$1 folder=$2; shift 2; kit pull "$it" "$@" && kit unpack "$it" -d "$folder" "$@"'
        argv = ("sh", "-c", script, "sh", job.reference, str(job.destination), *job.plain)
        return Command(argv, _kit_environ(job, binary))

    def script(job: Job) -> Command:
        argv = ("bash", str(entrypoint), f"kit://{job.reference}", str(job.destination))
        return Command(argv, {**_kit_environ(job, binary), "KIT_UNPACK_FLAGS": " ".join(job.plain)})

    def cannot(shape: Shape) -> str:
        return f"Kit {version} has no such layers" if shape.raw or shape.compression == "zstd" else ""

    peers = [
        Peer(KIT, version, unpack, cannot),
        Peer(KIT_PULL, version, pull, cannot, verifies=True),
    ]
    if entrypoint is not None:
        peers.append(Peer("KitOps entrypoint", f"Kit {version}", script, cannot))
    return peers


def shell() -> Peer:
    """Return the pipe that one writes by hand: every layer hashed while it is unpacked, one after the other."""
    missing = [name for name in ("bash", "curl", "tar", "sha256sum", "zstd") if shutil.which(name) is None]
    if missing:
        raise MissingError(f"needs {', '.join(missing)} on the PATH")
    version = _say("curl", "--version").split()[1]

    def run(job: Job) -> Command:
        lines = ["set -euo pipefail", 'mkdir -p "$1/models"', 'cd "$1"']
        for layer in job.kit.layers:
            scheme = "https" if job.origin.authority else "http"
            url = f"{scheme}://{job.origin.host}/v2/{REPOSITORY}/blobs/{layer.digest}"
            keep = (
                "cat > models/00000.bin" if job.shape.raw else f"tar -x{_TAR_FLAGS[job.shape.compression]}f -"
            )
            if job.shape.compression == "zstd":
                keep = "tar -x --zstd -f -"
            hashed = f"{job.home}/sum"
            lines.append(f"mkfifo {hashed}; sha256sum < {hashed} > {hashed}.txt & sum=$!")
            lines.append(f"curl -sSf {url} | tee {hashed} | {keep}")
            lines.append(f"wait $sum; grep -q '^{layer.digest.partition(':')[2]} ' {hashed}.txt; rm {hashed}")
        return Command(("bash", "-c", "\n".join(lines), "bash", str(job.destination)), _environ(job))

    return Peer("curl, sha256sum, tar", f"curl {version}", run, verifies=True)


def oras(python: str) -> Peer:
    """Return oras-py with tarfile behind it, in the environment of that Python."""
    version = _distribution(python, "oras")

    def run(job: Job) -> Command:
        argv = (python, str(_HERE / "pull_with_oras.py"), job.reference, str(job.destination), *job.plain)
        return Command(argv, _environ(job))

    def cannot(shape: Shape) -> str:
        return "tarfile has no zstd before Python 3.14" if shape.compression == "zstd" else ""

    return Peer("oras-py", version, run, cannot)


def kserve(python: str) -> Peer:
    """Return KServe's own storage initializer, in the environment of that Python."""
    version = _distribution(python, "kserve-storage")

    def run(job: Job) -> Command:
        image = f"oci://{job.origin.host}/{REPOSITORY}:{IMAGE_TAG}"
        argv = (python, str(_HERE / "pull_with_kserve.py"), image, str(job.destination))
        return Command(argv, _environ(job, KSERVE_OCI_INSECURE_REGISTRY=str(bool(job.plain)).lower()))

    def cannot(shape: Shape) -> str:
        return "takes tar and tar+gzip only" if shape.raw or shape.compression == "zstd" else ""

    return Peer("kserve-storage", version, run, cannot, without="models/")


def find(options: Namespace) -> tuple[list[Peer], list[str]]:
    """Return the peers that are here, ours first, and a sentence for each that is not."""
    command = Path(options.initializer or Path(sys.executable).with_name(OURS))
    peers, missing = [ours(str(command.absolute()))], []  # absolute: each runs in a folder of its own
    binary = shutil.which(options.kit)
    if binary is None:
        missing.append("Kit: put kit on the PATH, or give its path by --kit or KIT")
    else:
        entrypoint = Path(options.entrypoint).absolute() if options.entrypoint else None
        peers += kit_peers(Path(binary).absolute(), entrypoint)
        if entrypoint is None:
            missing.append("KitOps entrypoint: give the path of KitOps' entrypoint.sh by --entrypoint")
    try:
        peers.append(shell())
    except MissingError as error:
        missing.append(f"curl, sha256sum, tar: {error}")
    for name, python, make in (("oras-py", options.oras, oras), ("kserve-storage", options.kserve, kserve)):
        if python:
            peers.append(make(str(Path(python).absolute())))
        else:
            missing.append(f"{name}: give the Python of an environment that has it")
    return peers, missing


def _say(*command: str) -> str:
    home = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=home)
    if done.returncode:
        raise MissingError(f"{command[0]} does not run: {done.stderr.strip()[-300:]}")
    return done.stdout


def _distribution(python: str, name: str) -> str:
    return _say(python, "-c", f"from importlib.metadata import version; print(version({name!r}))").strip()
