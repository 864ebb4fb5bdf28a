"""The environment is read once, and what cannot be acted on is refused with a hint."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from kit_initializer.errors import UsageError
from kit_initializer.settings import Settings, login, read
from kit_initializer.settings.variables import DEFAULTS, VARIABLES

if TYPE_CHECKING:
    from pathlib import Path


# Empty, they would be a policy that nobody applies: a usage error.
SIGNATURES = {
    *("KIT_SIGNATURE_POLICY", "KIT_SIGSTORE_TRUSTED_ROOT"),
    *("COSIGN_KEY", "COSIGN_CERT_IDENTITY", "COSIGN_CERT_OIDC_ISSUER"),
}


def test_defaults() -> None:
    settings = read({})
    assert settings == Settings(
        engine="native",
        plain_http=False,
        tls_verify=True,
        ca_files=(),
        ca_pem="",
        client_cert="",
        client_key="",
        proxy="",
        http_proxy="",
        https_proxy="",
        no_proxy="",
        concurrency=8,
        retries=5,
        connect_timeout=10.0,
        first_byte_timeout=30.0,
        stall_timeout=30.0,
        progress_timeout=60.0,
        total_timeout=0.0,
        lock_timeout=3600.0,
        max_files=2_000_000,
        max_bytes=0,
        record="inside",
        signatures=False,
        signature_timeout=120.0,
        filters=(),
        labels=(),
        overwrite=False,
        ignore_existing=False,
        allow_patterns=(),
        ignore_patterns=(),
        log_format="text",
        log_level="info",
        progress="fancy",
        kit_flags=(),
        warnings=(),
        environ={},
    )


def test_every_variable_has_one_row() -> None:
    names = [variable.name for variable in VARIABLES]
    assert len(names) == len(set(names)) == len(DEFAULTS)
    assert all(variable.meaning.endswith(".") for variable in VARIABLES)


def test_nothing_of_the_environment_is_printed() -> None:
    settings = read({"KIT_USER": "ada", "KIT_PASSWORD": "s3cret", "HTTPS_PROXY": "http://u:s3cret@p"})
    assert "s3cret" not in f"{settings!r} {settings}"


def test_what_a_service_named_kit_injects_is_ignored() -> None:
    linked = {
        "KIT_PORT": "tcp://10.0.0.1:80",
        "KIT_SERVICE_HOST": "10.0.0.1",
        "KIT_SERVICE_PORT": "80",
        "KIT_PORT_80_TCP": "tcp://10.0.0.1:80",
        "KIT_SURPRISE": "1",
        "HF_HUB_ENABLE_HF_TRANSFER": "1",
    }
    assert read(linked)._replace(environ={}) == read({})


def test_empty_is_not_given() -> None:
    empty = {name: "" for name in DEFAULTS if name not in SIGNATURES}
    assert read(empty)._replace(environ={}) == read({})
    blank = dict.fromkeys(empty, " ") | {"KIT_USER": "", "KIT_PASSWORD": ""}
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "KITOPS_CLIENT_CERT", "KITOPS_CLIENT_KEY"):
        del blank[name]
    assert read(blank)._replace(environ={}, warnings=()) == read({})


def test_values() -> None:
    settings = read(
        {
            "KIT_ENGINE": "kit",
            "KIT_CONCURRENCY": "64",
            "KIT_RETRIES": "0",
            "KIT_CONNECT_TIMEOUT": "0.5",
            "KIT_FIRST_BYTE_TIMEOUT": "1",
            "KIT_STALL_TIMEOUT": "2",
            "KIT_PROGRESS_TIMEOUT": "3",
            "KIT_TOTAL_TIMEOUT": "4e2",
            "KIT_LOG_FORMAT": "json",
            "KIT_LOG_LEVEL": "warn",
            "KIT_TERMINATION_LOG": "/tmp/t",
            "KITOPS_CLIENT_CERT": "/c",
            "KITOPS_CLIENT_KEY": "/k",
            "http_proxy": "http://low",
            "HTTPS_PROXY": "http://up",
            "https_proxy": "http://low",
            "NO_PROXY": "a,b",
        }
    )
    assert settings.engine == "kit"
    assert (settings.concurrency, settings.retries) == (64, 0)
    assert (settings.connect_timeout, settings.first_byte_timeout) == (0.5, 1.0)
    assert (settings.stall_timeout, settings.progress_timeout, settings.total_timeout) == (2.0, 3.0, 400.0)
    assert (settings.log_format, settings.log_level) == ("json", "warn")
    assert (settings.client_cert, settings.client_key) == ("/c", "/k")
    assert (settings.http_proxy, settings.https_proxy, settings.no_proxy) == (
        "http://low",
        "http://up",
        "a,b",
    )


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("KIT_ENGINE", "Kit", "native, kit"),
        ("KIT_CONCURRENCY", "0", "from 1 to 64"),
        ("KIT_CONCURRENCY", "65", "from 1 to 64"),
        ("KIT_CONCURRENCY", "four", "from 1 to 64"),
        ("KIT_CONCURRENCY", "٤", "from 1 to 64"),
        ("KIT_CONCURRENCY", "9" * 5000, "from 1 to 64"),
        ("KIT_RETRIES", "-1", "from 0 to 100"),
        ("KIT_RETRIES", "1.5", "from 0 to 100"),
        ("KIT_CONNECT_TIMEOUT", "0", "more than 0"),
        ("KIT_STALL_TIMEOUT", "-1", "more than 0"),
        ("KIT_STALL_TIMEOUT", "30s", "seconds as a number"),
        ("KIT_STALL_TIMEOUT", "nan", "more than 0"),
        ("KIT_STALL_TIMEOUT", "inf", "604800"),
        ("KIT_TOTAL_TIMEOUT", "-1", "0 for no limit"),
        ("KIT_TOTAL_TIMEOUT", "604801", "604800"),
        ("KIT_LOG_FORMAT", "xml", "text, json"),
        ("KIT_LOG_LEVEL", "loud", "debug, info, warn, error"),
        ("KIT_CA_CERT", "/etc/ssl/ca.pem", "not the name of a file"),
        ("KITOPS_CLIENT_CERT", "/c", "--cert and --key"),
        ("KITOPS_CLIENT_KEY", "/k", "--cert and --key"),
    ],
)
def test_values_that_cannot_be_acted_on(name: str, value: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        read({name: value})
    assert hint in caught.value.hint
    assert len(caught.value.line()) < 300


@given(st.text(max_size=12))
def test_any_number_is_read_or_refused(text: str) -> None:
    try:
        settings = read({"KIT_CONCURRENCY": text, "KIT_TOTAL_TIMEOUT": text})
    except UsageError:
        return
    assert 1 <= settings.concurrency <= 64
    assert math.isfinite(settings.total_timeout)


class TestLogin:
    @pytest.mark.parametrize(
        ("environ", "expected"),
        [
            ({}, ("", "")),
            ({"KIT_USER": "", "KIT_PASSWORD": ""}, ("", "")),
            ({"KIT_USER": "ada", "KIT_PASSWORD": "pw"}, ("ada", "pw")),
            ({"KIT_USER": "ada\n", "KIT_PASSWORD": " -n pw \r\n"}, ("ada", " -n pw ")),
        ],
    )
    def test_both_or_neither(self, environ: dict[str, str], expected: tuple[str, str]) -> None:
        assert login(environ) == expected
        assert read(environ).environ == environ

    @pytest.mark.parametrize(
        ("environ", "message"),
        [
            ({"KIT_USER": "ada"}, "KIT_USER is set but KIT_PASSWORD is not"),
            ({"KIT_USER": "ada", "KIT_PASSWORD": "\n"}, "KIT_USER is set but KIT_PASSWORD is not"),
            ({"KIT_PASSWORD": "s3cret"}, "KIT_PASSWORD is set but KIT_USER is not"),
        ],
    )
    def test_half_of_one_is_refused(self, environ: dict[str, str], message: str) -> None:
        with pytest.raises(UsageError, match=message) as caught:
            read(environ)
        assert "s3cret" not in caught.value.line()


class TestPatterns:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", ()),
            ('["*.bin", " *.json ", ""]', ("*.bin", "*.json")),
            ("*.bin, *.json,,", ("*.bin", "*.json")),
            ('"*.bin"', ("*.bin",)),
            ("[]", ()),
            ("[", ("[",)),
            ("[" * 3000, ("[" * 3000,)),
            ("*.safetensors", ("*.safetensors",)),
        ],
        ids=lambda value: str(value)[:30],
    )
    def test_lists(self, text: str, expected: tuple[str, ...]) -> None:
        settings = read({"STORAGE_ALLOW_PATTERNS": text, "STORAGE_IGNORE_PATTERNS": text})
        assert settings.allow_patterns == settings.ignore_patterns == expected


class TestAuthorities:
    @pytest.fixture
    def bundle(self, tmp_path: Path) -> Path:
        path = tmp_path / "cabundle.crt"
        trustme.CA().cert_pem.write_to_path(path)
        return path

    @pytest.mark.parametrize("name", ["CA_BUNDLE_CONFIGMAP_NAME", "AWS_CA_BUNDLE_CONFIGMAP"])
    def test_bundle_of_kserve(self, bundle: Path, name: str) -> None:
        mounted = {name: "global-ca-bundle", "CA_BUNDLE_VOLUME_MOUNT_POINT": str(bundle.parent)}
        settings = read({"KIT_UNPACK_FLAGS": "--tls-cert /flag", **mounted})
        assert settings.ca_files == ("/flag", str(bundle))
        assert settings.warnings == ()

    def test_bundle_of_amazon(self, bundle: Path) -> None:
        environ = {"CA_BUNDLE_CONFIGMAP_NAME": "x", "AWS_CA_BUNDLE": str(bundle)}
        assert read(environ).ca_files == (str(bundle),)

    def test_without_a_config_map_nothing_is_trusted(self, bundle: Path) -> None:
        environ = {"CA_BUNDLE_VOLUME_MOUNT_POINT": str(bundle.parent), "AWS_CA_BUNDLE": str(bundle)}
        assert read(environ).ca_files == ()

    @pytest.mark.parametrize(
        ("content", "problem"),
        [(None, "No such file"), ("not PEM", "no certificate"), ("", "no certificate")],
    )
    def test_a_bad_bundle_is_a_warning(self, tmp_path: Path, content: str | None, problem: str) -> None:
        if content is not None:
            (tmp_path / "cabundle.crt").write_text(content)
        settings = read({"CA_BUNDLE_CONFIGMAP_NAME": "x", "CA_BUNDLE_VOLUME_MOUNT_POINT": str(tmp_path)})
        assert settings.ca_files == ()
        (warning,) = settings.warnings
        assert "cabundle.crt is not used" in warning
        assert problem in warning

    def test_pem_of_a_secret(self) -> None:
        pem = trustme.CA().cert_pem.bytes().decode()
        assert read({"KIT_CA_CERT": pem}).ca_pem == pem
        assert read({"KIT_CA_CERT": "\n"}).ca_pem == ""


def test_a_pattern_that_no_path_can_match() -> None:
    """To read one costs time with the square of its length: 100,000 brackets held a run for minutes."""
    for text in ("[" * 100_000, '["*.csv", "' + "a" * 5000 + '"]'):
        with pytest.raises(UsageError, match="STORAGE_ALLOW_PATTERNS holds a pattern of more than 4095"):
            read({"STORAGE_ALLOW_PATTERNS": text})


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("KIT_UNPACK_FLAG", "KIT_UNPACK_FLAGS"),
        ("KIT_CONCURENCY", "KIT_CONCURRENCY"),
        ("kit_user", "KIT_USER"),
        ("KIT_STALL_TIMOUT", "KIT_STALL_TIMEOUT"),
        ("KIT_PORT", ""),
        ("KIT_SERVICE_HOST", ""),
        ("KIT_PORT_80_TCP_ADDR", ""),
        ("KITCHEN_USER", ""),
        ("KIT_HOME", ""),
    ],
)
def test_a_misspelt_variable_is_a_warning(name: str, near: str) -> None:
    warnings = read({name: "x"}).warnings
    expected = (f"the variable {name} is not read; did you mean {near}?",) if near else ()
    assert warnings == expected
