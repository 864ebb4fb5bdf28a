"""A secret does not show itself."""

from __future__ import annotations

import copy
import pickle

import pytest

from kit_initializer.secret import Secret


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
