"""The laws of handles, their texts, and of the memory of what was counted."""

import os
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchproof.handles import HandleError, handle_from_text, handle_to_text
from batchproof_server.base.scores import score
from batchproof_server.outcomes.answered import AnsweredRow, OutcomeRefusal
from batchproof_server.outcomes.counted import CountedRows
from batchproof_server.outcomes.handle import (
    MAX_HANDLE_BYTES,
    MIN_HANDLE_BYTES,
    OpenedHandle,
    Sealer,
    SealingKey,
    nonce_of,
    open_handle,
    seal_rows,
)

KEY, OTHER = SealingKey(b"k" * 32), SealingKey(b"o" * 32)
INT64 = st.integers(-(2**63), 2**63 - 1)

# What a file system may call a folder: up to 255 bytes, not all of them text.
names = st.binary(min_size=1, max_size=255).map(
    lambda name: name.decode("utf-8", "surrogateescape")
)
scores = st.floats(0, 1, width=32)
answers = st.tuples(
    names,
    INT64,
    st.lists(st.tuples(st.integers(0, 2**32 - 1), scores), min_size=1, max_size=4),
    INT64,
    st.binary(min_size=12, max_size=12),
)


def one(model: str = "m") -> bytes:
    (handle,) = seal_rows(KEY, model, 1, [(2, 0.5)], 1_000, b"n" * 12)
    return handle


@given(answers)
def test_what_was_sealed_is_what_is_opened(
    answer: tuple[str, int, list[tuple[int, float]], int, bytes],
) -> None:
    model, version, best, answered_ms, nonce = answer
    handles = seal_rows(KEY, *answer)
    opened = [open_handle(handle, (OTHER, KEY)) for handle in handles]
    assert opened == [
        OpenedHandle(AnsweredRow(model, version, row, *each, nonce), answered_ms)
        for row, each in enumerate(best)
    ]
    assert {nonce_of(handle) for handle in handles} == {nonce}
    assert all(MIN_HANDLE_BYTES < len(handle) <= MAX_HANDLE_BYTES for handle in handles)


def test_no_two_answers_share_a_nonce_however_many_are_drawn_at_once() -> None:
    drawn = bytearray()

    def random_bytes(count: int) -> bytes:
        new = os.urandom(count)
        drawn.extend(new)
        return new

    sealer = Sealer(KEY, lambda: 1_000, random_bytes)
    scored = score(np.array([[0.0, 1.0], [2.0, 1.0]]), "logits")
    with ThreadPoolExecutor(4) as pool:
        sealed = list(pool.map(lambda _: sealer.seal("m", 1, scored), range(500)))
    nonces = [{nonce_of(handle) for handle in handles} for handles in sealed]
    assert all(len(each) == 1 for each in nonces)
    assert len(set.union(*nonces)) == len(sealed)
    assert all(nonce in drawn for each in nonces for nonce in each)


@given(answers, st.data())
def test_a_handle_with_a_flipped_bit_is_refused(
    answer: tuple[str, int, list[tuple[int, float]], int, bytes], data: st.DataObject
) -> None:
    handle = bytearray(seal_rows(KEY, *answer)[0])
    bit = data.draw(st.integers(0, 8 * len(handle) - 1))
    handle[bit // 8] ^= 1 << bit % 8
    assert isinstance(open_handle(bytes(handle), (KEY, OTHER)), OutcomeRefusal)


def test_every_single_flipped_bit_of_a_handle_is_refused() -> None:
    handle = one()
    for bit in range(8 * len(handle)):
        changed = bytearray(handle)
        changed[bit // 8] ^= 1 << bit % 8
        assert isinstance(open_handle(bytes(changed), (KEY,)), OutcomeRefusal), bit


@given(st.binary(max_size=200) | st.binary(min_size=MAX_HANDLE_BYTES - 4, max_size=2_000))
@example(b"")
@example(b"\1" + KEY.id + bytes(100))
def test_arbitrary_bytes_are_refused_and_raise_nothing(content: bytes) -> None:
    assert isinstance(open_handle(content, (KEY,)), OutcomeRefusal)


@given(st.integers(0, len(one()) - 1), st.binary(max_size=40))
def test_a_handle_that_was_cut_or_goes_on_is_refused(kept: int, more: bytes) -> None:
    assert isinstance(open_handle(one()[:kept] + more, (KEY,)), OutcomeRefusal) or (
        one()[kept:] == more
    )


def test_a_name_and_its_seal_do_not_shift_into_each_other() -> None:
    assert one("ab")[:-16] != one("a")[:-16] + b"b"[:0]
    assert isinstance(open_handle(one("a")[:-16] + b"b" + one("a")[-16:], (KEY,)), OutcomeRefusal)


def test_the_reasons_are_told_apart() -> None:
    handle = one()
    assert open_handle(handle, (OTHER,)) is OutcomeRefusal.UNKNOWN_KEY
    assert open_handle(handle, ()) is OutcomeRefusal.UNKNOWN_KEY
    assert open_handle(handle[:-1], (KEY,)) is OutcomeRefusal.FORGED
    assert open_handle(b"\3" + handle[1:], (KEY,)) is OutcomeRefusal.MALFORMED
    assert open_handle(handle[:60], (KEY,)) is OutcomeRefusal.MALFORMED
    assert open_handle(handle + bytes(MAX_HANDLE_BYTES), (KEY,)) is OutcomeRefusal.MALFORMED


def test_the_seal_is_of_a_key_that_serves_no_other_purpose() -> None:
    import hashlib  # noqa: PLC0415 - the formula stands beside its check
    import hmac  # noqa: PLC0415

    handle = one()
    derived = hmac.digest(b"k" * 32, b"batchproof outcome handle", "sha256")
    assert hmac.digest(derived, handle[:-16], "sha256")[:16] == handle[-16:]
    assert hashlib.sha256(derived).digest()[:4] == handle[1:5]
    fields = struct.unpack(">qIIfq12s", handle[5:45])
    assert fields == (1, 0, 2, 0.5, 1_000, b"n" * 12)
    assert handle[45:-16] == b"m"


def test_a_key_does_not_show_its_secret() -> None:
    assert "kkkk" not in repr(KEY)


@given(st.binary(min_size=1, max_size=120))
def test_a_text_is_of_one_handle_and_a_handle_has_one_text(handle: bytes) -> None:
    text = handle_to_text(handle)
    assert handle_from_text(text) == handle
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    for other in (text + "=", text + " ", " " + text, text + "\n", text[:-1] + "*"):
        with pytest.raises(HandleError):
            handle_from_text(other)


@given(st.text(max_size=60))
@example("AB")  # the last bits say nothing, and must be 0
@example("=")
@example("ä")
@example("\udc80")
def test_a_text_is_refused_or_is_what_its_handle_writes(text: str) -> None:
    try:
        handle = handle_from_text(text)
    except HandleError:
        return
    assert handle_to_text(handle) == text


@given(st.integers(0, 40), st.lists(st.integers(0, 60), max_size=200))
def test_a_counted_row_is_known_until_more_were_counted_than_there_is_room_for(
    room: int, reported: list[int]
) -> None:
    counted = CountedRows(room * 192 + 191)
    order: list[bytes] = []
    for number in reported:
        key = number.to_bytes(16)
        assert (key in counted) == (key in order[max(0, len(order) - room) :])
        if key not in counted:
            counted.add(key)
            order.append(key)
        assert len(counted) <= room
