import base64
import gzip
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.base.errors import InvalidInput
from batchproof_server.web.rest.compression import unpacked, wanted_form
from batchproof_server.web.rest.json_text import (
    MOST_CONTAINERS,
    MOST_JSON_BYTES,
    MOST_KEYS,
    MOST_VALUES,
    read_json,
    write_json,
)
from batchproof_server.web.rest.multipart import read_parts
from batchproof_server.web.rest.values import byte_strings, flattened, nested, numbers, texts

FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.lists(FLOAT32, min_size=1))
def test_float32_survives_json_both_ways(values: list[float]) -> None:
    array = np.array(values, np.float32)
    for text in (write_json(array), write_json(array.tolist())):
        again = numbers(read_json(text), np.dtype(np.float32), "x")
        assert again.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
)
def test_every_type_survives_json(dtype: str) -> None:
    kind = np.dtype(dtype)
    limits: Any = np.finfo(kind) if kind.kind == "f" else np.iinfo(kind)
    array = np.array([limits.min, 0, 1, limits.max], kind)
    again = numbers(read_json(write_json(array)), kind, "x")
    assert again.dtype == kind
    assert again.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("i1", 128),
        ("u1", -1),
        ("i8", 1 << 63),
        ("u8", 1 << 64),
        ("i4", 1.0),
        ("i4", True),
        ("f4", True),
        ("f4", "1"),
        ("f4", None),
        ("f4", 1e39),
        ("f2", 70_000),
        ("f8", 10**400),
        ("b1", 1),
        ("f4", {}),
    ],
)
def test_what_is_no_number_of_the_type_is_refused(dtype: str, value: Any) -> None:
    with pytest.raises(InvalidInput):
        numbers([value], np.dtype(dtype), "x")


@given(st.integers(0, 3).flatmap(lambda n: st.lists(st.integers(1, 4), min_size=n, max_size=n)))
def test_lists_within_lists_have_the_shape_that_they_were_made_with(shape: list[int]) -> None:
    array = np.arange(int(np.prod(shape))).reshape(shape)
    flat = flattened(array.tolist(), "x")
    assert flat.shape == tuple(shape)
    assert list(flat.leaves) == array.ravel().tolist()
    assert nested(flat.leaves, flat.shape) == array.tolist()


@given(ANY_JSON)
def test_whatever_json_holds_is_a_tensor_or_refused(value: Any) -> None:
    for read in (
        lambda: numbers(flattened(value, "x").leaves, np.dtype(np.float32), "x"),
        lambda: byte_strings(flattened(value, "x").leaves, "x"),
    ):
        with suppress(InvalidInput):
            read()


@given(st.lists(st.binary()))
def test_byte_strings_survive_json(strings: list[bytes]) -> None:
    assert byte_strings(read_json(write_json(texts(strings))), "x") == strings


@given(st.binary())
def test_any_bytes_are_json_or_refused(content: bytes) -> None:
    with suppress(InvalidInput):
        read_json(content)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b" " * (MOST_JSON_BYTES + 1), "bytes"),
        (b"[" + b"1," * (MOST_VALUES + 1) + b"1]", "values"),
        (b"{" + b'"a":1 ' * (MOST_KEYS + 1), "keys"),
        (b"[" * (MOST_CONTAINERS + 1), "lists and objects"),
        (b"{" * (MOST_CONTAINERS + 1), "lists and objects"),
        (b"[" * 2_000 + b"]" * 2_000, "no JSON"),
        (b"[NaN]", "no JSON"),
        (b"[Infinity]", "no JSON"),
        (b'["\\ud800"]', "no JSON"),
        (b"\xff", "no JSON"),
        (b"", "no JSON"),
    ],
)
def test_too_much_json_is_refused_before_it_is_parsed(content: bytes, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        read_json(content)


def test_of_equal_keys_the_last_counts() -> None:
    assert read_json(b'{"a": 1, "a": 2}') == {"a": 2}


def test_what_is_no_number_is_null_in_an_answer() -> None:
    assert write_json(np.array([np.nan, np.inf, 1], np.float32)) == b"[null,null,1.0]"


@given(st.binary(max_size=3_000), st.integers(0, 3_000))
def test_a_body_is_unpacked_whole_or_refused_at_the_limit(content: bytes, limit: int) -> None:
    packed = gzip.compress(content)
    if len(content) <= limit:
        assert unpacked(packed, "gzip", limit) == content
    else:
        with pytest.raises(InvalidInput, match="after decompression"):
            unpacked(packed, "gzip", limit)


@pytest.mark.parametrize(
    ("accepts", "size", "form"),
    [
        ("gzip, deflate, br", 5_000, "gzip"),
        ("deflate", 5_000, "deflate"),
        ("br", 5_000, ""),
        ("", 5_000, ""),
        ("gzip", 100, ""),
    ],
)
def test_an_answer_is_compressed_where_it_is_wanted_and_worth_it(
    accepts: str, size: int, form: str
) -> None:
    assert wanted_form(accepts, size) == form


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_the_parts_of_a_form_are_what_was_put_in(contents: list[bytes]) -> None:
    boundary = b"4f1c8b2e-not-in-any-of-them"
    head = b'Content-Disposition: form-data; name="p"; filename="f"\r\n\r\n'
    parts = b"".join(b"--" + boundary + b"\r\n" + head + each + b"\r\n" for each in contents)
    body = parts + b"--" + boundary + b"--\r\n"
    got = read_parts(body, boundary, 10)
    assert [(part.name, part.content, part.is_file) for part in got] == [
        ("p", each, True) for each in contents
    ]


def test_a_boundary_is_found_wherever_it_lies() -> None:
    head = b'Content-Disposition: form-data; name="p"; filename="f"\r\n\r\n'
    for size_bytes in range((1 << 20) - len(head) - 30, (1 << 20) - len(head) + 10):
        content = b"x" * size_bytes
        body = b"--between\r\n" + head + content + b"\r\n--between--"
        assert [part.content for part in read_parts(body, b"between", 1)] == [content]


@pytest.mark.parametrize("text", ["AA==AAAA", "A", "AAA", "====", "AA=A", "AÄ==", "AA==" * 2])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="no base64"):
        byte_strings([{"b64": text}], "x")


def test_long_base64_is_read_whole() -> None:
    content = bytes(range(256)) * 9_000
    text = base64.b64encode(content).decode()
    assert byte_strings([text], "x", are_base64=True) == [content]


@given(st.binary(max_size=400))
def test_any_bytes_are_a_form_or_refused(content: bytes) -> None:
    for body in (content, b"--b\r\n" + content + b"\r\n--b--"):
        with suppress(InvalidInput):
            read_parts(body, b"b", 10)
