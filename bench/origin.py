"""Where kits are pulled from: a real registry on loopback, and a slow link in front of it."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kit_conformance.testbed.kits import push
from kit_conformance.testbed.registry.tls import TLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.shapes import Link
    from kit_conformance.testbed.kits import ModelKit

REPOSITORY, TAG, IMAGE_TAG = "bench/model", "v1", "image"
_START_S = 20.0
_OCI_LAYERS = {"tar": "tar", "tar+gzip": "tar+gzip", "tar+zstd": "tar+zstd"}


class MissingError(RuntimeError):
    """Something that the benchmark cannot do without is not on this machine."""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Origin(NamedTuple):
    """Where a kit is pulled from: `host:port`, and the authority that vouches for it; None: plain HTTP."""

    host: str
    authority: Path | None = None


@contextmanager
def registry(folder: Path, tls: TLS | None = None) -> Iterator[str]:
    """Run Debian's docker-registry (CNCF distribution) over a folder; yields its host:port."""
    binary = shutil.which("docker-registry")
    if binary is None:
        raise MissingError("needs a registry: `apt-get install docker-registry`")
    host = f"127.0.0.1:{_free_port()}"
    name = "plain" if tls is None else "tls"
    config = folder / f"{name}.json"  # JSON is YAML
    secure = {} if tls is None else {"tls": {"certificate": str(tls.server_pem), "key": str(tls.server_pem)}}
    settings = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
        "http": {"addr": host, **secure},
    }
    config.write_text(json.dumps(settings), encoding="utf-8")
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([binary, "serve", str(config)], stdout=log, stderr=log, env={})
    try:
        _answers(host, process)
        yield host
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def secured(folder: Path, *, wanted: bool, host: str) -> Iterator[Origin]:
    """Serve what the registry at `host` has in its folder over TLS as well, where that is wanted."""
    if not wanted:
        yield Origin(host)
        return
    tls = TLS()
    try:
        with registry(folder, tls) as secure:
            yield Origin(secure, tls.ca_file)
    finally:
        tls.close()


def _answers(host: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    name, _, port = host.rpartition(":")
    while True:
        with contextlib.suppress(OSError), socket.create_connection((name, int(port)), timeout=2):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise MissingError(f"docker-registry does not answer on {host}")
        time.sleep(0.02)


@contextmanager
def slowed(origin: Origin, link: Link | None) -> Iterator[Origin]:
    """Put a link in front of a registry; yields where it is reached, the registry itself without one."""
    if link is None:
        yield origin
        return
    name, _, port = origin.host.rpartition(":")
    script = str(Path(__file__).with_name("throttle.py"))
    command = [sys.executable, script, name, port, str(link.bytes_per_second), str(link.seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield origin._replace(host=f"127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()


def publish(kit: ModelKit, host: str) -> None:
    """Push a kit, and beside it the same layers as the image that KServe's own initializer takes."""
    push(kit, host, REPOSITORY, TAG)
    connection = http.client.HTTPConnection(host, timeout=60)
    body = image(kit)
    headers = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
    connection.request("PUT", f"/v2/{REPOSITORY}/manifests/{IMAGE_TAG}", body, headers)
    answer = connection.getresponse()
    if answer.status != 201:
        raise RuntimeError(f"the registry refused the image: {answer.status} {answer.read()!r}")
    connection.close()


def image(kit: ModelKit) -> bytes:
    """Return the manifest of an OCI image with the kit's own blobs: the same bytes under other media types."""
    layers = []
    for layer in kit.layers:
        suffix = layer.media_type.partition(".v1.")[2]
        kind = _OCI_LAYERS.get(suffix, suffix)
        layers.append({**layer.descriptor(), "mediaType": f"application/vnd.oci.image.layer.v1.{kind}"})
    manifest = json.loads(kit.manifest)
    manifest["mediaType"] = "application/vnd.oci.image.manifest.v1+json"
    manifest["layers"] = layers
    manifest.pop("artifactType", None)
    return json.dumps(manifest).encode()
