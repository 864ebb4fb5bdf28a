"""A KServe storage initializer for ModelKits: `kit-initializer SRC DEST [SRC DEST …]`."""

__version__ = "0.1.0"
