"""A secret does not show itself."""

from __future__ import annotations

import base64
import copy
import json
import pickle
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit_initializer import secret as module
from kit_initializer.secret import Secret, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True, scope="module")
def _forgotten() -> Iterator[None]:
    """Forget the secrets of these tests: they would be struck out of what others in this process look at."""
    before = set(module._held)
    yield
    module._held.clear()
    module._held.update(before)


def test_no_way_of_printing_shows_it() -> None:
    secret = Secret("grey-otter")
    for text in (str(secret), repr(secret), f"{secret}", f"{secret!r}", f"{secret:>3}", f"{[secret]}"):
        assert text.strip("[]") == "***"
    assert f"{secret:>5}" == "  ***"
    assert secret.reveal() == "grey-otter"


def test_it_is_compared_by_its_text() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert Secret("a")
    assert not Secret("")


def test_it_is_not_serialised() -> None:
    for way in (pickle.dumps, copy.deepcopy, copy.copy):
        with pytest.raises(TypeError):
            way(Secret("grey-otter"))


# no blank and no asterisk: what stands in a secret's place has some
_LETTERS = st.characters(
    min_codepoint=0x21, max_codepoint=0x2FF, exclude_characters="*", exclude_categories=("C", "Z")
)
_WRITTEN: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 of URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "URL-quoted": lambda text: quote(text, safe=""),
    "URL-quoted but for /": quote,
    "a form": quote_plus,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "a header": lambda text: text.encode().decode("latin-1"),
}


@settings(max_examples=300, deadline=None)
@given(
    held=st.text(_LETTERS, min_size=4, max_size=40),
    before=st.text(max_size=30),
    after=st.text(max_size=30),
    limit=st.none() | st.integers(4, 60),
    scheme=st.sampled_from(["", "Bearer "]),
)
def test_no_way_of_writing_it_is_printed(
    held: str, before: str, after: str, limit: int | None, scheme: str
) -> None:
    Secret(scheme + held)
    for way, write in _WRITTEN.items():
        written = write(held)
        shown = printable(f"{before}{written}{after}", limit)
        assert written not in shown, way
        assert shown.isprintable()
        assert limit is None or len(shown) <= limit


def test_a_short_secret_is_struck_where_it_stands_alone() -> None:
    Secret("q7")
    assert printable("q7, (q7) and q7x") == "***, (***) and q7x"


def test_what_steers_a_terminal_or_turns_text_is_replaced() -> None:
    assert printable("a\x1b[31mb\x07\x9b\x7f\u202ec\nd") == "a\ufffd[31mb\ufffd\ufffd\ufffd\ufffdc d"


def test_no_half_of_a_secret_is_left_by_a_limit() -> None:
    Secret("brown-badger")
    for limit in range(1, 30):
        assert "brow" not in printable("it said brown-badger", limit)
