"""Compressed messages of any size, in small parts: what comes out, and what never goes in."""

import asyncio
import gzip
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from batchproof_server.rpc.fronts.inflating import CannotInflate, Inflater

PART = 1 << 18
SIZES = [0, 1, PART - 1, PART, PART + 1, 3 * PART + 17]
Compress = Callable[[bytes], bytes]
FORMS: Mapping[str, Compress] = {"gzip": gzip.compress, "deflate": zlib.compress}


def noise(size_bytes: int) -> bytes:
    """What does not become smaller."""
    return np.random.default_rng(size_bytes).bytes(size_bytes)


def inflated(content: bytes, max_bytes: int = 1 << 22) -> bytes:
    return asyncio.run(Inflater(max_bytes).inflate(content))


@pytest.mark.parametrize("compress", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("size_bytes", SIZES)
@pytest.mark.parametrize("make", [noise, bytes], ids=["noise", "zeros"])
def test_what_was_compressed_comes_out_as_it_was(
    make: Callable[[int], bytes], size_bytes: int, compress: Compress
) -> None:
    content = make(size_bytes)
    assert inflated(compress(content)) == content


@pytest.mark.parametrize("size_bytes", [1, PART, 3 * PART])
def test_what_breaks_off_or_goes_on_is_broken(size_bytes: int) -> None:
    whole = gzip.compress(noise(size_bytes))
    for content in (whole[:-1], whole[: len(whole) // 2], whole + b"x", whole + whole):
        with pytest.raises(CannotInflate, match="cannot be decompressed"):
            inflated(content)


@pytest.mark.parametrize("make", [noise, bytes], ids=["noise", "zeros"])
def test_what_becomes_larger_than_the_limit_is_given_up(make: Callable[[int], bytes]) -> None:
    content = make(3 * PART)
    with pytest.raises(CannotInflate, match="more than 786431 bytes after decompression"):
        inflated(gzip.compress(content), len(content) - 1)
    assert inflated(gzip.compress(content), len(content)) == content


class Watched:
    """The stream of zlib, and how much it was given at most."""

    def __init__(self, bits: int) -> None:
        self._stream: Any = zlib.decompressobj(bits)
        self.most_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def decompress(self, content: bytes, most_bytes: int) -> bytes:
        """Passes it on."""
        self.most_bytes = max(self.most_bytes, len(content))
        made: bytes = self._stream.decompress(content, most_bytes)
        return made


def test_zlib_never_has_more_than_a_part_because_it_copies_what_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = Watched(32 + zlib.MAX_WBITS)
    monkeypatch.setattr(zlib, "decompressobj", lambda _bits: watched)
    content = noise(9 * PART)
    assert inflated(zlib.compress(content)) == content
    assert watched.most_bytes <= PART
