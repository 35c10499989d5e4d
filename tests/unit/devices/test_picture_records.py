"""What a device says of a picture is read back as it was, and nothing else is believed."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.base.input_statistics import SeenPixels
from batchproof_server.base.signature import Array, TensorSpec
from batchproof_server.devices.arena import Arena, make_arena
from batchproof_server.devices.picture_records import (
    PictureAsked,
    PictureMade,
    read_made,
    row_place,
    write_made,
)
from batchproof_server.imaging.decoded import PictureRows, PictureStatistics

ROW = TensorSpec("x", np.dtype(np.float32), (4, 3, 1))
ANY_SIZE = TensorSpec("x", np.dtype(np.float32), (None, None, 1))
FILE_BYTES = 77


@pytest.fixture
def slot() -> Iterator[Arena]:
    arena = make_arena()
    arena.write(bytes(FILE_BYTES))
    yield arena
    arena.close()


def _levels(*shape: int) -> Array:
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


def _made(rows: int = 1, *, colours: bool = True, is_seen: bool = True) -> PictureMade:
    pixels = SeenPixels(_levels(9, 128), _levels(9, 64), _levels(30, 3) if colours else None)
    seen = PictureStatistics(pixels, 14.2, float("nan")) if is_seen else None
    values = np.random.default_rng(2).random((rows, 4, 3, 1), np.float32)
    return PictureMade(PictureRows(values, seen), 0.25)


@given(st.builds(PictureAsked, st.integers(0, 1 << 40), st.booleans(), st.booleans(), st.binary()))
def test_what_is_asked_is_read_back(asked: PictureAsked) -> None:
    assert PictureAsked.unpack(asked.pack()) == asked


@pytest.mark.parametrize("row", [ROW, ANY_SIZE])
@pytest.mark.parametrize("made", [_made(), _made(5), _made(colours=False), _made(is_seen=False)])
def test_rows_and_what_was_seen_come_back_bit_for_bit(
    slot: Arena, row: TensorSpec, made: PictureMade
) -> None:
    rest = write_made(slot, FILE_BYTES, made)
    came = read_made(slot, FILE_BYTES, rest, row)
    slot.write(bytes(1 << 16))  # the next picture
    assert came.took_s == made.took_s
    assert came.made.rows.tobytes() == made.made.rows.tobytes()
    assert came.made.rows.shape == made.made.rows.shape
    assert _told(came.made.seen) == _told(made.made.seen)


def _told(seen: PictureStatistics | None) -> list[object]:
    if seen is None:
        return []
    pixels = (seen.pixels.luma, seen.pixels.middle, seen.pixels.colours)
    shapes = [None if each is None else (each.shape, each.tobytes()) for each in pixels]
    return [*shapes, seen.aspect_ratio, str(seen.tensor_mean)]


def test_a_row_that_was_made_in_its_place_stays_there(slot: Arena) -> None:
    place = row_place(ROW, FILE_BYTES)
    assert place is not None
    slot.reserve(place.end)
    there = slot.array(place)
    there[...] = 3.0
    rest = write_made(slot, FILE_BYTES, PictureMade(PictureRows(there[np.newaxis], None), 0.0))
    assert (read_made(slot, FILE_BYTES, rest, ROW).made.rows == 3.0).all()


def test_rows_of_any_size_have_no_place_before_they_are_made() -> None:
    assert row_place(ANY_SIZE, FILE_BYTES) is None


@pytest.mark.parametrize(
    ("row", "rest"),
    [
        (ROW, b""),
        (ROW, b"too short"),
        (TensorSpec("x", np.dtype(np.float32), (4, 3)), None),  # of another rank
        (TensorSpec("x", np.dtype(np.float32), (4, 4, 1)), None),
    ],
)
def test_what_cannot_be_is_not_believed(slot: Arena, row: TensorSpec, rest: bytes | None) -> None:
    said = write_made(slot, FILE_BYTES, _made())
    with pytest.raises(ValueError, match=r"made in|expected"):
        read_made(slot, FILE_BYTES, said if rest is None else rest, row)


def test_rows_and_colours_beyond_the_slot_are_not_believed(slot: Arena) -> None:
    said = bytearray(write_made(slot, FILE_BYTES, _made()))
    said[-32:-24] = (1 << 40).to_bytes(8, "little")  # rows
    with pytest.raises(ValueError, match="bytes, expected"):
        read_made(slot, FILE_BYTES, bytes(said), ROW)
    said[-32:-24] = (1).to_bytes(8, "little")
    said[-36:-32] = (1 << 30).to_bytes(4, "little")  # colours
    with pytest.raises(ValueError, match="bytes, expected"):
        read_made(slot, FILE_BYTES, bytes(said), ROW)
