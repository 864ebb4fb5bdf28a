"""What `kit-initializer --help` prints, from the tables that the documentation is made of."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from kit_initializer import __version__, errors
from kit_initializer.settings.variables import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

_MATTER = (
    *("KIT_USER", "KIT_PASSWORD", "KIT_DOCKER_CONFIG_JSON", "KIT_UNPACK_FLAGS", "KIT_CA_CERT"),
    *(
        "KIT_SIGNATURE_POLICY",
        "KIT_ENGINE",
        "KIT_CONCURRENCY",
        "KIT_TOTAL_TIMEOUT",
        "KIT_RECORD",
        "KIT_LOG_FORMAT",
        "KIT_LOG_LEVEL",
    ),
)
_WIDTH = 100
_BUG = errors.InitializerError.exit_code


def text(usage: str) -> str:
    """Return the whole text, which begins with the line of usage."""
    codes = {each.exit_code: each for each in _causes()}
    parts = [
        usage,
        "",
        *_filled(
            "",
            f"kit-initializer {__version__} brings ModelKits from an OCI registry into folders. Every byte is "
            "checked against its digest before a file is visible; a run that fails leaves what was there.",
        ),
        "",
        "arguments:",
        *_filled("SRC", "kit://HOST[:PORT]/REPOSITORY:TAG or …@sha256:DIGEST"),
        *_filled("DEST", "the folder for it; it is made where it is missing"),
        *_filled(
            "check SRC… [DEST]",
            "look at kits and bring nothing: digest, size, parts, which login is used, whether they are signed as "
            "the policy wants, and whether they fit into DEST (/mnt/models)",
        ),
        "",
        "environment (all of it: docs/environment.md):",
        *(
            line
            for each in VARIABLES
            if each.name in _MATTER
            for line in _filled(each.name, _plain(each.meaning))
        ),
        "",
        "exit codes:",
        *_filled("0", "every kit is in place"),
        *(
            line
            for code in sorted(codes)
            for line in _filled(str(code), (codes[code].__doc__ or "").split("\n")[0])
        ),
        *_filled("70", "a cause that nobody has thought of: please report it"),
        *_filled("143", "ended by SIGTERM; the next run goes on"),
        "",
        "example:",
        "  KIT_UNPACK_FLAGS=--plain-http kit-initializer kit://localhost:5000/iris:v1 /mnt/models",
        "",
        "more: docs/serve.md, docs/signatures.md, docs/environment.md, docs/exit-codes.md",
    ]
    return "\n".join(parts) + "\n"


def _causes() -> Iterator[type[errors.InitializerError]]:
    for each in vars(errors).values():
        if isinstance(each, type) and issubclass(each, errors.InitializerError) and each.exit_code != _BUG:
            yield each


def _plain(markdown: str) -> str:
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", markdown).replace("`", "")


def _filled(name: str, meaning: str) -> list[str]:
    if not name:
        return textwrap.wrap(meaning, _WIDTH)
    return textwrap.wrap(meaning, _WIDTH, initial_indent=f"  {name:<23} ", subsequent_indent=" " * 26)
