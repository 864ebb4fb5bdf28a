"""Random changes to bytes and to JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

PIECES = [
    b"../",
    b"/",
    b"\0",
    b"..",
    b"\xff",
    b"a" * 300,
    b"0",
    b"7" * 11,
    b"\x80",
    b"PAX",
    b"GNU.sparse.major",
    b"30 path=",
]


def changed(data: bytes, dice: random.Random, pieces: list[bytes] = PIECES) -> bytes:
    """Change a few things at random places."""
    body = bytearray(data)
    for _ in range(dice.randint(0, 4)):
        at = dice.randrange(len(body) + 1)
        what = dice.randrange(5)
        if what == 0 and body:
            body[at % len(body)] ^= 1 << dice.randrange(8)
        elif what == 1:
            del body[at:]
        elif what == 2:
            body[at : at + dice.choice([1, 12, 512])] = dice.choice(pieces)
        elif what == 3:
            block = at - at % 512
            body[block:block] = body[block : block + 512]
        else:
            body += dice.choice([b"x", bytes(512), bytes(data[:1000])])
    return bytes(body)


VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1.5,
        1e308,
        10**30,
        "",
        "x",
        "\x1b[31m",
        "a" * 5000,
        "\ud800",
        "../x",
        "sha256:",
        "\0",
    ),
    *([], {}, [[]], [{}], {"": None}, [None] * 50, {"digest": 1, "size": "1", "mediaType": []}),
]


_DEEP = "deep"  # stands for lists within lists, of which the encoder can write fewer than a text may have


def dumped(value: object) -> str:
    """Return JSON as text."""
    return json.dumps(value).replace(f'"{_DEEP}"', "[" * 3000 + "]" * 3000)


def altered(value: Any, dice: random.Random) -> Any:  # noqa: ANN401 - JSON
    """Return JSON with one node, somewhere, replaced, left out, repeated or nested."""
    if isinstance(value, dict) and value and dice.random() < 0.8:
        key = dice.choice(list(value))
        changed_value = {**value, key: altered(value[key], dice)}
        if dice.random() < 0.1:
            del changed_value[key]
        elif dice.random() < 0.05:
            changed_value[dice.choice(["", "x", key.upper(), "\ud800"])] = value[key]
        return changed_value
    if isinstance(value, list) and value and dice.random() < 0.8:
        at = dice.randrange(len(value))
        items = [*value[:at], altered(value[at], dice), *value[at + 1 :]]
        return items * dice.choice([1, 1, 1, 2, 40])
    if dice.random() < 0.1:
        nested = value
        for _ in range(dice.choice([1, 30, 90])):
            nested = [nested] if dice.random() < 0.5 else {"model": nested}
        return nested
    return dice.choice([*VALUES, _DEEP, value])
