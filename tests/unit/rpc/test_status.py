"""Errors to codes: a total table, short texts, and nothing of ours in them."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof.text import printable
from batchproof_server.base import errors
from batchproof_server.base.errors import (
    BackendFailed,
    Draining,
    InvalidInput,
    ModelRefused,
    QueueFull,
    QuotaExceeded,
    ServingError,
)
from batchproof_server.rpc.fronts.front import Code
from batchproof_server.rpc.status import CODES, MAX_MESSAGE_BYTES, failure_of


def subclasses(kind: type[ServingError]) -> Iterator[type[ServingError]]:
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


OURS = {kind for kind in subclasses(ServingError) if kind.__module__ == errors.__name__}


def test_the_table_is_total_and_holds_nothing_else() -> None:
    assert set(CODES) == OURS
    assert len(OURS) == 17


@pytest.mark.parametrize("kind", sorted(OURS, key=str))
def test_every_error_has_its_code_and_only_an_internal_one_hides_its_text(
    kind: type[ServingError],
) -> None:
    waits = kind in (QueueFull, QuotaExceeded)
    error = kind("secret", 0.25) if waits else kind("secret")
    failure = failure_of(error, "id-1")
    assert failure.code is CODES[kind]
    assert ("secret" in failure.text) == (failure.code is not Code.INTERNAL)
    assert failure.retry_after_s == (0.25 if waits else None)


class Unlisted(InvalidInput):
    """Nobody decided what its caller may know."""


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("secret"),
        KeyError("secret"),
        BackendFailed("secret"),
        ServingError("secret"),
        Unlisted("secret"),
        ExceptionGroup("secret", [InvalidInput("secret")]),
        KeyboardInterrupt("secret"),
    ],
)
def test_what_is_not_listed_is_internal_and_tells_the_request_id_only(error: BaseException) -> None:
    failure = failure_of(error, "id-1")
    assert failure.code is Code.INTERNAL
    assert failure.text == "internal error; the server's log has more under request id-1"


def test_findings_stay_with_the_sentence() -> None:
    assert failure_of(ModelRefused("why", ("a", "b")), "x").text == "why"


characters = st.characters(codec="utf-8") | st.sampled_from("ä€😀")
long_texts = st.builds(
    lambda head, body, times: head + body * times,
    st.text(characters, max_size=5),
    st.text(characters, max_size=20),
    st.integers(0, 500),
)


@given(long_texts)
def test_a_text_is_cut_to_what_a_header_holds_and_never_inside_a_character(raw: str) -> None:
    message, text = failure_of(Draining(raw), "x").text, printable(raw)
    assert len(message.encode()) <= MAX_MESSAGE_BYTES
    assert message.isprintable()
    if len(text.encode()) <= MAX_MESSAGE_BYTES:
        assert message == text
    else:
        assert message.endswith("...")
        assert text.startswith(message[:-3])


def test_a_text_that_is_no_unicode_can_be_sent() -> None:
    assert failure_of(Draining("a\udc80b"), "x").text == "a\\udc80b"
