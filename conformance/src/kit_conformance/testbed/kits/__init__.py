"""ModelKits without Kit: packed byte for byte as Kit packs them, by hand, and hostile.

`pack` takes a folder with its Kitfile, or files and a Kitfile as values; `single` takes any bytes at all as a layer.
"""

from kit_conformance.testbed.kits.kitfile import KitfileError
from kit_conformance.testbed.kits.modelpack import foreign_modelpack, modelpack
from kit_conformance.testbed.kits.pack import assemble, index, layer, pack, single
from kit_conformance.testbed.kits.push import PushError, push, reach
from kit_conformance.testbed.kits.tars import Header, Tar
from kit_conformance.testbed.kits.values import Blob, FileFact, ModelKit, Noise, Source

__all__ = [
    "Blob",
    "FileFact",
    "Header",
    "KitfileError",
    "ModelKit",
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
    "reach",
    "single",
]
