"""ModelKits without Kit: packed byte for byte as Kit packs them, by hand, and hostile.

kit = pack(Path("fixtures/modelkits/sklearn-iris")) kit = pack({"model.bin": b"…"}, {"manifestVersion":
"1.0.0", "package": {}, "model": {"path": "model.bin"}}) kit = single(bytes(Tar().file("../escape")))
# any bytes at all as a layer
"""

from kit_conformance.testbed.kits.kitfile import KitfileError
from kit_conformance.testbed.kits.modelpack import foreign_modelpack, modelpack
from kit_conformance.testbed.kits.pack import assemble, index, layer, pack, single
from kit_conformance.testbed.kits.push import PushError, push
from kit_conformance.testbed.kits.tars import Header, Tar
from kit_conformance.testbed.kits.values import Blob, FileFact, Kit, Noise, Source

__all__ = [
    "Blob",
    "FileFact",
    "Header",
    "Kit",
    "KitfileError",
    "Noise",
    "PushError",
    "Source",
    "Tar",
    "assemble",
    "foreign_modelpack",
    "index",
    "layer",
    "modelpack",
    "pack",
    "push",
    "single",
]
