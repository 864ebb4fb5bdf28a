"""What the initializer's image weighs, by part: `nox -s image_size -- [IMAGE] [--docs]`.

A registry holds each layer compressed by gzip, as `docker push` does; that is what a node downloads before any model. A
part is compressed by itself, so that the parts add up to a little more or less than the layers.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zlib
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.__main__ import PAGE, filled
from bench.results import BUDGET
from bench.tables import table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MB = 1_000_000
_LEVEL = 6  # of Docker's gzip
_SITE = "site-packages/"
_KEYLESS = (
    "annotated_types id jwt platformdirs pydantic pydantic_core rekor_types rfc3161_client rfc8785 securesystemslib"
    " sigstore sigstore_models tuf typing_extensions typing_inspection"
)
_PACKAGES = {
    "sigstore and what it needs, for keyless signatures": _KEYLESS.split(),
    "cryptography": ["_cffi_backend", "cffi", "cryptography"],
    "botocore, for Amazon ECR": ["botocore", "dateutil", "jmespath", "python_dateutil", "six"],
    "google-auth and requests, for Google (and sigstore)": (
        ["certifi", "charset_normalizer", "google", "google_auth", "idna", "requests", "urllib3"]
    ),
    "isal, zstd and PyYAML": ["_yaml", "backports", "backports_zstd", "isal", "pyyaml", "yaml"],
    "kit_initializer": ["kit_initializer"],
}
_OF = {module: part for part, modules in _PACKAGES.items() for module in modules}
OTHER = "other packages"
PYTHON, LIBRARIES, KIT = (
    "Python and its standard library",
    "the system's libraries and certificates",
    "Kit's CLI",
)
COMPILED = "of all of these: compiled modules"


class Weight(NamedTuple):
    """Bytes of one part, as they are and compressed."""

    plain: int
    packed: int


class Packed:
    """Counts what is written, before and after gzip."""

    def __init__(self) -> None:
        self._gzip = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
        self._plain = self._packed = 0

    def write(self, data: bytes) -> None:
        """Take some bytes."""
        self._plain += len(data)
        self._packed += len(self._gzip.compress(data))

    def weigh(self) -> Weight:
        """Return what was written; nothing may be written afterwards."""
        return Weight(self._plain, self._packed + len(self._gzip.flush()))


def part_of(name: str) -> str:
    """Return the part that a path within the image belongs to."""
    if _SITE in name:
        first = name.partition(_SITE)[2].partition("/")[0]
        return _OF.get(first.partition(".")[0].partition("-")[0].lower(), OTHER)
    if name.startswith("opt/kit-initializer"):
        return _OF["kit_initializer"]
    if name.removeprefix("./") == "usr/local/bin/kit":
        return KIT
    return PYTHON if "python3" in name else LIBRARIES


def weigh(saved: Path) -> tuple[Weight, dict[str, Weight]]:
    """Return what all layers of a `docker save` weigh, and each part."""
    parts: dict[str, Packed] = defaultdict(Packed)
    plain = packed = 0
    with tarfile.open(saved) as archive:
        (image,) = json.loads(_read(archive, "manifest.json"))
        for name in image["Layers"]:
            data = _read(archive, name)
            data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
            whole = Packed()
            whole.write(data)
            total = whole.weigh()
            plain, packed = plain + total.plain, packed + total.packed
            with tarfile.open(fileobj=io.BytesIO(data)) as layer:
                for member in layer:
                    file = layer.extractfile(member) if member.isreg() else None
                    content = file.read() if file else b""
                    parts[part_of(member.name)].write(content)
                    if member.name.endswith(".pyc"):
                        parts[COMPILED].write(content)
    return Weight(plain, packed), {part: sink.weigh() for part, sink in parts.items()}


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file, name
    return file.read()


def section(whole: Weight, parts: Mapping[str, Weight]) -> str:
    """Return the table of the page: the image first, then its parts, the heaviest first."""
    heaviest = sorted(parts.items(), key=lambda item: (item[0] == COMPILED, -item[1].packed))
    rows = [[part, f"{plain / MB:.1f}", f"{packed / MB:.1f}"] for part, (plain, packed) in heaviest]
    whole_row = ["**the image**", f"**{whole.plain / MB:.0f}**", f"**{whole.packed / MB:.1f}**"]
    return table(["MB", "on the node", "downloaded"], [whole_row, *rows])


def main(arguments: Sequence[str] | None = None) -> int:
    """Weigh an image, print the table and return the exit code: 1 if it is over the budget."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("image", nargs="?", default="kit-initializer:dev", help="in Docker's local store")
    parser.add_argument("--docs", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder, "image.tar")
        done = subprocess.run(["docker", "save", "--output", str(saved), options.image], check=False)
        if done.returncode:
            print(f"image: {options.image} cannot be read; build it first: nox -s image", file=sys.stderr)
            return 2
        whole, parts = weigh(saved)
    text = section(whole, parts)
    print(text)
    if options.docs:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), {"image": text}), encoding="utf-8")
    limit = tomllib.loads(BUDGET.read_text(encoding="utf-8"))["image"]["limit"]
    print(f"\n{whole.packed / MB:.1f} MB compressed, at most {limit} MB")
    return int(whole.packed > limit * MB)


if __name__ == "__main__":
    sys.exit(main())
