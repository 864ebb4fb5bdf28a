"""Regular expressions as KServe sees them: Go's regexp, by RE2, with the few things in which the two differ."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

try:
    import re2
except ImportError:  # the extra "lint" brings it
    re2 = None

MISSING: Final = "install kit-conformance[lint], which brings RE2"
_MEMORY: Final = 256 << 20  # RE2's own limit of 8 MiB is smaller than what Go allows
_SIZE: Final = 64 << 10
_GROUPS: Final = 200
_ESCAPES: Final = re.compile(r"\\Q.*?(?:\\E|\Z)|\\.", re.DOTALL)
_CLASS: Final = re.compile(r"invalid character class range: (\\[pP]\{\^?[A-Za-z_ -]+\})")
# Categories and their long names that Go knows from 1.25 on: a KServe built with an older one refuses them.
_SINCE_1_25: Final = frozenset(
    [
        "ascii",
        "assigned",
        "cn",
        "lc",
        "letter",
        "casedletter",
        "lowercaseletter",
        "uppercaseletter",
        "titlecaseletter",
        "modifierletter",
        "otherletter",
        "mark",
        "combiningmark",
        "nonspacingmark",
        "spacingmark",
        "enclosingmark",
        "number",
        "decimalnumber",
        "digit",
        "letternumber",
        "othernumber",
        "punctuation",
        "punct",
        "connectorpunctuation",
        "dashpunctuation",
        "openpunctuation",
        "closepunctuation",
        "initialpunctuation",
        "finalpunctuation",
        "otherpunctuation",
        "symbol",
        "mathsymbol",
        "currencysymbol",
        "modifiersymbol",
        "othersymbol",
        "separator",
        "spaceseparator",
        "lineseparator",
        "paragraphseparator",
        "other",
        "control",
        "cntrl",
        "format",
        "surrogate",
        "privateuse",
        "unassigned",
    ]
)


class Pattern(NamedTuple):
    """A regex: why it is invalid, or why nothing can be said about it, or neither and what it matches."""

    invalid: str = ""
    unjudged: str = ""
    compiled: Any = None

    def matches(self, uri: str) -> bool | None:
        """Say whether Go finds a match anywhere in the URI; None if that cannot be judged."""
        if self.compiled is None:
            return None if self.unjudged else False
        return self.compiled.search(_text(uri)) is not None


@lru_cache(maxsize=256)
def judge(regex: str) -> Pattern:
    """Judge a regex as Go's regexp.Compile does."""
    if re2 is None:
        return Pattern(unjudged=MISSING)
    if len(regex) > _SIZE or regex.count("(") > _GROUPS:  # Go has a limit of depth that RE2 has not
        return Pattern(unjudged=f"it has more than {_SIZE} characters or {_GROUPS} groups")
    if any(found.group() == "\\C" for found in _ESCAPES.finditer(regex)):
        return Pattern(invalid="Go does not know \\C")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        compiled = re2.compile(_text(regex), options=options)
    except re2.error as error:
        return _refused(error.args[0] if error.args else "")
    foreign = [name for name in compiled.groupindex if not name.isascii()]
    if foreign:
        return Pattern(invalid=f"the name of group {foreign[0]} is not ASCII")
    return Pattern(compiled=compiled)


def _refused(error: bytes | str) -> Pattern:
    text = error.decode("utf-8", "replace") if isinstance(error, bytes) else str(error)
    found = _CLASS.fullmatch(text)
    if found and re.sub(r"[^a-z]", "", found[1][2:].lower()) in _SINCE_1_25:
        return Pattern(unjudged=f"only a KServe that was built with Go 1.25 or later knows {found[1]}")
    if text.startswith("pattern too large"):
        return Pattern(unjudged="it is too large")
    return Pattern(invalid=text)


def _text(value: str) -> str:
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
