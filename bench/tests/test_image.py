"""The image's weight is counted by part, over all layers."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from typing import TYPE_CHECKING

from bench import image

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VENV = "opt/kit-initializer/lib/python3.13/site-packages"


def tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_parts_are_told_by_their_path() -> None:
    parts = {
        f"{VENV}/sigstore/verify/verifier.py": "sigstore and what it needs, for keyless signatures",
        f"{VENV}/pydantic_core-2.0.dist-info/METADATA": "sigstore and what it needs, for keyless signatures",
        f"{VENV}/_cffi_backend.cpython-313-x86_64-linux-gnu.so": "cryptography",
        f"{VENV}/botocore/data/sts/service-2.json.gz": "botocore, for Amazon ECR",
        f"{VENV}/new/__init__.py": image.OTHER,
        "opt/kit-initializer/bin/kit-initializer": "kit_initializer",
        "usr/local/bin/kit": image.KIT,
        "usr/lib/python3.13/json/__init__.py": image.PYTHON,
        "usr/lib/x86_64-linux-gnu/libssl.so.3": image.LIBRARIES,
    }
    assert {path: image.part_of(path) for path in parts} == parts


def test_layers_are_weighed_as_a_registry_holds_them(tmp_path: Path) -> None:
    plain = tar({"usr/local/bin/kit": b"k" * 500_000})
    packed = gzip.compress(tar({f"{VENV}/yaml/__init__.pyc": bytes(range(256)) * 10}))
    manifest = json.dumps([{"Layers": ["one/layer.tar", "blobs/sha256/two"]}]).encode()
    (tmp_path / "image.tar").write_bytes(
        tar({"one/layer.tar": plain, "blobs/sha256/two": packed, "manifest.json": manifest})
    )
    whole, parts = image.weigh(tmp_path / "image.tar")
    assert whole.plain > 500_000
    assert whole.packed < 10_000
    assert {part: weight.plain for part, weight in parts.items()} == {
        image.KIT: 500_000,
        "isal, zstd and PyYAML": 2560,
        image.COMPILED: 2560,
    }
    rows = image.section(whole, parts).splitlines()
    assert "the image" in rows[2]
    assert image.COMPILED in rows[-1], "what is counted twice comes last"
