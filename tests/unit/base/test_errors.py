import pytest

from batchproof_server.base.errors import cut


@pytest.mark.parametrize(
    ("text", "shown"), [("", ""), ("abc", "abc"), ("abcd", "abcd"), ("abcde", "abcd...")]
)
def test_what_a_caller_wrote_is_cut_and_the_cut_is_shown(text: str, shown: str) -> None:
    assert cut(text, 4) == shown
