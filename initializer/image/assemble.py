"""Assemble the root folder of the initializer's image: Python, its libraries and CA certificates, nothing else.

The Dockerfile runs this in its build stage, with the interpreter that the image will have:

    python3 assemble.py VENV ROOT

VENV is pruned in place: packages and data that the initializer never loads are removed. ROOT becomes everything that
VENV needs to run `FROM scratch`. docs/performance.md shows what each part weighs.
"""

from __future__ import annotations

import _ssl
import os
import re
import shutil
import ssl
import subprocess
import sys
import sysconfig
from importlib.metadata import Distribution, distributions
from pathlib import Path

# Dependencies of dependencies that no code path of the initializer imports; test_image_parts.py guards this table.
UNUSED = {
    "cffi": "cryptography needs its compiled half alone, which stays (KEPT)",
    "dnspython": "of email-validator",
    "email-validator": "checks e-mail addresses in forms of pydantic",
    "markdown-it-py": "of rich",
    "mdurl": "of rich",
    "pyasn1": "of pyasn1-modules",
    "pyasn1-modules": "reads keys of Google service accounts in files; a pod has a token instead",
    "pycparser": "of cffi",
    "pygments": "of rich",
    "rich": "sigstore's command line",
}
KEPT = ("_cffi_backend",)
# The services of Amazon that the initializer asks: for a role's credentials, and for a login at a registry.
BOTOCORE_SERVICES = ("ecr", "ecr-public", "sso", "sso-oidc", "sts")
# Parts of the standard library that serve developers, desktops and terminals.
STDLIB_LEFT_OUT = (
    "config-*",
    "dist-packages",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "test",
    "tests",
    "tkinter",
    "turtle.py",
    "turtledemo",
    "*_test*.so",
    "_curses*.so",
    "_dbm*.so",
    "_gdbm*.so",
    "_sqlite3*.so",
    "_tkinter*.so",
    "_xxtestfuzz*.so",
    "curses",
    "readline*.so",
    "sqlite3",
    "xxlimited*.so",
    "__pycache__",
)
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
# Where libraries are looked for, and which system this is, for scanners.
ETC = (
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/ssl/openssl.cnf",
)
ACCOUNTS = "root:x:0:0:root:/:/nonexistent\n"
GROUP = "root:x:0:\n"
# /etc/hosts first, as everywhere; without this file the C library asks DNS first.
NAMES = "passwd: files\ngroup: files\nhosts: files dns\n"
_LIBRARY = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)


def prune(venv: Path) -> None:
    """Remove from a virtual environment what the initializer never loads. Raises SystemExit if it is not there."""
    (site,) = venv.glob("lib/python3*/site-packages")
    found = {
        each.metadata["Name"].lower().replace("_", "-"): each for each in distributions(path=[str(site)])
    }
    if missing := sorted(UNUSED.keys() - found.keys()):
        sys.exit(f"assemble: {', '.join(missing)}: not installed in {venv}; remove it from UNUSED")
    for name in UNUSED:
        remove(found[name], venv)
    data = site / "botocore" / "data"
    if lacking := sorted(name for name in BOTOCORE_SERVICES if not (data / name).is_dir()):
        sys.exit(f"assemble: botocore has no data of {', '.join(lacking)}; correct BOTOCORE_SERVICES")
    for folder in data.iterdir():
        if folder.is_dir() and folder.name not in BOTOCORE_SERVICES:
            shutil.rmtree(folder)
    for script in (venv / "bin").iterdir():
        if script.name != "kit-initializer" and not script.name.startswith("python"):
            remove_path(script)


def remove(distribution: Distribution, venv: Path) -> None:
    """Remove the files of one distribution, except scripts (prune does that) and what KEPT names."""
    folders = set()
    for file in distribution.files or ():
        path = Path(os.path.abspath(str(distribution.locate_file(file))))
        if path.name.startswith(KEPT) or not path.is_relative_to(venv / "lib"):
            continue
        path.unlink(missing_ok=True)
        folders.add(path.parent)
    (site,) = venv.glob("lib/python3*/site-packages")
    for folder in sorted(folders, key=lambda each: len(each.parts), reverse=True):
        current = folder
        while current != site and current.is_dir() and not any(current.iterdir()):
            current.rmdir()
            current = current.parent


def remove_path(path: Path) -> None:
    """Remove a file, a link or a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def copy(source: Path, root: Path) -> None:
    """Copy a file or a folder to the same path below `root`; links become what they name."""
    target = root / source.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    elif not target.exists():
        shutil.copy2(source, target)


def place_interpreter(root: Path) -> Path:
    """Copy the interpreter and the links to it, such as python3 to python3.13; return its real path."""
    path = Path(sys.executable)
    while path.is_symlink():
        link = root / path.relative_to("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.readlink(path))
        path = path.parent / os.readlink(path)
    copy(path, root)
    return path


def place_stdlib(root: Path) -> None:
    """Copy the standard library without STDLIB_LEFT_OUT and compile it: nobody could write modules later."""
    for name in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}:
        target = root / Path(name).relative_to("/")
        shutil.copytree(name, target, ignore=shutil.ignore_patterns(*STDLIB_LEFT_OUT), dirs_exist_ok=True)
        # unchecked-hash: the modules never change, so that no start has to compare times
        command = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
        subprocess.run([*command, "-s", str(root), "-p", "/", str(target)], check=True)


def libraries(files: list[Path]) -> set[Path]:
    """Return the shared libraries that files need, the loader included. Raises SystemExit where one is missing."""
    found = set()
    for file in files:
        command = ["ldd", str(file)]
        output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        if "not found" in output:
            sys.exit(f"assemble: {file} needs a library that this system lacks:\n{output}")
        found |= {Path(path) for path in _LIBRARY.findall(output)}
    return {path for path in found if not path.is_relative_to("/opt")}


def place_libraries(root: Path, files: list[Path]) -> list[Path]:
    """Copy what `files` link to under the names that they ask for; return the real paths, for place_packages."""
    for name in ("/lib", "/lib64"):  # links to /usr/lib and /usr/lib64 on today's Debian
        if os.path.islink(name) and not os.path.lexists(root / name.lstrip("/")):
            (root / name.lstrip("/")).symlink_to(os.readlink(name))
            (root / os.readlink(name).lstrip("/")).mkdir(parents=True, exist_ok=True)
    placed = []
    for path in sorted(libraries(files)):
        folder = Path(os.path.realpath(path.parent))
        copy(folder / path.name, root)
        placed.append(Path(os.path.realpath(path)))
    return placed


def place_certificates(root: Path) -> None:
    """Copy the system's CA certificates to where OpenSSL, Go and the initializer look for them."""
    copy(CA_BUNDLE, root)
    paths = ssl.get_default_verify_paths()
    for source, target in ((CA_BUNDLE, paths.openssl_cafile), (CA_BUNDLE.parent, paths.openssl_capath)):
        link = root / target.lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(link):
            link.symlink_to(source)
    configuration = root / Path(paths.openssl_cafile).with_name("openssl.cnf").relative_to("/")
    if not os.path.lexists(configuration):
        configuration.symlink_to("/etc/ssl/openssl.cnf")


def place_packages(root: Path, files: list[Path]) -> None:
    """Record the Debian packages of `files` in /var/lib/dpkg/status.d, where scanners look in images like this."""
    records = root / "var/lib/dpkg/status.d"
    records.mkdir(parents=True)
    owners = {"ca-certificates"}
    for file in files:
        for name in {
            str(file),
            str(file).removeprefix("/usr"),
        }:  # dpkg may know a merged /usr by the older name
            asked = subprocess.run(["dpkg", "-S", name], capture_output=True, text=True, check=False)
            if asked.returncode == 0:  # a Python that was compiled from its sources belongs to no package
                owners.add(asked.stdout.partition(": ")[0])
    for owner in sorted(owners):
        status = subprocess.run(["dpkg", "-s", owner], capture_output=True, text=True, check=True).stdout
        (records / owner.partition(":")[0]).write_text(status, encoding="utf-8")


def assemble(venv: Path, root: Path) -> None:
    """Do all of it: prune `venv`, fill `root`."""
    prune(venv)
    root.mkdir(parents=True)
    interpreter = place_interpreter(root)
    place_stdlib(root)
    compiled = [interpreter, *root.rglob("*.so"), *venv.rglob("*.so")]
    placed = place_libraries(root, compiled)
    for name in filter(os.path.exists, ETC):
        copy(Path(name), root)
    place_certificates(root)
    place_packages(root, [interpreter, Path(os.__file__), Path(_ssl.__file__), *placed])
    (root / "etc/passwd").write_text(ACCOUNTS, encoding="utf-8")
    (root / "etc/group").write_text(GROUP, encoding="utf-8")
    (root / "etc/nsswitch.conf").write_text(NAMES, encoding="utf-8")
    for folder, mode in (("tmp", 0o1777), ("mnt/models", 0o777)):
        (root / folder).mkdir(parents=True)
        # any uid may write: Docker gives a fresh volume the mode of the folder that it covers
        (root / folder).chmod(mode)
    subprocess.run(["/sbin/ldconfig", "-r", str(root)], check=True)


if __name__ == "__main__":
    assemble(Path(sys.argv[1]), Path(sys.argv[2]))
