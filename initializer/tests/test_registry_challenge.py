"""WWW-Authenticate: every way to write challenges down is read, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit_initializer.registry.challenge import Challenge, parse

_NAME = st.text("!#$%&'*+-.^_`|~0123456789azAZ", min_size=1, max_size=5)
_TOKEN68 = st.from_regex(r"[0-9A-Za-z._~+/-]{1,6}={0,2}", fullmatch=True)
_TEXT = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]) | st.just("\t"), max_size=8)
_PARAMETERS = st.dictionaries(_NAME.map(str.lower), _TEXT, max_size=3)
_CHALLENGE = st.builds(Challenge, _NAME.map(str.lower), _PARAMETERS, st.just("")) | st.builds(
    Challenge, _NAME.map(str.lower), st.just({}), _TOKEN68
)
_BLANKS = st.text(" \t", max_size=2)


def written(challenges: list[Challenge], draw: st.DrawFn) -> str:
    """Write challenges down, each detail in one of the ways that the grammar has for it."""

    def one(*choices: str) -> str:
        return draw(st.sampled_from(choices))

    def comma() -> str:
        return one(",", ", ", " ,", ",,", ", \t ,")

    def value(text: str) -> str:
        if text and all(letter in "abcAZ019-._~" for letter in text) and draw(st.booleans()):
            return text
        pairs = (f"\\{x}" if x in '\\"' or draw(st.booleans()) else x for x in text)
        return f'"{"".join(pairs)}"'

    members = []
    for challenge in challenges:
        scheme = one(challenge.scheme, challenge.scheme.upper())
        parameters = [
            f"{one(name, name.upper())}{draw(_BLANKS)}={draw(_BLANKS)}{value(text)}"
            for name, text in challenge.parameters.items()
        ]
        if challenge.token68:
            members.append(f"{scheme} {challenge.token68}")
        elif parameters:
            members += [f"{scheme}{one(' ', '  ', ' , ', ' ,,')}{parameters[0]}", *parameters[1:]]
        else:
            members.append(scheme)
    text = "".join(member + comma() for member in members)
    return one("", ",", " , ") + (text if draw(st.booleans()) else text.rstrip(" ,\t"))


@given(st.lists(_CHALLENGE, max_size=3), st.data())
def test_whatever_the_grammar_allows_is_read(challenges: list[Challenge], data: st.DataObject) -> None:
    @st.composite
    def text(draw: st.DrawFn) -> str:
        return written(challenges, draw)

    assert parse(data.draw(text())) == challenges


@given(st.text(max_size=40) | st.text('Basic realm="x",= \\;', max_size=40))
def test_anything_else_is_refused(text: str) -> None:
    try:
        challenges = parse(text)
    except ValueError:
        return
    for scheme, parameters, token68 in challenges:
        assert scheme == scheme.lower() != ""
        assert all(name == name.lower() != "" for name in parameters)
        assert not (parameters and token68)


@pytest.mark.parametrize(
    ("text", "challenges"),
    [
        ("", []),
        (" ,, ", []),
        ("Basic", [Challenge("basic", {})]),
        ('BASIC realm="a, b"', [Challenge("basic", {"realm": "a, b"})]),
        (
            'Bearer realm="https://r.example/t?a=b",service="s",Scope="repository:a/b:pull,push"',
            [
                Challenge(
                    "bearer",
                    {
                        "realm": "https://r.example/t?a=b",
                        "service": "s",
                        "scope": "repository:a/b:pull,push",
                    },
                )
            ],
        ),
        (r'Bearer realm="a \"b\" \\ c", x=y', [Challenge("bearer", {"realm": r'a "b" \ c', "x": "y"})]),
        (
            'Negotiate, NTLM abc==, ,Bearer realm = "r" , service= s,Basic realm="b"',
            [
                Challenge("negotiate", {}),
                Challenge("ntlm", {}, "abc=="),
                Challenge("bearer", {"realm": "r", "service": "s"}),
                Challenge("basic", {"realm": "b"}),
            ],
        ),
    ],
)
def test_examples(text: str, challenges: list[Challenge]) -> None:
    assert parse(text) == challenges


@pytest.mark.parametrize(
    "text",
    [
        'Bearer realm="open',
        'Bearer realm="open\\',
        "Bearer realm=https://r.example/t",  # a colon is no part of a token
        'Bearer realm="a" service="b"',
        'Bearer realm="a",REALM="b"',
        'realm="a"',
        'Negotiate abc==, realm="a"',
        "Bearer realm=, x=y",
        'Bearer realm="a\x01b"',
        "Bearer,=x",
        "B\u00e9arer",
    ],
)
def test_what_is_no_list_of_challenges(text: str) -> None:
    with pytest.raises(ValueError, match=r"no challenge at|cannot stand here"):
        parse(text)
