"""A kind cluster through pytest-kind, without its traps.

pytest-kind alone would download kind and kubectl of 2022 without a checksum, keep its files in the current folder,
and leave an empty kubeconfig when it finds a cluster that is there already. So both programs are the ones on the
PATH, the kubeconfig is a file of ours, and it is exported anew each time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.harness.shell import StepError, run
from e2e.harness.versions import NODE_IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kind import KindCluster


def find(program: str) -> str:
    """Return the full path of a program; StepError when it is not on the PATH."""
    found = shutil.which(program)
    if not found:
        raise StepError(f"{program} is not on the PATH: install it (nothing is downloaded here)")
    return found


def kind_cluster(name: str, folder: Path) -> KindCluster:
    """Return pytest-kind's view of a cluster whose files are in `folder`; nothing is started yet."""
    from pytest_kind import KindCluster  # noqa: PLC0415 - it imports pykube, which only bring-up needs

    folder.mkdir(parents=True, exist_ok=True)
    with _inside(folder):
        return KindCluster(
            name,
            kubeconfig=folder / "kubeconfig",
            image=NODE_IMAGE,
            kind_path=Path(find("kind")),
            kubectl_path=Path(find("kubectl")),
        )


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Be in a folder while pytest-kind makes its own below the current one."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def exists(name: str) -> bool:
    """Tell whether kind knows a cluster of that name."""
    return name in run([find("kind"), "get", "clusters"], timeout=60).split()


def create(cluster: KindCluster) -> None:
    """Create the cluster, or take the one that is there, and write its kubeconfig; StepError if it cannot be."""
    command = [
        str(cluster.kind_path),
        "create",
        "cluster",
        f"--name={cluster.name}",
        f"--image={cluster.image}",
    ]
    kubeconfig = Path(cluster.kubeconfig_path)
    if not exists(cluster.name):
        run([*command, f"--kubeconfig={kubeconfig}"], timeout=300)
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(
        run([str(cluster.kind_path), "get", "kubeconfig", f"--name={cluster.name}"], timeout=60)
    )
    cluster.create()  # finds it there, and connects


def delete(name: str, folder: Path) -> None:
    """Remove the cluster and what was kept of it; a cluster that is not there is no error."""
    kubeconfig = f"--kubeconfig={folder / 'kubeconfig'}"
    run([find("kind"), "delete", "cluster", f"--name={name}", kubeconfig], timeout=120)
    shutil.rmtree(folder, ignore_errors=True)


def load(name: str, *images: str) -> None:
    """Put images of the local store into the cluster's nodes, where no pull is needed for them."""
    run([find("kind"), "load", "docker-image", f"--name={name}", *images], timeout=600)
