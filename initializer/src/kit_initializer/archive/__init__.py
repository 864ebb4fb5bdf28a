"""Layers to files below a directory handle: tar or raw; plain, gzip or zstd; plain files and directories only."""

from kit_initializer.archive.limits import Limits
from kit_initializer.archive.tree import Tree
from kit_initializer.archive.unpack import unpack

__all__ = ["Limits", "Tree", "unpack"]
