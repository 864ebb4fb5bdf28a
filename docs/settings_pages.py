"""Make docs/environment.md and docs/flags.md from the tables that the initializer itself reads by.

`python docs/settings_pages.py` writes the pages, `--check` compares them with those that are there (exit 1: they are
out of date).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kit_initializer.settings.flags import FLAGS, Flag
from kit_initializer.settings.variables import GROUPS, VARIABLES

FOLDER = Path(__file__).parent
MADE = "This page is made by `python docs/settings_pages.py`.\n"

ENVIRONMENT = f"""# Environment
Everything but the pairs of source and destination is set by the environment, which is read once. What cannot be acted
on is exit 2, and says what to write instead. Names that are not in these tables are ignored, also those that begin
with `KIT_`: a Service named `kit` makes Kubernetes add such names to every pod. An empty value is as good as none.

Set them as `env` of the container in the ClusterStorageContainer. For a secret use `valueFrom` with
`secretKeyRef` and `optional: true`: without `optional`, pods in namespaces without the secret do not start. How logins
are found is told in [credentials](credentials.md), what `KIT_UNPACK_FLAGS` may hold in [flags](flags.md).

{MADE}"""
FLAG_HEAD = f"""# Flags of `kit unpack`
`KIT_UNPACK_FLAGS` holds flags of `kit unpack`, split into words as a shell does: quotes and backslashes work, and a new
line is a space. They are read as Kit reads them: `--flag=value` or `--flag value`, `-f value`, switches also as
`--flag=true` and `--flag=false`, one-letter switches together (`-oi`, `-vv`). Of a flag given twice the last one
counts, except for those marked *repeatable*.

With `KIT_ENGINE=native` (the default) an unknown flag is exit 2 and names the nearest one. With `KIT_ENGINE=kit` flags
that are not in the table go to Kit as they are.

A filter is `types[:names]`: types out of `kitfile`, `model` (its parts as well), `datasets`, `code`, `docs`, `prompts`
and `mcpservers`, names of parts or their paths in the Kitfile, each list split on commas. With several filters, what
any of them selects is brought. Two things differ from Kit: `./m` is `m` and `code/` is `code`, and selecting nothing is
exit 11. A parent's model counts as `model`.

{MADE}
| flag | `KIT_ENGINE=native` | `KIT_ENGINE=kit` |
|---|---|---|
"""


def environment() -> str:
    """Return the page of variables."""
    parts = [ENVIRONMENT]
    for group in GROUPS:
        parts.append(f"\n## {group}\n| name | default | meaning |\n|---|---|---|\n")
        parts += [
            f"| `{variable.name}` | {_code(variable.default)} | {variable.meaning} |\n"
            for variable in VARIABLES
            if variable.group == group
        ]
    return "".join(parts)


def flags() -> str:
    """Return the page of flags."""
    return FLAG_HEAD + "".join(f"| {_flag(flag)} | {_native(flag)} | {_kit(flag)} |\n" for flag in FLAGS)


def _code(default: str) -> str:
    return f"`{default}`" if default and " " not in default and "'" not in default else default


def _flag(flag: Flag) -> str:
    short = f"`-{flag.short}`, " if flag.short else ""
    return f"{short}`--{flag.name}`" + (" *(repeatable)*" if flag.kind == "list" else "")


def _native(flag: Flag) -> str:
    if flag.refused:
        return f"exit 2: {flag.refused}"
    return "exit 2: only Kit can do it" if flag.kit_only else flag.native


def _kit(flag: Flag) -> str:
    return "the same" if flag.refused else flag.kit


def main(*, check: bool) -> int:
    """Write or check the pages."""
    pages = {"environment.md": environment(), "flags.md": flags()}
    if check:
        return int(any((FOLDER / name).read_text(encoding="utf-8") != text for name, text in pages.items()))
    for name, text in pages.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    sys.exit(main(check=parser.parse_args().check))
