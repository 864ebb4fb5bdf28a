"""Ways in which a registry, or the network before it, misbehaves.

A fault is a small class that overrides what it changes of an exchange, in the order in which things happen:
`answer` (instead of the registry), `amend` (the registry's response), `head` (its bytes), `stream` (the
body's bytes). Several can be in force at once; each sees what the one before it has made. `Registry.inject`
says for which requests.
"""

from kit_conformance.testbed.registry.faults.answers import (
    Chunked,
    ExpireTokens,
    Header,
    NoHead,
    NoRange,
    Status,
    Text,
    WrongContentRange,
    WrongLength,
    no_digest_header,
    wrong_digest_header,
)
from kit_conformance.testbed.registry.faults.base import BodyFault, Exchange, Fault
from kit_conformance.testbed.registry.faults.content import Compressed, Replace, Tamper
from kit_conformance.testbed.registry.faults.crowds import Crowded
from kit_conformance.testbed.registry.faults.endless import (
    Endless,
    EndlessTrailers,
)
from kit_conformance.testbed.registry.faults.logins import Challenge, RepeatLogin
from kit_conformance.testbed.registry.faults.network import (
    Bandwidth,
    Cut,
    Drop,
    Garbage,
    Hang,
    Latency,
    Reset,
    Slices,
    Stall,
)
from kit_conformance.testbed.registry.faults.ranges import EarlierRange, Multipart, RefuseRange
from kit_conformance.testbed.registry.faults.redirects import (
    Redirect,
    RedirectLoop,
    RedirectTo,
    StoreRefusal,
)

__all__ = [
    "Bandwidth",
    "BodyFault",
    "Challenge",
    "Chunked",
    "Compressed",
    "Crowded",
    "Cut",
    "Drop",
    "EarlierRange",
    "Endless",
    "EndlessTrailers",
    "Exchange",
    "ExpireTokens",
    "Fault",
    "Garbage",
    "Hang",
    "Header",
    "Latency",
    "Multipart",
    "NoHead",
    "NoRange",
    "Redirect",
    "RedirectLoop",
    "RedirectTo",
    "RefuseRange",
    "RepeatLogin",
    "Replace",
    "Reset",
    "Slices",
    "Stall",
    "Status",
    "StoreRefusal",
    "Tamper",
    "Text",
    "WrongContentRange",
    "WrongLength",
    "no_digest_header",
    "wrong_digest_header",
]
