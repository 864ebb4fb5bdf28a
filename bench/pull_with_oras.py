"""What one writes with oras-py to get a ModelKit's files: pull the layers to disk, then unpack each with tarfile.

`python pull_with_oras.py HOST/REPOSITORY:TAG DESTINATION [--plain-http]`, in an environment that has oras.
"""

import os
import sys
import tarfile

import oras.client  # type: ignore[import-not-found,unused-ignore]

_PATH = "org.cncf.model.filepath"


def main() -> None:
    """Pull and unpack; oras-py checks no digest."""
    reference, destination, *flags = sys.argv[1:]
    client = oras.client.OrasClient(insecure="--plain-http" in flags)
    manifest = client.get_manifest(reference)
    layers = {layer["digest"]: layer for layer in manifest["layers"]}
    for path in client.pull(target=reference, outdir=destination):
        layer = layers[os.path.basename(path)]
        if ".raw" in layer["mediaType"]:
            place = os.path.join(destination, layer["annotations"][_PATH])
            os.makedirs(os.path.dirname(place), exist_ok=True)
            os.rename(path, place)
            continue
        with tarfile.open(path) as archive:
            # the kit is our own; Pythons before 3.11.4 know no filters
            archive.extraction_filter = lambda entry, _: entry
            archive.extractall(destination)  # noqa: S202
        os.unlink(path)


if __name__ == "__main__":
    main()
