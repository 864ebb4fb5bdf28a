"""Verified files to a published tree: staging, the record, renames entry by entry, restarts."""

from kit_initializer.publish.destination import Destination, Staging, explain
from kit_initializer.publish.merge import Collisions, Delivery, publish
from kit_initializer.publish.record import RECORD_NAME, Entry, Kit

__all__ = [
    "RECORD_NAME",
    "Collisions",
    "Delivery",
    "Destination",
    "Entry",
    "Kit",
    "Staging",
    "explain",
    "publish",
]
