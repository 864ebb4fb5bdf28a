"""Verified files to a published tree: staging, the record, renames entry by entry, restarts."""

from kit_initializer.publish.destination import Destination
from kit_initializer.publish.folders import explain
from kit_initializer.publish.merge import Collisions, Delivery, publish
from kit_initializer.publish.record import RECORD_NAME, PublishedKit
from kit_initializer.publish.staging import STAGING_PREFIX, Staging

__all__ = [
    "RECORD_NAME",
    "STAGING_PREFIX",
    "Collisions",
    "Delivery",
    "Destination",
    "PublishedKit",
    "Staging",
    "explain",
    "publish",
]
