"""The image leaves out packages and services that the initializer never loads: here it has to do without them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

# Fails every import from a package in argv, then does what the image is for, as far as it needs no network.
WITHOUT = """
import importlib.abc, pkgutil, sys
left_out = set(sys.argv[1:])

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in left_out:
            raise ModuleNotFoundError(f"left out of the image: {name}", name=name)

sys.meta_path.insert(0, Absent())
import kit_initializer
for module in pkgutil.walk_packages(kit_initializer.__path__, "kit_initializer."):
    if module.name != "kit_initializer.__main__":
        __import__(module.name)
from kit_initializer.signature.keyless import Keyless
print(Keyless.load(None).fingerprint)
from google.auth import aws, compute_engine, exceptions, identity_pool
from google.auth.transport import requests
print(requests.Request())
import botocore.httpsession, botocore.session
session = botocore.session.Session()
for service in ("ecr", "ecr-public", "sts"):
    print(session.create_client(service, region_name="us-east-1").meta.service_model.service_name)
"""


@pytest.fixture(scope="module")
def assemble() -> ModuleType:
    path = Path(__file__).parents[1] / "image" / "assemble.py"
    spec = importlib.util.spec_from_file_location("assemble", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def modules_of(name: str, kept: tuple[str, ...]) -> set[str]:
    """Return the modules that a distribution installs at the top level."""
    files = importlib.metadata.files(name) or []
    tops = {file.parts[0].partition(".")[0] for file in files if file.suffix in {".py", ".so"}}
    return tops - set(kept) - {""}


def test_nothing_that_is_left_out_is_needed(assemble: ModuleType) -> None:
    left_out = sorted(set().union(*(modules_of(name, assemble.KEPT) for name in assemble.UNUSED)))
    assert {"cffi", "dns", "rich", "pygments"} <= set(left_out)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *left_out], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 5


def test_the_services_that_are_asked_are_kept(assemble: ModuleType) -> None:
    assert {"ecr", "ecr-public", "sts"} <= set(assemble.BOTOCORE_SERVICES)


def test_a_distribution_is_removed_with_its_folders_and_no_others(
    assemble: ModuleType, tmp_path: Path
) -> None:
    site = tmp_path / "lib/python3.13/site-packages"
    for name in ("one/__init__.py", "one/deep/part.py", "two/__init__.py", "_cffi_backend.so"):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).touch()
    about = site / "one-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: one\nVersion: 1\n")
    (about / "RECORD").write_text(
        "one/__init__.py,,\none/deep/part.py,,\n_cffi_backend.so,,\n../../../bin/one,,\n"
        "one-1.dist-info/METADATA,,\none-1.dist-info/RECORD,,\n"
    )
    (found,) = importlib.metadata.distributions(path=[str(site)])
    assemble.remove(found, tmp_path)
    assert sorted(path.name for path in site.iterdir()) == ["_cffi_backend.so", "two"]
