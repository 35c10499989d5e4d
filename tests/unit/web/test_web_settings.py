from pathlib import Path
from typing import Any

import pytest

from batchproof_server.base.validation import InvalidSettings
from batchproof_server.rpc.settings import TlsSettings
from batchproof_server.web.settings import WebSettings, read_token


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"host": "127.0.0.2"},
        {"host": "::1"},
        {"host": "localhost"},
        {"host": "0.0.0.0", "token_file": "token"},  # noqa: S104 - what is tested
        {"host": "::", "tls": TlsSettings(Path("c"), Path("k"), Path("a"))},
    ],
)
def test_others_reach_the_port_only_if_they_show_who_they_are(settings: dict[str, Any]) -> None:
    WebSettings(**settings).check_asked(has_callers=False)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"host": "0.0.0.0"}, "expected access.callers"),  # noqa: S104 - what is tested
        ({"host": "example.org"}, "expected access.callers"),
        ({"host": "::", "tls": TlsSettings(Path("c"), Path("k"))}, "expected access.callers"),
        ({"port": 70_000}, "port is 70000"),
        ({"max_connections": 0}, "1 or more"),
        ({"allow_hosts": ("https://models.example",)}, "without scheme"),
        ({"allow_hosts": ("models.example:80",)}, "without scheme"),
        ({"head_timeout_s": 0.0}, "head_timeout_s is 0.0"),
        ({"idle_timeout_s": float("inf")}, "idle_timeout_s is inf"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        WebSettings(**settings).check_asked(has_callers=False)


def test_callers_with_names_are_asked_and_no_word_beside_them() -> None:
    WebSettings(host="::").check_asked(has_callers=True)
    with pytest.raises(ValueError, match="expected one of them"):
        WebSettings(token_file="token").check_asked(has_callers=True)  # noqa: S106 - a path


def test_a_token_is_one_long_word(tmp_path: Path) -> None:
    file = tmp_path / "token"
    assert read_token("") == ""
    file.write_text("0123456789abcdef\n")
    assert read_token(str(file)) == "0123456789abcdef"
    for text in ("", "short", "0123456789 abcdef", "0123456789äbcdef", "x" * 5_000):
        file.write_text(text)
        with pytest.raises(InvalidSettings, match=r"web\.token_file"):
            read_token(str(file))
    with pytest.raises(InvalidSettings, match="cannot be read"):
        read_token(str(tmp_path / "none"))
