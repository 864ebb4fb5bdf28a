"""References: what is read, what is refused, and that a refusal helps."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kit_initializer.errors import UsageError
from kit_initializer.reference import Reference, is_digest, parse, parse_bare

SHA256 = "sha256:" + "0123456789abcdef" * 4
SHA512 = "sha512:" + "0123456789abcdef" * 8


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kit://r.example/iris", Reference("r.example", "iris", None, None)),
        ("kit://r.example/iris:v1", Reference("r.example", "iris", "v1", None)),
        ("kit://r.example:5000/team/iris:v1", Reference("r.example:5000", "team/iris", "v1", None)),
        ("kit://registry:5000/iris", Reference("registry:5000", "iris", None, None)),
        ("kit://localhost/iris", Reference("localhost", "iris", None, None)),
        ("kit://LocalHost:80/iris", Reference("localhost:80", "iris", None, None)),
        ("kit://127.0.0.1:65535/iris", Reference("127.0.0.1:65535", "iris", None, None)),
        ("kit://[::1]:5000/iris", Reference("[::1]:5000", "iris", None, None)),
        ("kit://[FE80::1]/iris", Reference("[fe80::1]", "iris", None, None)),
        (f"kit://r.example/iris@{SHA256}", Reference("r.example", "iris", None, SHA256)),
        (f"kit://r.example/iris:v1@{SHA512}", Reference("r.example", "iris", "v1", SHA512)),
        ("kit://r.example/a__b/c-d.e_f--g:_V.1-x", Reference("r.example", "a__b/c-d.e_f--g", "_V.1-x", None)),
        (f"kit://r.example/iris:{'t' * 128}", Reference("r.example", "iris", "t" * 128, None)),
        (
            "kit://123456789012.dkr.ecr.eu-west-1.amazonaws.com/iris:1",
            Reference("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "iris", "1", None),
        ),
    ],
)
def test_reads(text: str, expected: Reference) -> None:
    assert parse(text) == expected
    assert parse_bare(text.removeprefix("kit://")) == expected


def test_target_prefers_the_digest_and_ends_at_latest() -> None:
    assert parse(f"kit://r.example/iris:v1@{SHA256}").target == SHA256
    assert parse("kit://r.example/iris:v1").target == "v1"
    assert parse("kit://r.example/iris").target == "latest"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("r.example/iris", "r.example/iris is not a storage URI", "write kit://host"),
        ("/mnt/models", "not a storage URI", "write kit://"),
        ("", "not a storage URI", "write kit://"),
        ("hf://org/model", "scheme hf:// is not for this initializer", "one initializer"),
        ("s3://bucket/model", "scheme s3://", "one initializer"),
        ("KIT://r.example/iris", "scheme KIT", "lower case"),
        ("kit://", "names no registry", "write kit://"),
        ("kit://r.example", "names no registry", "write kit://"),
        ("kit://r.example/", "names no registry", "write kit://"),
        ("kit://iris:v1", "names no registry", "write kit://"),
        ("kit:///iris", " is not the host", "write kit://"),
        (
            "kit://team/iris:v1",
            "team in team/iris:v1 is not a registry",
            "kit://registry.example/team/iris:v1",
        ),
        ("kit://r.example:0/iris", "not the host", "write kit://"),
        ("kit://r.example:65536/iris", "not the host", "write kit://"),
        ("kit://r.example:5000000000000/iris", "not the host", "write kit://"),
        ("kit://r.example:/iris", "not the host", "write kit://"),
        ("kit://r.example:٣/iris", "not the host", "write kit://"),
        ("kit://r.example:a/iris", "not the host", "write kit://"),
        ("kit://-r.example/iris", "not the host", "write kit://"),
        ("kit://r..example/iris", "not the host", "write kit://"),
        ("kit://r.exämple/iris", "not the host", "write kit://"),
        ("kit://[::1/iris", "not the host", "write kit://"),
        ("kit://[::1]5000/iris", "not the host", "write kit://"),
        ("kit://[::1]:/iris", "not the host", "write kit://"),
        ("kit://[no:ip]/iris", "not the host", "write kit://"),
        ("kit://r.example/Iris:v1", "Iris is not the name", "lower case: iris"),
        ("kit://r.example//iris", "not the name", "lower case letters"),
        ("kit://r.example/iris/", "not the name", "lower case letters"),
        ("kit://r.example/i___ris", "not the name", "lower case letters"),
        ("kit://r.example/iris:v1/sub", "not the name", "a path inside of a kit"),
        (f"kit://r.example/{'a' * 256}", "not the name", "255"),
        ("kit://r.example/iris:", "nothing is not a tag", "128"),
        ("kit://r.example/iris:-v", "-v is not a tag", "128"),
        (f"kit://r.example/iris:{'t' * 129}", "is not a tag", "128"),
        ("kit://r.example/iris:a:b", "a:b is not a tag", "128"),
        ("kit://r.example/iris:v1,v2", "several tags", "storageUris"),
        ("kit://r.example/iris@", "nothing is not a digest", "sha256"),
        ("kit://r.example/iris@md5:0123", "md5:0123 is not a digest", "sha256"),
        (f"kit://r.example/iris@{SHA256.upper()}", "is not a digest", "0-9a-f"),
        ("kit://r.example/iris@sha256:short", "is not a digest", "64"),
        ("kit://iris@" + SHA256, "names no registry", "write kit://"),
        ("kit://r.example/ir is", "a space", "write kit://"),
        ("kit://r.example/iris\n", "a space or a control character", "write kit://"),
        ("kit://r.example/iris\x00", "a control character", "write kit://"),
    ],
)
def test_refuses_and_helps(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert hint in caught.value.hint
    assert "\n" not in caught.value.line()


@pytest.mark.parametrize(
    "text",
    [
        "kit://ada:s3cret@r.example/iris",
        "ada:s3cret@r.example/iris",
        "kit://ada:s3cret@r.example",
        "kit://ada:s3 cret@r.example/iris",
        "s3://ada:s3cret@bucket/iris",
        "kit:/ada:s3cret@r.example/iris",
        "kit:/ada:s3cret@r.example",
        "kit://ada:12/s3cret@r.example/iris",
        "kit://ada:s3cret/12@r.example",
        "kit://ada:s3cret/12@r.example:5000/iris:v1",
        "kit://ada:s3cret#12@r.example/iris",
        "kit://ada:x@s3cret@r.example/iris",
        "kit://r.example/iris?token=s3cret",
    ],
)
def test_never_repeats_a_login(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert "cret" not in caught.value.line()


def test_a_long_text_is_cut() -> None:
    with pytest.raises(UsageError) as caught:
        parse("kit://" + "x" * 5000 + "/iris")
    assert len(caught.value.line()) < 1024


_names = st.from_regex(r"\A[a-z0-9]+((\.|_|__|-{1,3})[a-z0-9]+){0,2}\Z")
_references = st.builds(
    Reference,
    st.sampled_from(
        ["r.example", "localhost", "kind-registry:5000", "10.0.0.1", "[::1]:443", "a_b.example:1"]
    ),
    st.lists(_names, min_size=1, max_size=4).map("/".join),
    st.none() | st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9._-]{0,20}\Z"),
    st.none() | st.binary(min_size=32, max_size=32).map(lambda raw: f"sha256:{raw.hex()}"),
)


@given(_references)
def test_what_is_printed_is_read_back(reference: Reference) -> None:
    assert parse(str(reference)) == reference


@given(st.text() | st.text(alphabet="kit:/@.,[]-_aZ0 \n").map(lambda text: "kit://" + text))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    refusal: UsageError | None = None
    try:
        host = parse(text).host
    except UsageError as error:
        refusal = error
    if refusal:
        assert refusal.line().isprintable()
        assert refusal.hint
    else:
        assert str(parse(text)) == "kit://" + host + text[len("kit://" + host) :]


# What the OCI distribution specification says of names and tags, and what hosts are made of.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?"
_GRAMMAR = {
    "kit://{}/m:v1": rf"{_LABEL}(?:\.{_LABEL})+",
    "kit://r.example/{}:v1": rf"{_COMPONENT}(?:/{_COMPONENT})*",
    "kit://r.example/m:{}": r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}",
}


@pytest.mark.parametrize("shape", _GRAMMAR)
@example(part="0.-.0")
@example(part="a.-b.c")
@example(part="a_.b")
@given(part=st.text("az09AZ._-/é٣ ") | st.text("a._-/", max_size=8))
def test_names_are_those_of_the_grammar(shape: str, part: str) -> None:
    expected = re.fullmatch(_GRAMMAR[shape], part) is not None
    if shape.startswith("kit://{}") and ("/" in part or "." not in part):
        return  # other things are said of those
    try:
        parse(shape.format(part))
    except UsageError:
        assert not expected
    else:
        assert expected


def test_digests() -> None:
    assert is_digest(SHA256)
    assert is_digest(SHA512)
    assert not is_digest(SHA256[:-1])
    assert not is_digest(SHA256[:-1] + "G")
    assert not is_digest("")
