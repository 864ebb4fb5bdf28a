"""The Kitfile is written such that any YAML parser reads back the value of the config."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kit_initializer.errors import NotAModelKitError, UnsafeContentError
from kit_initializer.modelkit.kitfile import entries, inside, to_yaml

if TYPE_CHECKING:
    from pathlib import Path

STRINGS = [
    "", " ", "a", "./m", "code/", ".", "..", "-", "- a", "a - b", "a ", " a", "~", "null", "Null", "y", "NO", "on",
    "True", "1", "1.0", "1e3", "0x1F", "0o7", "1_000", ".inf", ".NaN", "2024-01-01", "12:30:45", "=", "<<", "!x",
    "&x", "*x", "a: b", "a #b", "#", "?", "? a", "|", ">", "%", "@x", "`x`", "'", '"', "\\", "{", "[a", "a,b", "\t",
    "a\nb", "a\r\n", "\x00", "\x07", "\x7f", "\x85", "\xa0", "\u2028", "\u2029", "\ufeff", "\ufffe", "\uffff",
    "ü", "名", "😀", "a" * 2000,
]  # fmt: skip
SCALARS: list[object] = [
    None,
    True,
    False,
    0,
    -1,
    10**30,
    0.1,
    -0.5,
    1e22,
    1.5e-07,
    1e300,
    5e-324,
    100.0,
    {},
    [],
]

_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(STRINGS)
)
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4) | st.sampled_from(STRINGS), inner, max_size=3)
    ),
    max_leaves=12,
)


def written(value: dict[str, Any]) -> object:
    return yaml.safe_load(to_yaml(value))


def replaced(value: object) -> object:
    """Return the value as Go reads it from JSON: half of a surrogate pair is U+FFFD."""
    text = json.dumps(value, ensure_ascii=False)
    return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


@pytest.mark.parametrize("text", STRINGS, ids=ascii)
def test_strings(text: str) -> None:
    assert written({text: text, "list": [text, [text]]}) == {text: text, "list": [text, [text]]}


@pytest.mark.parametrize("value", SCALARS, ids=repr)
def test_other_scalars(value: object) -> None:
    read = written({"value": value, "list": [value, {"key": value}]})
    assert read == {"value": value, "list": [value, {"key": value}]}
    assert isinstance(read, dict)
    assert type(read["value"]) is type(value)


def test_half_a_surrogate_pair_becomes_the_replacement() -> None:
    assert written({"a": json.loads('"x\\ud83dy"')}) == {"a": "x\ufffdy"}
    assert written({"a": json.loads('"\\ud83d\\ude00"')}) == {"a": "😀"}


@given(st.dictionaries(st.text(max_size=6), _values, max_size=4))
def test_any_value_is_read_back(value: dict[str, Any]) -> None:
    value = {f"x{key}": item for key, item in value.items()}
    read = written(value)
    assert read == replaced(value)
    assert json.dumps(read) == json.dumps(replaced(value))  # types and order, too


def test_only_the_digests_of_parts_are_left_out() -> None:
    bare: dict[str, Any] = {"path": "m", "parameters": {"digest": "kept", "diffId": "kept"}}
    seen = {"digest": "sha256:0", "diffId": "sha256:0"}
    config: dict[str, Any] = {
        "manifestVersion": "1.0.0",
        "package": {},
        "model": {**bare, **seen, "parts": [{"path": "p", **seen}]},
        **{key: [{"path": key, **seen}] for key in ("code", "datasets", "docs", "prompts", "mcpServers")},
        "digest": "kept",
    }
    expected: dict[str, Any] = {
        "manifestVersion": "1.0.0",
        "model": {**bare, "parts": [{"path": "p"}]},
        **{key: [{"path": key}] for key in ("code", "datasets", "docs", "prompts", "mcpServers")},
        "digest": "kept",
    }
    assert written(config) == expected


def test_an_empty_kitfile_is_a_mapping() -> None:
    assert written({}) == {}
    assert written({"package": {}, "model": None, "code": None}) == {"model": None, "code": None}


def test_it_looks_like_a_kitfile() -> None:
    config = {
        "manifestVersion": "1.0.0",
        "package": {"name": "iris", "authors": ["Ada", "Ben, Jr."]},
        "model": {"path": "./m", "parameters": [[1, {"a": 1, "b": []}], {"c": {}}]},
        "code": [{"path": "src/", "description": "a: b"}],
    }
    assert to_yaml(config).decode() == (
        'manifestVersion: "1.0.0"\n'
        'package:\n  name: iris\n  authors:\n    - Ada\n    - "Ben, Jr."\n'
        "model:\n  path: ./m\n  parameters:\n    - - 1\n      - a: 1\n        b: []\n    - c: {}\n"
        'code:\n  - path: src/\n    description: "a: b"\n'
    )  # fmt: skip


def test_deep_nesting_is_refused() -> None:
    deep: Any = {}
    for _ in range(100):
        deep = {"a": [deep]}
    with pytest.raises(NotAModelKitError, match="nested"):
        to_yaml({"model": {"path": "m", "parameters": deep}})


@pytest.mark.parametrize(
    "config",
    [
        {"model": "m"},
        {"model": ["m"]},
        {"model": {"path": 1}},
        {"model": {"path": "m", "name": []}},
        {"model": {"path": "m", "digest": {}}},
        {"model": {"path": "m", "parts": {}}},
        {"model": {"path": "m", "parts": [None]}},
        {"code": {}},
        {"datasets": [1]},
        {"datasets": [{"path": "d", "remotePath": 1}]},
        {"docs": "x"},
        {"prompts": [[]]},
        {"mcpServers": True},
    ],
    ids=repr,
)
def test_wrong_types_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(NotAModelKitError):
        entries(config)


def test_null_is_nothing() -> None:
    assert entries({"model": None, "code": None, "datasets": []}) == ()
    (model,) = entries({"model": {"path": None, "parts": None}})
    assert (model.path, model.name, model.digest, model.remote) == ("", "", "", False)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("m", "m"), ("./m", "m"), ("code/", "code"), (".", "."), ("a/..", "."), ("a/./b//c", "a/b/c"),
        ("m..v1.bin", "m..v1.bin"), ("..m", "..m"), ("...", "..."), ("a/../b", "b"), (" m", " m"),
        ("a\\b", "a/b"), (".\\a\\..\\b", "b"), ("c:m", "c:m"),
    ],
)  # fmt: skip
def test_paths_inside(path: str, expected: str) -> None:
    assert inside(path) == expected


@pytest.mark.parametrize(
    "path",
    ["", "/", "/m", "//m", "..", "../m", "a/../../m", "a/../..", "m\0", "./..", "..\\m", "\\m", "C:\\m"],
)
def test_paths_outside(path: str) -> None:
    with pytest.raises(UnsafeContentError):
        inside(path)


@given(
    st.dictionaries(
        st.sampled_from(["model", "code", "datasets", "docs", "parts", "path"]), _values, max_size=3
    )
)
def test_any_config_is_read_or_refused(config: dict[str, Any]) -> None:
    try:
        entries(config)
    except NotAModelKitError:
        return
    assert isinstance(written(config), dict)


@pytest.mark.interop("kit")
def test_kit_accepts_what_is_written(tmp_path: Path) -> None:
    """Kit packs a folder by our Kitfile, and the config that it writes has the value of ours."""
    doubles = [
        value for value in SCALARS if value != 10**30
    ]  # Kit keeps no longer numbers than a double holds
    parameters = {"strings": STRINGS, "keys": {text: 1 for text in STRINGS if text}, "others": doubles}
    kitfile: dict[str, Any] = {
        "manifestVersion": "1.0.0",
        "package": {
            "name": "x",
            "version": "1.0",
            "description": "a: b # 'c' \"d\"\n",
            "authors": ["A", "null"],
        },
        "model": {"name": "m", "path": "./m.bin", "version": "1.10", "parameters": parameters},
        "code": [{"path": "src/", "description": "~"}],
    }
    folder, home = tmp_path / "kit", tmp_path / "home"
    (folder / "src").mkdir(parents=True)
    home.mkdir()
    for name in ("m.bin", "src/run.sh"):
        (folder / name).write_text(name)
    (folder / "Kitfile").write_bytes(to_yaml(kitfile))
    (home / "disable-update-notifications").touch()
    command = [os.environ.get("KIT", "kit"), "pack", str(folder), "-t", "r.example/x:v1"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "KITOPS_HOME": str(home)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    blobs = (path.read_bytes() for path in home.glob("storage/**/blobs/sha256/*"))
    (config,) = (json.loads(blob) for blob in blobs if blob.startswith(b'{"manifestVersion"'))
    assert written(config) == kitfile
