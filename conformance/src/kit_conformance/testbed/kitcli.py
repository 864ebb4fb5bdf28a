"""A Kit binary of a version: found, or brought from a release, and run without leaving traces.

Releases are those of github.com/kitops-ml/kitops, or of a mirror with the same layout for networks that are
closed: `BASE/download/vX.Y.Z/kitops-linux-x86_64.tar.gz` beside `kitops_vX.Y.Z_checksums.txt`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

RELEASES: Final = "https://github.com/kitops-ml/kitops/releases"
_MACHINES: Final = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
_VERSION: Final = re.compile(r"v?(\d+\.\d+\.\d+(?:-[\w.]+)?)")
_SAYS_VERSION: Final = re.compile(r"^Version: v?(\S+)", re.MULTILINE)
_CHECKSUM: Final = re.compile(r"([0-9a-f]{64}) [ *](\S+)")
_NETWORK_TIMEOUT: Final = 60.0  # seconds without a byte
_COMMAND_TIMEOUT: Final = 300.0  # seconds for one command of Kit
_LARGEST: Final = 512 * 1024 * 1024  # bytes; a release of 2025 has 30 million


class KitNotFoundError(RuntimeError):
    """No Kit binary could be found or brought; the text says what to do."""


class KitError(RuntimeError):
    """A command of Kit that failed: `result` has its exit code and output."""

    def __init__(self, result: Result) -> None:
        super().__init__(
            f"{' '.join(result.command)} ended with {result.code}\n{result.stdout}{result.stderr}".rstrip()
        )
        self.result = result


@dataclass(frozen=True, slots=True)
class Result:
    """What a command of Kit did."""

    command: tuple[str, ...]
    code: int
    stdout: str
    stderr: str


def find(wanted: str = "", *, mirror: str = "", cache: Path | None = None) -> Path:
    """Return the path of a Kit binary.

    `wanted` is a path, a version (brought from its release unless the cache has it), or "" for the one that
    the environment variable KIT or PATH names. `mirror` stands in for the release's base URL; `cache` for the
    user's cache folder. KitNotFoundError when there is none.
    """
    wanted = wanted or os.environ.get("KIT", "")
    if not wanted:
        found = shutil.which("kit")
        if found is None:
            raise KitNotFoundError(
                "there is no Kit here: put kit on the PATH, or set KIT to its path or to a version"
            )
        return Path(found)
    version = _VERSION.fullmatch(wanted)
    if version is not None:
        return bring(version[1], mirror=mirror, cache=cache)
    path = Path(wanted)
    if not path.is_file() or not os.access(path, os.X_OK):
        raise KitNotFoundError(f"{wanted} is neither an executable file nor a version such as 1.7.0")
    return path.absolute()


def bring(version: str, *, mirror: str = "", cache: Path | None = None) -> Path:
    """Return the binary of a released version, downloaded once and checked against its checksum."""
    if platform.system() != "Linux" or platform.machine().lower() not in _MACHINES:
        raise KitNotFoundError(
            f"no release of Kit for {platform.system()} {platform.machine()}; give a path instead"
        )
    asset = f"kitops-linux-{_MACHINES[platform.machine().lower()]}.tar.gz"
    target = (cache or _user_cache()) / f"v{version}" / asset.removesuffix(".tar.gz") / "kit"
    if target.exists():
        return target
    base = f"{(mirror or RELEASES).rstrip('/')}/download/v{version}"
    hint = "" if mirror else "; in a closed network, name a mirror or give the path of a binary"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        archive = Path(folder, asset)
        try:
            sums = _download(f"{base}/kitops_v{version}_checksums.txt", Path(folder, "checksums")).read_text(
                "utf-8"
            )
            _download(f"{base}/{asset}", archive)
        except (OSError, urllib.error.URLError) as error:
            raise KitNotFoundError(
                f"Kit {version} could not be brought from {base}: {error}{hint}"
            ) from error
        _check(archive, sums, asset)
        binary = _extract(archive, Path(folder, "kit"))
        said = KitCLI(binary, Path(folder)).version
        if said != version:
            raise KitNotFoundError(f"the release of Kit {version} says that it is {said}")
        binary.replace(target)  # atomic: another run at the same time replaces it by the same
    return target


def _user_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "kit-conformance" / "kit"


def _download(url: str, target: Path) -> Path:
    if urlsplit(url).scheme not in {"http", "https"}:
        raise KitNotFoundError(f"{url} is no http(s) URL")
    with urllib.request.urlopen(url, timeout=_NETWORK_TIMEOUT) as response, target.open("wb") as file:  # noqa: S310
        size = 0
        while chunk := response.read(1024 * 1024):
            size += len(chunk)
            if size > _LARGEST:
                raise KitNotFoundError(f"{url} is larger than any release of Kit")
            file.write(chunk)
    return target


def _check(archive: Path, sums: str, asset: str) -> None:
    expected = {name: digest for digest, name in _CHECKSUM.findall(sums)}.get(asset)
    if expected is None:
        raise KitNotFoundError(f"the release's checksum file does not name {asset}")
    with archive.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected:
        raise KitNotFoundError(f"{asset} does not match its checksum: {actual} instead of {expected}")


def _extract(archive: Path, target: Path) -> Path:
    """Take the one file we want out of the archive; nothing is extracted by its own name."""
    with tarfile.open(archive) as tar:
        member = next((each for each in tar if each.isfile() and each.name.removeprefix("./") == "kit"), None)
        content = tar.extractfile(member) if member else None
        if content is None:
            raise KitNotFoundError(f"{archive.name} contains no kit")
        with content, target.open("wb") as file:
            shutil.copyfileobj(content, file)
    target.chmod(0o755)
    return target


class KitCLI:
    """A Kit binary with a home of its own: no settings, logins or stores of ours, no update check."""

    def __init__(self, path: Path | str, home: Path, *, environment: Mapping[str, str] | None = None) -> None:
        self.path = Path(path).absolute()
        self.home = home.absolute()
        self._environment = dict(environment or {})
        store = self.home / "kitops"
        store.mkdir(parents=True, exist_ok=True)
        (store / "disable-update-notifications").touch()

    @functools.cached_property
    def version(self) -> str:
        """Return the version that the binary says it is, without a v."""
        result = self.run("version")
        said = _SAYS_VERSION.search(result.stdout)
        if said is None:
            raise KitNotFoundError(f"{self.path} does not say its version: {result.stdout[:200]!r}")
        return said[1]

    @property
    def number(self) -> tuple[int, ...]:
        """Return major, minor and patch, to compare with; a build without a version counts as the newest."""
        found = re.match(r"(\d+)\.(\d+)\.(\d+)", self.version)
        return tuple(int(part) for part in found.groups()) if found else (9999,)

    def run(
        self, *arguments: str, stdin: str = "", check: bool = True, timeout: float = _COMMAND_TIMEOUT
    ) -> Result:
        """Run a command and return what it did; KitError when it fails, unless `check` is off."""
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "KITOPS_HOME": str(self.home / "kitops"),
            **self._environment,
        }
        command = (str(self.path), *arguments)
        try:
            done = subprocess.run(  # noqa: S603  (the binary was asked for)
                command,
                env=environment,
                cwd=self.home,
                input=stdin.encode(),
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except OSError as error:
            raise KitNotFoundError(f"{self.path} cannot be run: {error}") from error
        except subprocess.TimeoutExpired as error:
            raise KitError(Result(command, -1, "", f"no end after {timeout:g} s")) from error
        result = Result(
            command,
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
        )
        if check and result.code:
            raise KitError(result)
        return result

    def pack(self, folder: Path, reference: str, *flags: str) -> Result:
        """Pack a folder with a Kitfile into the local store."""
        return self.run("pack", str(folder), "-t", reference, *flags)

    def push(self, reference: str, *flags: str, plain_http: bool = True) -> Result:
        """Push a kit from the local store to the registry that its reference names."""
        return self.run("push", reference, *_plain(plain_http), *flags)

    def pull(self, reference: str, *flags: str, plain_http: bool = True) -> Result:
        """Pull a kit into the local store."""
        return self.run("pull", reference, *_plain(plain_http), *flags)

    def unpack(
        self, reference: str, folder: Path, *flags: str, plain_http: bool = True, check: bool = True
    ) -> Result:
        """Unpack a kit into a folder, from the local store or the registry."""
        folder.mkdir(parents=True, exist_ok=True)  # the first Kits did not
        return self.run("unpack", reference, "-d", str(folder), *_plain(plain_http), *flags, check=check)

    def login(self, host: str, username: str, password: str, *, plain_http: bool = True) -> Result:
        """Log in to a registry; the password goes by standard input."""
        flags = ("-u", username, "--password-stdin", *_plain(plain_http))
        return self.run("login", host, *flags, stdin=password)

    def forget(self) -> None:
        """Empty the local store, so that the next command must ask the registry."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.home / "kitops" / "storage")


def _plain(plain_http: bool) -> tuple[str, ...]:  # noqa: FBT001
    return ("--plain-http",) if plain_http else ()
