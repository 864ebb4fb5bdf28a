"""KIT_UNPACK_FLAGS: each flag of `kit unpack` is taken, or refused with a hint."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit_initializer.errors import UsageError
from kit_initializer.settings import Settings, read
from kit_initializer.settings.flags import FLAGS, split


def flagged(text: str, **environ: str) -> Settings:
    return read({"KIT_UNPACK_FLAGS": text, **environ})


class TestFlags:
    def test_as_in_the_field(self) -> None:
        settings = flagged("-v --plain-http --filter=model --filter 'docs:READ ME.md'\n-o\n")
        assert settings.plain_http
        assert settings.overwrite
        assert settings.log_level == "debug"
        assert settings.filters == ("model", "docs:READ ME.md")
        expected = ("--overwrite=true", "--filter=model", "--filter=docs:READ ME.md", "--verbose")
        assert settings.kit_flags == expected  # `kit unpack` is told nothing of the network

    @pytest.mark.parametrize("text", ["", "   ", "\n\t"])
    def test_nothing(self, text: str) -> None:
        assert flagged(text)._replace(environ={}) == read({})

    @pytest.mark.parametrize(
        ("text", "field", "value"),
        [
            ("-o", "overwrite", True),
            ("--overwrite", "overwrite", True),
            ("--overwrite=T", "overwrite", True),
            ("-o=1", "overwrite", True),
            ("-o --overwrite=false", "overwrite", False),
            ("-i", "ignore_existing", True),
            ("--ignore-existing=FALSE", "ignore_existing", False),
            ("--plain-http=true", "plain_http", True),
            ("--tls-verify=false", "tls_verify", False),
            ("--tls-verify=0", "tls_verify", False),
            ("--tls-verify", "tls_verify", True),
            ("--tls-cert /a --tls-cert=/b", "ca_files", ("/a", "/b")),
            ("--proxy http://p:1", "proxy", "http://p:1"),
            ("--proxy= ", "proxy", ""),
            ("--concurrency 3", "concurrency", 3),
            ("--concurrency=1000", "concurrency", 64),
            ("-l a=b --label c=d=e -lf=", "labels", (("a", "b"), ("c", "d=e"), ("f", ""))),
            ("-f model -fcode --filter=docs -f=datasets", "filters", ("model", "code", "docs", "datasets")),
            ("--model", "filters", ("model",)),
            ("--docs --kitfile --model --code --datasets", "filters", ("kitfile,model,code,datasets,docs",)),
            ("--model --model=false", "filters", ()),
            ("--model=false -f code", "filters", ("code",)),
            ("--log-level warn", "log_level", "warn"),
            ("--log-level=trace", "log_level", "debug"),
            ("--log-level=error -v", "log_level", "debug"),
            ("-vvv", "log_level", "debug"),
            ("--verbose", "log_level", "debug"),
            ("--verbose=2", "log_level", "debug"),
            ("--verbose=0", "log_level", "info"),
            ("-v=0", "log_level", "info"),
            ("--progress=none", "progress", "none"),
            ("--progress fancy", "progress", "fancy"),
            ("-oiv", "ignore_existing", True),
        ],
    )
    def test_each(self, text: str, field: str, value: object) -> None:
        assert getattr(flagged(text), field) == value

    @pytest.mark.parametrize(
        ("text", "message", "hint"),
        [
            ("--plain-htpp", "--plain-htpp", "did you mean --plain-http?"),
            ("--tls-certs=x", "--tls-certs", "did you mean --tls-cert?"),
            ("--nothing-like-it", "--nothing-like-it", "those of kit unpack"),
            ("--foo bar --baz qux", "--foo", "those of kit unpack"),
            ("-x", "-x", ""),
            ("-vx", "-x", ""),
            ("-d /tmp", "--dir cannot be given", "leave it out"),
            ("-d/tmp", "--dir cannot be given", "leave it out"),
            ("--dir=/tmp", "--dir cannot be given", "leave it out"),
            ("--include-remote", "has no digest", "leave it out"),
            ("--as-skill", "only the Kit CLI", "KIT_ENGINE=kit"),
            ("--as-skill=auto", "only the Kit CLI", "KIT_ENGINE=kit"),
            ("--config /x", "each digest is checked", "leave it out"),
            ("--overwrite=yes", "switch", "--overwrite=true"),
            ("--overwrite yes", "'yes', which is not a flag", "storageUri"),
            ("r.example/iris:v1", "which is not a flag", "storageUri"),
            ("-", "which is not a flag", ""),
            ("-o -- x", "which is not a flag", ""),
            ("--proxy", "--proxy in KIT_UNPACK_FLAGS has no value", "--proxy=VALUE"),
            ("-f", "--filter in KIT_UNPACK_FLAGS has no value", "--filter=VALUE"),
            ("-voffilter=x", "'filter=x' is not a type", ""),
            ("--filter=modle", "'modle' is not a type", "did you mean model?"),
            ("--filter model:a:b", "more than one ':'", ""),
            ("-l key", "--label is 'key'", "key=value"),
            ("-l =v", "--label is '=v'", "key=value"),
            ("--concurrency=0", "--concurrency is '0'", ""),
            ("--concurrency=many", "--concurrency is 'many'", ""),
            ("--progress=bar", "--progress is 'bar'", "none, plain, fancy"),
            ("--log-level=loud", "--log-level is 'loud'", "trace, debug"),
            ("--verbose=loud", "--verbose is 'loud'", ""),
            ("--cert /c", "needs its key", "--cert and --key"),
            ("--key /k", "needs its key", "--cert and --key"),
            ("--filter 'open", "cannot be split", "close the quote"),
            ("trailing\\", "cannot be split", ""),
        ],
    )
    def test_refused(self, text: str, message: str, hint: str) -> None:
        with pytest.raises(UsageError) as caught:
            flagged(text)
        assert message in str(caught.value)
        assert hint in caught.value.hint

    def test_what_only_kit_can_do_is_left_to_kit(self) -> None:
        settings = flagged("--as-skill=auto --tls-verify=false --label a=b", KIT_ENGINE="kit")
        assert settings.kit_flags == ("--label=a=b", "--as-skill=auto")
        assert not settings.tls_verify
        assert settings.labels == (("a", "b"),)

    @pytest.mark.parametrize(
        "text",
        ["--dir /x", "--config /x", "--include-remote", "--brand-new", "-Z", "-Zd/x", "extra", "-- -d /x"],
    )
    def test_what_nobody_has_checked_is_not_left_to_kit(self, text: str) -> None:
        with pytest.raises(UsageError):
            flagged(text, KIT_ENGINE="kit")

    def test_old_flags_beside_filters(self) -> None:
        settings = flagged("--filter=docs --model")
        assert settings.filters == ("model",)
        assert settings.warnings == ("--model makes --filter=docs void; give one of them",)

    def test_the_environment_wins_for_client_certificates(self) -> None:
        settings = flagged("--cert /c --key /k", KITOPS_CLIENT_CERT="/env")
        assert (settings.client_cert, settings.client_key) == ("/env", "/k")

    def test_flags_win_over_our_own_variables(self) -> None:
        settings = flagged("--concurrency 2 --log-level error", KIT_CONCURRENCY="4", KIT_LOG_LEVEL="debug")
        assert (settings.concurrency, settings.log_level) == (2, "error")

    def test_the_table_is_sound(self) -> None:
        assert len({flag.name for flag in FLAGS}) == len(FLAGS)
        shorts = [flag.short for flag in FLAGS if flag.short]
        assert len(set(shorts)) == len(shorts)
        assert {flag.kind for flag in FLAGS} == {"switch", "text", "list", "count", "optional"}

    @given(st.lists(st.text(max_size=8), max_size=5))
    def test_words_are_split_as_a_shell_does(self, words: list[str]) -> None:
        assert list(split(shlex.join(words))) == words
        assert list(split("\n".join(shlex.quote(word) for word in words))) == words

    @given(
        st.lists(
            st.sampled_from([f"--{flag.name}" for flag in FLAGS] + [f"-{flag.short}" for flag in FLAGS])
            | st.text(alphabet="-=fvoild truefalse,:", max_size=10),
            max_size=6,
        ),
        st.sampled_from(["native", "kit"]),
    )
    def test_any_words_are_read_or_refused(self, words: list[str], engine: str) -> None:
        try:
            settings = flagged(shlex.join(words), KIT_ENGINE=engine)
        except UsageError as error:
            line = error.line()
        else:
            line = repr(settings)
            assert not any(word.startswith(("--dir", "--config", "--plain")) for word in settings.kit_flags)
        assert line.isprintable()
