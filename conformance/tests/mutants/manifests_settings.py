"""The good manifest with one mistake each, for the rules about what is set."""

from __future__ import annotations

from conformance.tests.mutants.manifests import Broken


def _variable(name: str, value: str) -> Broken:
    return Broken("    env:\n", f'    env:\n      - {{name: {name}, value: "{value}"}}\n')


BROKEN_SETTINGS = {
    "variable-value": _variable("KIT_ENGINE", "nativ"),
    "variable-unknown": _variable("KIT_CONCURENCY", "4"),
    "unpack-flags": _variable("KIT_UNPACK_FLAGS", "--plain-htp"),
    "secret-in-plain-text": _variable("KIT_PASSWORD", "open-sesame"),
    "image-registry": Broken("image: r.example/kit-initializer:1.2.3", "image: kit-initializer:1.2.3"),
    "uri-key": Broken("storageUri: kit://", "storageURI: kit://"),
    "uri-twice": Broken(
        "    model:\n",
        '    storageUris: [{uri: "kit://r.example/a:1.0.0", mountPath: /mnt/models/a}]\n    model:\n',
    ),
}
